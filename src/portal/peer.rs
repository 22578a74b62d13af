//! The actor at the other end of a portal: a child, whose process is known, or any other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::actor::ActorId;
use crate::channel::Channel;
use crate::channel::cancelling::{CancelOutcome, Cancelling, Reason, Subject};
use crate::channel::explain::Explain;
use crate::error::{ActorPhase, Error, Result};
use crate::runtime::Runtime;
use crate::runtime::connections::Connection;
use crate::scope;
use crate::spawn::judge::{Asked, End, Seen, Verdict, judge};
use crate::spawn::reap::Ending;
use crate::spawn::{Child, Exit};

/// The actor at the other end of a portal.
#[derive(Clone)]
pub(super) enum Peer {
    /// A child of this actor; its nursery owns it.
    Child(Arc<ChildHandle>),
    /// Any other actor of the tree.
    Other(Arc<Connection>),
}

impl Peer {
    /// Returns the actor.
    pub(super) fn id(&self) -> &ActorId {
        match self {
            Self::Child(member) => &member.child.id,
            Self::Other(connection) => connection.channel.peer(),
        }
    }

    pub(super) fn channel(&self) -> &Channel {
        match self {
            Self::Child(member) => member.channel(),
            Self::Other(connection) => &connection.channel,
        }
    }

    /// Waits until a call may be sent. Returns whether one with large arguments may be, too; otherwise such a call waits
    /// for [`ready_for_large`](Self::ready_for_large) as well.
    pub(super) async fn ready(&self) -> Result<bool> {
        scope::checkpoint()?;
        scope::wait(self.channel().small_room()).await
    }

    /// Waits until a call with large arguments may be sent.
    pub(super) async fn ready_for_large(&self) -> Result<()> {
        scope::wait(self.channel().room()).await
    }

    pub(super) fn mark_end_requested(&self) {
        match self {
            Self::Child(member) => member.mark_end_requested(),
            Self::Other(connection) => connection.mark_end_requested(),
        }
    }

    /// Returns whether calls find it no more: its process or its connection has ended, or it is about to end.
    pub(super) fn is_gone(&self) -> bool {
        let is_leaving = match self {
            Self::Child(member) => member.child.process.has_ended() || member.end_requested(),
            Self::Other(_) => false,
        };
        is_leaving || self.channel().end().is_some() || self.channel().peer_failure().is_some()
    }

    /// Asks the actor to end. The record of a child's end is its nursery's.
    pub(super) async fn cancel_actor(&self) -> Result<()> {
        let channel = self.channel();
        let cancelling = match self {
            Self::Child(_) => None,
            Self::Other(_) => Some(Cancelling::begin(channel, Subject::Actor, Reason::Asked)),
        };
        let asked = channel.cancel_actor().await;
        if let Some(cancelling) = cancelling {
            cancelling.end(match &asked {
                Ok(()) if channel.end_acknowledged() => CancelOutcome::Acknowledged,
                Ok(()) => CancelOutcome::Gone,
                Err(_) => CancelOutcome::TooLate,
            });
        }
        asked
    }

    pub(super) fn end_requested(&self) -> bool {
        match self {
            Self::Child(member) => member.end_requested(),
            Self::Other(connection) => connection.end_requested(),
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
pub(crate) struct ChildHandle {
    pub(crate) child: Child,
    pub(crate) runtime: Arc<Runtime>,
    /// Whether this actor has asked it to end.
    end_requested: CancellationToken,
    /// Whether it is not to be asked any more, but killed.
    killing: CancellationToken,
    /// How it came to its end, once its process is gone.
    ending: watch::Sender<Option<Ending>>,
    /// When it was asked first, and whether its process was dead by then, or had reported that it ends.
    requested: OnceLock<Requested>,
}

#[derive(Clone, Copy)]
struct Requested {
    at: Instant,
    too_late: bool,
}

impl ChildHandle {
    /// Enters a child that is asked to end when `ending` is cancelled, and killed when `killing` is, if not before.
    pub(crate) fn new(
        child: Child,
        runtime: Arc<Runtime>,
        ending: &CancellationToken,
        killing: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            child,
            runtime,
            end_requested: ending.child_token(),
            killing: killing.child_token(),
            ending: watch::Sender::new(None),
            requested: OnceLock::new(),
        })
    }

    /// Has it killed, without asking it.
    pub(super) fn kill(&self) {
        self.killing.cancel();
        self.mark_end_requested();
    }

    /// Returns the token that is cancelled when it is to be killed.
    pub(crate) fn killing(&self) -> &CancellationToken {
        &self.killing
    }

    /// Notes how it came to its end.
    pub(crate) fn note_ending(&self, ending: &Ending) {
        self.ending.send_replace(Some(ending.clone()));
    }

    /// Waits for its end; `None` if its nursery was lost together with the async runtime.
    pub(super) async fn exited(&self) -> Option<Ending> {
        self.ending.subscribe().wait_for(Option::is_some).await.ok().and_then(|ending| ending.clone())
    }

    /// To be called before it is asked, by whatever means.
    pub(crate) fn mark_end_requested(&self) {
        self.requested.get_or_init(|| {
            let too_late = self.child.process.is_dead() || self.channel().peer_failure().is_some();
            Requested { at: Instant::now(), too_late }
        });
        self.end_requested.cancel();
    }

    pub(crate) fn end_requested(&self) -> bool {
        self.end_requested.is_cancelled()
    }

    /// Waits until this actor has asked it to end.
    pub(crate) async fn until_end_requested(&self) {
        self.end_requested.cancelled().await;
    }

    /// Whether it is on its way out, or gone.
    pub(crate) fn is_leaving(&self) -> bool {
        self.child.process.has_ended() || self.channel().ended_in_order()
    }

    /// Whether its end was not caused from here.
    pub(crate) fn ended_by_itself(&self) -> bool {
        let seen = self.seen();
        seen.asked == Asked::Never || judge(seen) == Verdict::Died(ActorPhase::Running)
    }

    /// Waits until its process has ended or is lost, or for the end of its connection or of its runtime while the
    /// process lives on.
    pub(crate) async fn ended(&self) {
        let (process, channel) = (&self.child.process, self.channel());
        let exit = tokio::select! {
            biased;
            () = channel.peer_failed() => return,
            exit = process.exited() => Some(exit),
            () = channel.ended() => {
                // Its host may be gone, and no word of its process will come; or it has only the rest to do.
                if channel.fell_silent() || channel.ended_in_order() {
                    return;
                }
                process.exited_within(self.runtime.config().death_notice).await
            }
        };
        // Drain first: its last messages may explain the exit. If only the launcher was lost, the child may be alive,
        // so don't wait.
        if exit.as_ref().is_none_or(|exit| exit.seen) {
            channel.ended().await;
        }
    }

    /// Returns the judgement of its end, an error if it is a failure. Valid once it has [`ended`](Self::ended).
    pub(crate) fn failure(&self) -> Option<Error> {
        match judge(self.seen()) {
            Verdict::InOrder | Verdict::StillEnding => None,
            Verdict::Lost => Some(self.child.lost()),
            Verdict::Died(when) => Some(match self.child.process.exit() {
                Some(exit) => self.child.death(&exit, when, self.asked_ago()),
                None => self.child.lost(),
            }),
        }
    }

    /// Returns the error for a caller that found it ended: none, if it was asked to end.
    fn death(&self, exit: &Exit) -> Option<Error> {
        match judge(self.seen()) {
            Verdict::Died(when) => Some(self.child.death(exit, when, self.asked_ago())),
            _ if self.end_requested() => None,
            _ => Some(self.child.death(exit, ActorPhase::Running, None)),
        }
    }

    /// Returns how long ago this actor has asked it to end, unless it was too late for that.
    fn asked_ago(&self) -> Option<Duration> {
        self.requested.get().filter(|requested| !requested.too_late).map(|requested| requested.at.elapsed())
    }

    fn seen(&self) -> Seen {
        let process = &self.child.process;
        let end = match process.exit() {
            _ if self.reported().is_some() => End::Runtime,
            Some(exit) => End::Process(exit.status),
            None => End::Connection,
        };
        let too_late = self.requested_too_late();
        let asked = match too_late {
            Some(false) if self.channel().end_acknowledged() => Asked::Heard,
            Some(false) => Asked::Sent,
            _ => Asked::Never,
        };
        let signalled = process.was_signalled() && too_late != Some(true);
        Seen { asked, goodbye: self.channel().ended_in_order(), signalled, end }
    }

    /// Returns the failure of its runtime. A signal to an actor that had been asked to end, or by which it was asked,
    /// is not a failure.
    fn reported(&self) -> Option<&Error> {
        let requested_before = self.requested_too_late() == Some(false);
        let is_own_death = |error: &Error| matches!(error, Error::ActorDied(died) if died.actor == self.child.id);
        self.channel().peer_failure().filter(|error| !(requested_before && is_own_death(error)))
    }

    /// Returns whether it was asked too late to be the cause of its end; `None` if it was not asked.
    fn requested_too_late(&self) -> Option<bool> {
        self.requested.get().map(|requested| requested.too_late)
    }

    fn channel(&self) -> &Channel {
        &self.child.channel
    }
}

impl Explain for ChildHandle {
    async fn explain(&self, error: Error) -> Error {
        // A runtime that fails says so before it cancels its tasks and leaves.
        let echo = matches!(error, Error::ContextCancelled(_) | Error::Disconnected { .. });
        if let Some(failure) = self.reported().filter(|_| echo) {
            return failure.clone();
        }
        let notice = self.runtime.config().death_notice;
        match error {
            // An actor that was asked to leave, and said goodbye, has not died.
            Error::Disconnected { .. } if self.end_requested() && self.channel().ended_in_order() => error,
            Error::Disconnected { .. } if !self.channel().fell_silent() => {
                match self.child.process.exited_within(notice).await {
                    Some(exit) => self.death(&exit).unwrap_or(error),
                    None => error,
                }
            }
            // Without its launcher, it ends itself, and its tasks before that.
            Error::ContextCancelled(_) if self.child.process.is_lost() => {
                self.death(&self.child.process.exited().await).unwrap_or(error)
            }
            other => other,
        }
    }
}
