//! The events of a supervisor.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::actor::{ActorId, shown};
use crate::error::Error;
use crate::scope;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

/// Something that happened to a supervised child, identified by name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// It was started, and its `init` has returned.
    Started {
        /// Which child.
        child: Arc<str>,
        /// The actor that it is now.
        actor: ActorId,
    },
    /// It failed, or could not be started.
    Died {
        /// Which child.
        child: Arc<str>,
        /// Its failure.
        error: Error,
    },
    /// It is going to be started again, and with it those that the strategy says.
    Restarting {
        /// Which child.
        child: Arc<str>,
        /// How many restarts of it there were lately, this one included.
        attempt: u32,
        /// How long that waits.
        after: Duration,
    },
    /// It ended without a failure: it was stopped, its function returned, or it was cancelled.
    Stopped {
        /// Which child.
        child: Arc<str>,
    },
    /// It ended too often: the supervisor stops all its children, and its nursery fails.
    GaveUp {
        /// Which child.
        child: Arc<str>,
        /// The error of the nursery.
        error: Error,
    },
}

impl fmt::Display for SupervisorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { child, actor } => write!(f, "`{}` was started as {actor}", shown(child)),
            Self::Died { child, error } => write!(f, "`{}` failed: {error}", shown(child)),
            Self::Restarting { child, attempt, after } => {
                write!(f, "`{}` is started again in {after:?}, attempt {attempt}", shown(child))
            }
            Self::Stopped { child } => write!(f, "`{}` was stopped", shown(child)),
            Self::GaveUp { error, .. } => write!(f, "{error}"),
        }
    }
}

/// The events of a supervisor, from [`Supervisor::events`](crate::Supervisor::events).
///
/// The latest few hundred wait to be received; older ones are lost then, and counted. Dropping it
/// unsubscribes.
#[derive(Debug)]
pub struct SupervisorEvents {
    receiver: broadcast::Receiver<SupervisorEvent>,
    missed: u64,
}

impl SupervisorEvents {
    /// Waits for the next event; `None` when the supervisor has ended, and instead of a wait in a cancelled scope.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<SupervisorEvent> {
        loop {
            match scope::wait(self.receiver.recv()).await.ok()? {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Returns how many events were lost because they were not received in time.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The supervisor's end.
pub(super) struct Announcer(Mutex<Subscribers>);

struct Subscribers {
    /// None once nothing more will come.
    sender: Option<broadcast::Sender<SupervisorEvent>>,
    /// For the first subscriber: it begins with the first event.
    first: Option<broadcast::Receiver<SupervisorEvent>>,
}

impl Announcer {
    pub(super) fn new() -> Self {
        let (sender, first) = broadcast::channel(KEPT);
        Self(Mutex::new(Subscribers { sender: Some(sender), first: Some(first) }))
    }

    pub(super) fn announce(&self, event: SupervisorEvent) {
        if let Some(sender) = &self.subscribers().sender {
            drop(sender.send(event.clone())); // listening is optional
        }
        match &event {
            SupervisorEvent::Restarting { .. } => meters::count(Event::Restarted),
            SupervisorEvent::GaveUp { .. } => meters::count(Event::GaveUp),
            _ => {}
        }
        match &event {
            SupervisorEvent::Died { .. } | SupervisorEvent::Restarting { .. } => {
                warn!(target: "pleach::runtime", "{event}")
            }
            SupervisorEvent::GaveUp { .. } => error!(target: "pleach::runtime", "{event}"),
            _ => debug!(target: "pleach::runtime", "{event}"),
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.subscribers().sender = None;
    }

    pub(super) fn subscribe(&self) -> SupervisorEvents {
        let mut subscribers = self.subscribers();
        let first = subscribers.first.take();
        let receiver = first.or_else(|| subscribers.sender.as_ref().map(broadcast::Sender::subscribe));
        // After the end: a channel that is closed.
        SupervisorEvents { receiver: receiver.unwrap_or_else(|| broadcast::channel(1).1), missed: 0 }
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Subscribers> {
        lock(&self.0)
    }
}

/// As many events as wait for a subscriber.
const KEPT: usize = 256;
