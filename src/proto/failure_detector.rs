//! Whether the peer of one connection is alive: heartbeats, suspicion, and the lease of a child.
//!
//! Both sides send heartbeats, and answer the other's at once. A silence that is too unlikely ([`super::phi`]) makes a
//! peer suspect, which is only reported. The rule for declaring it dead depends on its relation:
//!
//! | the peer is | it is declared dead when |
//! |---|---|
//! | a child | nothing has come from it for `lease` |
//! | the parent | no heartbeat that was sent in the last `lease` has been answered |
//! | any other | so long a silence is too unlikely |
//!
//! # The lease
//! A child may live as long as its lease, and ends itself when the lease expires. An answered heartbeat renews it,
//! counted from when the heartbeat was *sent*. The parent received that heartbeat later than it was sent, and waits as
//! long from then: so whatever is lost or delayed, in either direction, the child's lease has expired when the parent
//! declares it dead. Their clocks need not agree, only run alike.
//!
//! # Invariants
//! 1. The lease never ends later than `lease` after the sending of the last heartbeat that was answered; before
//!    the first, than that after the child began to dial.
//! 2. After a finding of death there is no other.
//! 3. Received messages are noted ([`FailureDetector::handle_heard`]) before a peer is declared dead for its silence.

use std::collections::VecDeque;
use std::time::Duration;

use pleach_wire::SilenceLimit;

use super::phi::{HeartbeatHistory, deviations_at};

/// The relation of a monitored peer to this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It holds our lease.
    Parent,
    /// We hold its lease.
    Child,
    /// Neither depends on the other.
    Other,
}

/// How long a peer may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DetectorConfig {
    /// How often heartbeats are sent.
    pub(crate) heartbeat: Duration,
    /// How long a child lives without an answer.
    pub(crate) lease: Duration,
    /// At which φ a peer is suspected.
    pub(crate) suspect_after: usize,
    /// The φ at which a peer is declared dead that is neither parent nor child.
    pub(crate) dead_after: usize,
}

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// Send this heartbeat.
    Ping { n: u64 },
    /// The peer has been silent for a suspiciously long time.
    Suspect { silent: Duration, phi: f64 },
    /// A suspected peer responds again; how long it had been silent.
    Recovered { silent: Duration },
    /// Give it up.
    Dead { silent: Duration, limit: SilenceLimit },
}

/// How it stands with a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PeerHealth {
    /// As expected; how long the last answer to a heartbeat took.
    Alive { rtt: Option<Duration> },
    /// Silent for a suspiciously long time.
    Suspect { silent: Duration, phi: f64 },
    /// Declared dead.
    Dead,
}

/// The watch over one peer. Times are counted from any start; they never go back.
#[derive(Debug)]
pub(crate) struct FailureDetector {
    relation: Relation,
    config: DetectorConfig,
    /// The silences of `suspect_after` and `dead_after`, in deviations of the peer's heartbeats.
    suspect_at: f64,
    dead_at: f64,
    beats: HeartbeatHistory,
    /// When anything came last.
    heard: Duration,
    /// Since when it is suspected, and when it had been heard before.
    suspected: Option<(Duration, Duration)>,
    next_ping: Duration,
    last_number: u64,
    /// Heartbeats that no answer has come to, and when they were sent.
    unanswered: VecDeque<(u64, Duration)>,
    rtt: Option<Duration>,
    leased_until: Duration,
    over: bool,
}

impl FailureDetector {
    /// Begins to watch a peer with which a connection has just been made; `began` is when that was begun.
    pub(crate) fn new(relation: Relation, config: DetectorConfig, began: Duration, now: Duration) -> Self {
        Self {
            relation,
            config,
            suspect_at: deviations_at(config.suspect_after),
            dead_at: deviations_at(config.dead_after),
            beats: HeartbeatHistory::new(config.heartbeat),
            heard: now,
            suspected: None,
            next_ping: now,
            last_number: 0,
            unanswered: VecDeque::new(),
            rtt: None,
            leased_until: began.saturating_add(config.lease),
            over: false,
        }
    }

    /// Takes that something has come from the peer, whatever it was.
    pub(crate) fn handle_heard(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
    }

    /// Begins all patience again: the peer, or this side, stands still under a debugger, and the other one knows.
    pub(crate) fn put_off(&mut self, now: Duration) {
        self.handle_heard(now);
        self.leased_until = self.leased_until.max(now.saturating_add(self.config.lease));
    }

    /// Takes a heartbeat of the peer.
    pub(crate) fn handle_ping(&mut self, now: Duration) {
        self.beats.handle_beat(now);
    }

    /// Takes the answer to a heartbeat; returns how long it took. One that was not sent, or is answered already, changes
    /// nothing.
    pub(crate) fn handle_pong(&mut self, n: u64, now: Duration) -> Option<Duration> {
        let at = self.unanswered.binary_search_by_key(&n, |(number, _)| *number).ok()?;
        let (_, sent) = self.unanswered[at];
        self.unanswered.drain(..=at);
        self.rtt = Some(now.saturating_sub(sent));
        self.leased_until = self.leased_until.max(sent.saturating_add(self.config.lease)); // invariant 1
        self.rtt
    }

    /// Returns the next action that is due now; call it until there is none.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<Action> {
        if self.over {
            return None; // invariant 2
        }
        if now >= self.given_up_at() {
            self.over = true;
            return Some(self.death(now));
        }
        match self.suspected {
            Some((since, before)) if self.heard >= since => {
                self.suspected = None;
                return Some(Action::Recovered { silent: self.heard.saturating_sub(before) });
            }
            None if now >= self.suspected_at() => {
                self.suspected = Some((now, self.heard));
                let silent = now.saturating_sub(self.heard);
                return Some(Action::Suspect { silent, phi: self.beats.phi(silent) });
            }
            _ => {}
        }
        (now >= self.next_ping).then(|| {
            self.next_ping = now.saturating_add(self.config.heartbeat);
            self.last_number += 1;
            if self.unanswered.len() == MOST_UNANSWERED {
                self.unanswered.pop_front();
            }
            self.unanswered.push_back((self.last_number, now));
            Action::Ping { n: self.last_number }
        })
    }

    fn death(&self, now: Duration) -> Action {
        let lease = self.config.lease;
        let (last_sign, limit) = match self.relation {
            Relation::Parent => (self.leased_until.saturating_sub(lease), SilenceLimit::OwnLease(lease)),
            Relation::Child => (self.heard, SilenceLimit::Lease(lease)),
            Relation::Other => (self.heard, SilenceLimit::Phi(self.config.dead_after)),
        };
        Action::Dead { silent: now.saturating_sub(last_sign), limit }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) may have something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        if self.over {
            return None;
        }
        let changes_at = match self.suspected {
            Some((since, _)) if self.heard >= since => self.heard,
            Some(_) => Duration::MAX,
            None => self.suspected_at(),
        };
        Some(self.next_ping.min(changes_at).min(self.given_up_at()))
    }

    fn suspected_at(&self) -> Duration {
        self.heard.saturating_add(self.beats.silence(self.suspect_at))
    }

    fn given_up_at(&self) -> Duration {
        match self.relation {
            Relation::Parent => self.leased_until,
            Relation::Child => self.heard.saturating_add(self.config.lease),
            Relation::Other => self.heard.saturating_add(self.beats.silence(self.dead_at)),
        }
    }

    /// Returns when this side's lease expires, if the peer grants it.
    pub(crate) fn leased_until(&self) -> Option<Duration> {
        (self.relation == Relation::Parent).then_some(self.leased_until)
    }

    /// Returns how it stands with the peer.
    pub(crate) fn health(&self, now: Duration) -> PeerHealth {
        let silent = now.saturating_sub(self.heard);
        match self.suspected {
            _ if self.over => PeerHealth::Dead,
            Some((since, _)) if self.heard < since => PeerHealth::Suspect { silent, phi: self.beats.phi(silent) },
            _ => PeerHealth::Alive { rtt: self.rtt },
        }
    }
}

/// How many heartbeats without an answer are remembered. An answer to an older one would renew the lease only
/// if that were longer than so many heartbeats.
const MOST_UNANSWERED: usize = 1024;
