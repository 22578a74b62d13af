//! A root that only serves: its body waits until it is asked to end.

use super::root::open_exposing;
use crate::config::Config;
use crate::error::{Result, signal_name};
use crate::os::signals::{Signals, Whose};
use crate::runtime::handle::Actor;
use crate::scope::{self, Shield};

/// Boots the root of a tree that serves the functions of `modules` until it is asked to end.
///
/// It listens at once, over the configured transport and wherever [`Config::listen`] says. Its callers are the
/// actors of its own tree; with [`Config::registry`], other programs find it by its
/// [`root_name`](Config::root_name), with [`find_actor`](crate::find_actor), and call it too. SIGINT, SIGTERM,
/// SIGHUP, SIGQUIT, a cancel request of a peer and [`Actor::cancel_soon`] end it in order, and then this returns `Ok`;
/// a second signal ends the process at once ([`crate::manual::signals`]).
///
/// # Errors
/// As [`open_root`](crate::open_root); [`Error::Transport`](crate::Error::Transport) when it can't listen;
/// [`Error::Cancelled`](crate::Error::Cancelled) when an enclosing scope is cancelled.
///
/// # Cancel safety
/// As [`open_root`](crate::open_root).
///
/// # Examples
/// ```no_run
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> pleach::Result<i64> {
///     Ok(a + b)
/// }
///
/// #[pleach::main]
/// async fn main() -> pleach::Result<()> {
///     pleach::run_daemon(pleach::Config::load()?, [module_path!()]).await
/// }
/// ```
pub async fn run_daemon<M: Into<String>>(config: Config, modules: impl IntoIterator<Item = M>) -> Result<()> {
    let modules: Vec<String> = modules.into_iter().map(Into::into).collect();
    // Held until the tree has ended: the first signal ends it in order at any time.
    let signals = Signals::take(Whose::Program);
    // A caller that finds it may call it at once.
    open_exposing(config, modules, async |actor| serve(&actor, signals.clone()).await).await
}

async fn serve(actor: &Actor, mut signals: Signals) -> Result<()> {
    let runtime = actor.runtime();
    let _shield = Shield::enter();
    runtime.listen_everywhere().await?;
    tokio::select! {
        // The first two also cancel the scope: under `#[pleach::main]` a signal does, and a request always.
        biased;
        signal = signals.first() => {
            debug!(target: "pleach::cancel", signal = signal_name(signal), "ending the daemon");
            Ok(())
        }
        () = runtime.lifecycle.until_end_requested() => Ok(()),
        () = scope::cancelled() => Err(scope::cancellation()),
    }
}
