//! The events of a supervisor.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::ReusableBoxFuture;

use crate::actor::{ActorId, shown};
use crate::error::Error;
use crate::scope::CancelWatch;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

/// Something that happened to a supervised child, identified by name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// It was added while the supervisor runs, and is going to be started.
    Added {
        /// Which child.
        child: Arc<str>,
    },
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
    /// It did not pass its [health check](crate::ChildSpec::health_check): it is going to be stopped, which counts as its
    /// failure.
    Unhealthy {
        /// Which child.
        child: Arc<str>,
        /// The error of the check.
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
    /// It is forgotten, because it was removed, could not be started when it was added, or has ended where children
    /// come and go ([`Supervision::dynamic`](crate::Supervision::dynamic)). Its name is free.
    Removed {
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
            Self::Added { child } => write!(f, "`{}` was added", shown(child)),
            Self::Unhealthy { child, error } => write!(f, "`{}` is not healthy: {error}", shown(child)),
            Self::Removed { child } => write!(f, "`{}` was removed", shown(child)),
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

/// The events of a supervisor, from [`Supervisor::events`](crate::Supervisor::events): with [`recv`](Self::recv), or as a
/// [`Stream`].
///
/// The latest few hundred wait to be received; older ones are lost then, and counted. Dropping it
/// unsubscribes.
///
/// ```
/// # use pleach::prelude::*;
/// use futures_util::StreamExt as _;
/// use pleach::{ChildSpec, Supervision, SupervisorEvent};
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     let worker = ChildSpec::daemon(n.start_actor("worker"));
///     let supervisor = n.supervise(Supervision::one_for_one().child(worker)).await?;
///     let events = supervisor.events();
///     supervisor.shutdown().await;
///     let stops = events.filter(|event| std::future::ready(matches!(event, SupervisorEvent::Stopped { .. })));
///     assert_eq!(stops.count().await, 1);
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub struct SupervisorEvents {
    next: ReusableBoxFuture<'static, (Result<SupervisorEvent, RecvError>, Receiver)>,
    missed: u64,
    cancelled: CancelWatch,
}

type Receiver = broadcast::Receiver<SupervisorEvent>;

async fn next(mut receiver: Receiver) -> (Result<SupervisorEvent, RecvError>, Receiver) {
    (receiver.recv().await, receiver)
}

impl SupervisorEvents {
    fn new(receiver: Receiver) -> Self {
        Self { next: ReusableBoxFuture::new(next(receiver)), missed: 0, cancelled: CancelWatch::default() }
    }

    /// Waits for the next event; `None` when the supervisor has ended, and instead of a wait in a cancelled scope.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<SupervisorEvent> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<SupervisorEvent>> {
        while let Poll::Ready((event, receiver)) = self.next.poll(cx) {
            self.next.set(next(receiver));
            match event {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return Poll::Ready(None),
            }
        }
        self.cancelled.poll(cx).map(|_cancelled| None)
    }

    /// Returns how many events were lost because they were not received in time.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Stream for SupervisorEvents {
    type Item = SupervisorEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SupervisorEvent>> {
        self.poll_recv(cx)
    }
}

impl fmt::Debug for SupervisorEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorEvents").field("missed", &self.missed).finish_non_exhaustive()
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
            SupervisorEvent::Died { .. } | SupervisorEvent::Unhealthy { .. } | SupervisorEvent::Restarting { .. } => {
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
        SupervisorEvents::new(receiver.unwrap_or_else(|| broadcast::channel(1).1))
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Subscribers> {
        lock(&self.0)
    }
}

/// As many events as wait for a subscriber.
const KEPT: usize = 256;
