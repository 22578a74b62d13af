//! What a look from another thread sees of a connection: it never waits for a lock.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use pleach_wire::sync::try_lock;
use pleach_wire::{Key, Volume};

use super::Channel;
use crate::error::Packed;
use crate::proto::failure_detector::PeerHealth;
use crate::proto::session::Counts;
use crate::sync::lock;

/// When the last failure was told to the peer, and the beginning of its message.
pub(super) type LastFailure = Mutex<Option<(SystemTime, String)>>;

impl Channel {
    /// Returns its codec and protocol.
    pub(crate) fn transport_key(&self) -> Key {
        let transport = self.transport();
        Key::new(transport.format().name(), transport.ends().remote.protocol())
    }

    /// Returns how much is open, unless that is changing.
    pub(crate) fn counts_now(&self) -> Option<Counts> {
        Some(try_lock(&self.0.session)?.counts())
    }

    /// Returns what has crossed, unless that is changing, or the transport does not count.
    pub(crate) fn volume_now(&self) -> Option<Volume> {
        self.transport().volume()
    }

    /// Returns how long the answer to the last heartbeat took, if there was one.
    pub(crate) fn rtt_now(&self) -> Option<Duration> {
        match try_lock(self.0.detector.as_ref()?)?.health(self.now()) {
            PeerHealth::Alive { rtt } => rtt,
            PeerHealth::Suspect { .. } | PeerHealth::Dead => None,
        }
    }

    /// Returns the last failure that the peer was told, and when.
    pub(crate) fn last_failure_now(&self) -> Option<(SystemTime, String)> {
        try_lock(&self.0.last_failure)?.clone()
    }

    /// Notes what the peer is told.
    pub(super) fn note_failure_told(&self, failure: &Packed) {
        let message = failure.to_string().chars().take(LONGEST_MESSAGE).collect();
        *lock(&self.0.last_failure) = Some((SystemTime::now(), message));
    }
}

/// As many characters of a failure's message are kept.
const LONGEST_MESSAGE: usize = 300;
