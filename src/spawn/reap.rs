//! How a child is ended: ask, wait, escalate.
//!
//! ```text
//! ask ──acknowledged──► wait for its exit ──exited──► done
//!  │ no ack in cancel_ack    │ not within soft_reap
//!  ├─────────────────────────┘
//!  │◄── killing: at any time before
//!  ▼
//! SIGTERM ──exited within kill_after──► done
//!  │
//!  ▼
//! SIGKILL ──exited within give_up_after──► done
//!  │
//!  ▼
//! abandoned
//! ```
//! A child on another host whose connection is lost can't be reached, and its exit may never be reported: it ends
//! itself when its lease expires, and is waited for as long as that may take. The end of its engine says nothing about
//! the child.
//!
//! An exit ends it at every step. Each step that had to be taken is reported, with its reason. A child to which
//! a debugger is attached is not sent a signal until that lets go. One that stands still in the debugger of this
//! library, or has such an actor below it, is asked again afterwards, with all its time.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use pleach_wire::EndReason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Child, Exit, Signal};
use crate::actor::ActorId;
use crate::config::Config;
use crate::error::WaitStatus;
use crate::events::{self, ActorEventKind};
use crate::holds;
use crate::os::tracer;
use crate::telemetry::meters::{self, Event};

/// How a child of a nursery came to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// The actor.
    pub actor: ActorId,
    /// The strongest step that was needed.
    pub by: EndedBy,
    /// Why asking was not enough, if it was not.
    pub why: Option<String>,
    /// How long its process still lived after it was first asked.
    pub took: Duration,
    /// Its exit status.
    pub status: WaitStatus,
}

/// The steps of ending a child, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EndedBy {
    /// It ended before its nursery asked it to: it died, or another actor had asked.
    Itself,
    /// It was asked, and went.
    Request,
    /// It was sent SIGTERM.
    Sigterm,
    /// It was sent SIGKILL.
    Sigkill,
    /// Its connection was lost, and with that perhaps all ways to reach it: its lease has expired.
    Lease,
    /// It was not ended: it was still there [`Config::give_up_after`] after SIGKILL, as is a process that waits for
    /// a disk that does not answer. It was left.
    StillThere,
}

impl Ending {
    /// Returns whether asking was not enough.
    pub fn was_escalated(&self) -> bool {
        self.by > EndedBy::Request
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} after {:?}, {}", self.actor, self.by, self.took, self.status)?;
        self.why.iter().try_for_each(|why| write!(f, " ({why})"))
    }
}

impl EndedBy {
    /// Its name in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Request => "request",
            Self::Sigterm => "sigterm",
            Self::Sigkill => "sigkill",
            Self::Lease => "lease",
            Self::StillThere => "still_there",
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Itself => "ended by itself",
            Self::Request => "ended on request",
            Self::Sigterm => "ended by SIGTERM",
            Self::Sigkill => "ended by SIGKILL",
            Self::Lease => "left to the end of its lease",
            Self::StillThere => "still there after SIGKILL",
        })
    }
}

/// Ends a child and waits for its exit. Takes at most [`Config::ladder`] and [`Config::give_up_after`], or as long as a
/// debugger is attached.
///
/// From `killing` on it is not asked any more, but sent SIGTERM at once.
///
/// # Cancel safety
/// If dropped, the child may be left running: only shielded code and tasks of their own call this.
pub(crate) async fn reap(child: &Child, killing: &CancellationToken, config: &Config) -> Ending {
    let begun = Instant::now();
    let config = &for_child(child, config);
    let mut climbed = Climbed { by: EndedBy::Request, why: None };
    let status = tokio::select! {
        // Its acknowledgement is noted before its exit, which may be known sooner.
        biased;
        () = climbed.climb(child, killing, config) => WaitStatus::Unknown,
        exit = gone(child) => exit.status,
        why = out_of_reach(child, config) => {
            climbed = Climbed { by: EndedBy::Lease, why: Some(why) };
            WaitStatus::Unknown
        }
    };
    if child.channel.fell_silent() && climbed.by == EndedBy::Request {
        climbed = Climbed { by: EndedBy::Lease, why: Some(child.channel.gone().to_string()) };
    }
    let Climbed { by, why } = climbed;
    Ending { actor: child.id.clone(), by, why, took: begun.elapsed(), status }
}

/// The patience with a child: its own where it has one.
fn for_child<'a>(child: &Child, config: &'a Config) -> Cow<'a, Config> {
    match child.soft_reap {
        Some(soft_reap) => Cow::Owned(Config { soft_reap, ..config.clone() }.within_reason()),
        None => Cow::Borrowed(config),
    }
}

/// Waits until a child's process has ended, and all its output has been read.
async fn gone(child: &Child) -> Exit {
    let exit = child.process.ended().await;
    child.channel.ended().await;
    exit
}

/// Waits until a child on another host that is out of reach must have ended itself; returns why it is.
async fn out_of_reach(child: &Child, config: &Config) -> String {
    if !child.channel.is_watched() {
        return std::future::pending().await; // its exit will be seen
    }
    child.channel.ended().await;
    let patience = match child.channel.fell_silent() {
        true => {
            child.process.signal(Signal::Kill); // as far as that reaches
            config.ladder() // its lease has expired already
        }
        // It closed in order and its launcher has exited: allow only the escalation time.
        false if child.channel.ended_in_order() && child.process.is_lost() => config.ladder(),
        false => config.lease.saturating_add(config.ladder()),
    };
    let patience = patience.saturating_add(TO_DIE);
    holds::patience(child.id.uuid(), patience).await;
    let lost = child.channel.gone();
    format!("{lost}; its exit was not seen within {patience:?}, by when it must have ended itself")
}

/// How far the ladder had to be climbed, and why.
struct Climbed {
    by: EndedBy,
    why: Option<String>,
}

impl Climbed {
    /// Goes from one step to the next; the caller watches for the exit. Returns when the child has to be abandoned.
    async fn climb(&mut self, child: &Child, killing: &CancellationToken, config: &Config) {
        let mut patience = holds::Patience::begin();
        let why = loop {
            let why = tokio::select! {
                biased;
                () = killing.cancelled() => "a hard kill was asked for".to_owned(),
                why = ask(child, config) => why,
            };
            if !patience.resumed(child.id.uuid()).await {
                break why;
            }
        };
        // Nothing leads to one that is lost.
        if !child.process.is_lost() {
            self.escalate(child, EndedBy::Sigterm, why).await;
            holds::patience(child.id.uuid(), config.kill_after).await;
            self.escalate(child, EndedBy::Sigkill, format!("it did not end within {:?} of SIGTERM", config.kill_after))
                .await;
        }
        if child.channel.is_watched() {
            child.channel.request_close(EndReason::Unused); // one that can't be killed from here ends without its parent
            return std::future::pending().await; // its lease bounds that
        }
        holds::patience(child.id.uuid(), config.give_up_after).await;
        if child.process.has_ended() {
            return std::future::pending().await;
        }
        self.by = EndedBy::StillThere;
        self.add(&format!("it was still there {:?} after SIGKILL", config.give_up_after));
        error!(target: "pleach::cancel", child = %child.id, "still there after SIGKILL: left");
    }

    async fn escalate(&mut self, child: &Child, by: EndedBy, why: String) {
        tracer::gone(&child.id, child.process.pid()).await;
        if child.process.has_ended() {
            return;
        }
        let (signal, name) = match by {
            EndedBy::Sigkill => (Signal::Kill, "SIGKILL"),
            _ => (Signal::Terminate, "SIGTERM"),
        };
        child.process.signal(signal);
        meters::count(Event::ReapStep(by.label()));
        self.by = by;
        self.add(&why);
        events::note(ActorEventKind::Escalated, child.channel.here(), &child.id, Some(format!("{name}: {why}")));
        warn!(target: "pleach::cancel", child = %child.id, ?signal, %why, "escalated");
    }

    fn add(&mut self, why: &str) {
        let before = self.why.take().map(|before| format!("{before}; ")).unwrap_or_default();
        self.why = Some(format!("{before}{why}"));
    }
}

/// Asks a child to end itself; returns why that was not enough.
async fn ask(child: &Child, config: &Config) -> String {
    meters::count(Event::ReapStep("cancel"));
    if let Err(error) = child.channel.cancel_actor().await {
        return error.to_string();
    }
    tokio::time::sleep(config.soft_reap).await;
    format!("it acknowledged the cancel request but did not exit within {:?}", config.soft_reap)
}

/// How long after it was to be gone a child on another host may still be there: both sides count the same times, but
/// there a thread has to wake up, and the system to carry out a kill.
const TO_DIE: Duration = Duration::from_secs(1);
