//! Who is at the other end of a portal: a child, whose process is known, or any other actor.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, Explain};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::runtime::lookup::Connection;
use crate::spawn::{Child, Exit};

/// Who is at the other end of a portal.
#[derive(Clone)]
pub(super) enum Peer {
    /// A child of this actor; its nursery owns it.
    Child(Arc<Member>),
    /// Any other actor of the tree.
    Other(Arc<Connection>),
}

impl Peer {
    pub(super) fn channel(&self) -> &Channel {
        match self {
            Self::Child(member) => member.channel(),
            Self::Other(connection) => &connection.channel,
        }
    }

    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        match self {
            Self::Child(member) => &member.runtime,
            Self::Other(connection) => &connection.runtime,
        }
    }

    pub(super) fn mark_asked(&self) {
        match self {
            Self::Child(member) => member.mark_asked(),
            Self::Other(connection) => connection.mark_cancel_called(),
        }
    }

    pub(super) fn was_asked(&self) -> bool {
        match self {
            Self::Child(member) => member.was_asked(),
            Self::Other(connection) => connection.cancel_called(),
        }
    }
}

impl Explain for Peer {
    async fn explain(&self, error: Error) -> Error {
        match self {
            Self::Child(member) => member.explain(error).await,
            Self::Other(_) => error,
        }
    }
}

/// A child as its nursery and its portals share it.
pub(crate) struct Member {
    pub(crate) child: Child,
    pub(crate) runtime: Arc<Runtime>,
    /// Whether somebody here has asked it to end; its end is no failure then.
    asked: CancellationToken,
}

impl Member {
    /// Enters a child that is asked to end when `ending` is cancelled, if not before.
    pub(crate) fn new(child: Child, runtime: Arc<Runtime>, ending: &CancellationToken) -> Arc<Self> {
        Arc::new(Self { child, runtime, asked: ending.child_token() })
    }

    pub(crate) fn mark_asked(&self) {
        self.asked.cancel();
    }

    pub(crate) fn was_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until somebody has asked it to end.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Whether it said goodbye before it went: somebody else had asked it to end.
    pub(crate) fn left_in_order(&self) -> bool {
        self.channel().ended_in_order()
    }

    /// Waits until its process has ended or is lost, or for the end of its connection or of its runtime while the
    /// process lives on: `None`.
    pub(crate) async fn ended(&self) -> Option<Exit> {
        let process = &self.child.process;
        let exit = tokio::select! {
            biased;
            () = self.channel().peer_failed() => return None,
            exit = process.exited() => Some(exit),
            () = self.channel().ended() => {
                if self.channel().fell_silent() {
                    return None; // its host may be gone: no word of its process will come
                }
                tokio::time::timeout(self.runtime.config().death_notice, process.exited()).await.ok()
            }
        };
        // What it said before it went is read before anybody judges. Who is only lost may go on talking.
        if exit.as_ref().is_none_or(|exit| exit.seen) {
            self.channel().ended().await;
        }
        exit
    }

    fn channel(&self) -> &Channel {
        &self.child.channel
    }
}

impl Explain for Member {
    async fn explain(&self, error: Error) -> Error {
        // A runtime that fails says so before it cancels its tasks and leaves.
        let echo = matches!(error, Error::ContextCancelled(_) | Error::Disconnected { .. });
        if let Some(failure) = self.channel().peer_failure().filter(|_| echo) {
            return failure.clone();
        }
        let notice = self.runtime.config().death_notice;
        match error {
            Error::Disconnected { .. } if !self.was_asked() && !self.channel().fell_silent() => {
                match tokio::time::timeout(notice, self.child.process.exited()).await {
                    Ok(exit) => self.child.death(&exit),
                    Err(_still_running) => error,
                }
            }
            // Without what led to it, it ends itself, and its tasks before that.
            Error::ContextCancelled(_) if !self.was_asked() && self.child.process.is_lost() => {
                self.child.death(&self.child.process.exited().await)
            }
            other => other,
        }
    }
}
