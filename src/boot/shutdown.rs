//! Finishing the work of a program before it ends, when a signal asks for that.

use std::fmt;

use crate::error::Result;
use crate::os::signals::Signals;
use crate::scope;

/// Has the first SIGINT, SIGTERM, SIGHUP or SIGQUIT told to the program, as long as the returned value is held, instead
/// of cancelling its body: it can finish its work.
///
/// A second signal, 200 ms later or more, cancels the body, and a third one ends the process at once: see
/// [`crate::manual::signals`]. A program that ends well has the exit status of that. Only a program gets signals this
/// way; in an actor they end the actor, and this waits for ever.
///
/// ```
/// # use pleach::prelude::*;
/// /// Serves requests until it is asked to stop; the one that is under way is finished.
/// async fn serve(mut requests: tokio::sync::mpsc::Receiver<String>) -> Result<()> {
///     let mut shutdown = pleach::shutdown_signal();
///     loop {
///         let request = tokio::select! {
///             signal = shutdown.received() => {
///                 println!("got signal {}: no more requests are taken", signal?);
///                 return Ok(());
///             }
///             request = requests.recv() => request,
///         };
///         let Some(request) = request else { return Ok(()) };
///         println!("serving {request}");
///     }
/// }
/// ```
///
/// A pool does this by itself if it is to: [`PoolStart::drain_on_signal`](crate::PoolStart::drain_on_signal).
pub fn shutdown_signal() -> ShutdownSignal {
    ShutdownSignal(Signals::take_first_for_finishing())
}

/// The first signal, for a program that finishes its work before it ends; from [`shutdown_signal`].
///
/// Dropping it gives signals their usual effect again, if none has come and no other one is held.
#[derive(Clone)]
#[must_use = "a signal is told only as long as this is held"]
pub struct ShutdownSignal(Signals);

impl ShutdownSignal {
    /// Waits for the signal and returns its number; at once, if one has come.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) when the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn received(&mut self) -> Result<i32> {
        scope::wait(self.0.first()).await
    }
}

impl fmt::Debug for ShutdownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShutdownSignal").field(&self.0.came()).finish()
    }
}
