//! How a child is brought to its end: ask, wait, escalate.
//!
//! ```text
//! ask ──acknowledged──► wait for its exit ──exited──► done
//!  │ no ack in cancel_ack    │ not within soft_reap
//!  └──────────┬──────────────┘
//!             ▼
//!          SIGTERM ──exited within kill_after──► done
//!             │
//!             ▼
//!          SIGKILL ──► done
//! ```
//! Each step that had to be taken is reported, with its reason. A child to which a debugger is attached is
//! not sent a signal until that lets go.

use tokio::time::timeout;

use super::{Child, Exit, Signal, debugger};
use crate::config::Config;
use crate::error::Result;

/// How far the ladder had to be climbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// It was gone already, or went when it was asked.
    Asked,
    /// It was sent SIGTERM.
    Terminated,
    /// It was sent SIGKILL.
    Killed,
}

/// Ends a child and waits for its exit. Takes at most `cancel_ack + soft_reap + kill_after` and a
/// little, or as long as somebody debugs it.
///
/// # Cancel safety
/// If dropped, the child may be left running: only shielded code and tasks of their own call this.
pub(crate) async fn reap(child: &Child, config: &Config) -> (Step, Exit) {
    let asked = crate::runtime::cancel_actor(&child.channel, config.cancel_ack).await;
    let patience = if asked.is_ok() { config.soft_reap } else { std::time::Duration::ZERO };
    if let Ok(exit) = timeout(patience, child.process.exited()).await {
        return (Step::Asked, exit);
    }
    debugger::gone(&child.id).await;
    report(child, "SIGTERM", &why(asked, config));
    child.process.signal(Signal::Terminate);
    if let Ok(exit) = timeout(config.kill_after, child.process.exited()).await {
        return (Step::Terminated, exit);
    }
    debugger::gone(&child.id).await;
    report(child, "SIGKILL", &format!("it did not end within {:?} of SIGTERM", config.kill_after));
    child.process.signal(Signal::Kill);
    (Step::Killed, child.process.exited().await)
}

fn why(asked: Result<()>, config: &Config) -> String {
    match asked {
        Ok(()) => format!("it acknowledged the cancel request but did not exit within {:?}", config.soft_reap),
        Err(error) => error.to_string(),
    }
}

fn report(child: &Child, signal: &str, why: &str) {
    tracing::warn!(target: "pleach::cancel", actor = %child.id, signal, why, "escalating");
}
