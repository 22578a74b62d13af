//! One connection to a registrar, held for as long as an actor is to be registered there.
//!
//! A task of the actor dials, has the registrar confirm the entry, and waits for the end of the connection. If that
//! comes unexpectedly, the registrar died, or the network broke: the task dials again, with growing pauses, until it
//! has to leave or the actor ends.
//!
//! ```text
//! Dialling ──confirmed──► Up ──lost──► Down ──pause──► Dialling
//!     └──failed──► Down     └──leave──► closed in order
//! ```

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::{EndReason, TransportError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Registered, ask, registrar};
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::registry::RegistrarAddr;
use crate::runtime::Runtime;

/// The handle on the task. Dropping it tells the task to leave, without waiting.
#[derive(Debug)]
pub(super) struct RegistrarLink {
    line: watch::Receiver<Line>,
    leave: CancellationToken,
}

/// The outcome of the last attempt to connect.
#[derive(Clone, Debug)]
enum Line {
    /// None has ended yet.
    Dialling,
    Up(Channel),
    Down(Error),
}

impl RegistrarLink {
    /// Starts to register an actor with a registrar.
    pub(super) fn start(runtime: &Arc<Runtime>, registrar: RegistrarAddr, actor: Registered) -> Self {
        let (tell, line) = watch::channel(Line::Dialling);
        let leave = CancellationToken::new();
        runtime.keep(keep(runtime.clone(), registrar, actor, tell, leave.clone()));
        Self { line, leave }
    }

    /// Waits for the outcome of the first attempt.
    ///
    /// # Errors
    /// Why it failed; the task goes on trying.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn tried(&self) -> Result<()> {
        let mut line = self.line.clone();
        match line.wait_for(|line| !matches!(line, Line::Dialling)).await.as_deref() {
            Ok(Line::Down(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_over) => Err(has_left()),
        }
    }

    /// Waits until the connection is there.
    ///
    /// # Errors
    /// When the actor has left.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn up(&self) -> Result<Channel> {
        let is_up = |line: &Line| matches!(line, Line::Up(channel) if channel.end().is_none());
        match self.line.clone().wait_for(is_up).await.as_deref() {
            Ok(Line::Up(channel)) => Ok(channel.clone()),
            _ => Err(has_left()),
        }
    }

    /// Says why it is down, if it is.
    pub(super) fn fault(&self) -> Option<Error> {
        match &*self.line.borrow() {
            Line::Down(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Tells the task to leave. Returns at once.
    pub(super) fn request_leave(&self) {
        self.leave.cancel();
    }

    /// Waits until the task has left.
    pub(super) async fn left(&self) {
        let _ = self.line.clone().wait_for(|_| false).await; // only an error ends it: the task has ended
    }
}

impl Drop for RegistrarLink {
    fn drop(&mut self) {
        self.leave.cancel();
    }
}

async fn keep(
    runtime: Arc<Runtime>,
    registrar: RegistrarAddr,
    actor: Registered,
    line: watch::Sender<Line>,
    leave: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    while !runtime.lifecycle.end_requested() {
        let connected = tokio::select! {
            biased;
            () = leave.cancelled() => return,
            connected = connect(&runtime, &registrar, &actor) => connected,
        };
        let fault = match connected {
            Ok(channel) => {
                pause = FIRST_PAUSE;
                line.send_replace(Line::Up(channel.clone()));
                tokio::select! {
                    biased;
                    () = leave.cancelled() => {
                        channel.request_close(EndReason::Unused);
                        return channel.ended().await;
                    }
                    () = channel.ended() => channel.gone(),
                }
            }
            Err(fault) => fault,
        };
        info!(target: "pleach::runtime", actor = %actor.who, registrar = %registrar, %fault, "not registered there now");
        line.send_replace(Line::Down(fault));
        tokio::select! {
            biased;
            () = leave.cancelled() => return,
            () = runtime.lifecycle.until_end_requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects as `actor`, and has the registrar confirm that it is entered.
async fn connect(runtime: &Arc<Runtime>, registrar: &RegistrarAddr, actor: &Registered) -> Result<Channel> {
    let channel = runtime.dial_registrar(registrar, actor).await?;
    let confirmed = ask(&channel, registrar::knows(actor.clone()));
    let fault = match tokio::time::timeout(runtime.config().dial, confirmed).await {
        Ok(Ok(true)) => return Ok(channel),
        Ok(Ok(false)) => {
            TransportError::Handshake(format!("a newer incarnation of {} is registered", actor.who)).into()
        }
        Ok(Err(error)) => error,
        Err(_late) => {
            Error::Timeout { what: format!("the registrar's answer ({registrar})"), after: runtime.config().dial }
        }
    };
    channel.request_close(EndReason::Unused);
    Err(fault)
}

fn has_left() -> Error {
    Error::Usage("this actor is ending, and has left its registrar".into())
}

/// How long after the first failure it is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// No pause is longer: a registrar that is back is found soon, and one that is not is not bothered.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
