//! How much may be under way in chunks at once: in one direction of a connection, over all of its streams.
//!
//! A receiver holds what has arrived of a message until the message is complete. So one message of more than [`LARGE`]
//! bytes is under way at a time, and smaller ones of at most [`SMALLER`] bytes together. The others wait in their
//! order; a smaller one waits for no larger one.
//!
//! # Invariants
//! 1. A message that has begun ends, as it waits for nothing but the link: so those that wait begin some time.

use super::frame::CHUNK;

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    large: bool,
    /// Bytes of the others.
    smaller: usize,
    /// How many have ended.
    ended: u64,
}

impl UnderWay {
    /// Lets a message of `size` bytes begin if it may; returns whether it does. One that comes whole always may.
    pub(super) fn begin(&mut self, size: usize) -> bool {
        if size > LARGE {
            return !std::mem::replace(&mut self.large, true);
        }
        let counts = if size > CHUNK { size } else { 0 };
        let begins = self.smaller + counts <= SMALLER;
        self.smaller += if begins { counts } else { 0 };
        begins
    }

    /// Notes that a message of `size` bytes, which had begun, is complete.
    pub(super) fn end(&mut self, size: usize) {
        if size > LARGE {
            self.large = false;
        } else if size > CHUNK {
            self.smaller -= size;
        } else {
            return;
        }
        self.ended += 1;
    }

    /// How many messages have ended: one that had to wait may begin once this has changed.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }
}

/// A message of more than this is a large one: enough for messages of usual sizes to take turns.
pub(super) const LARGE: usize = 4 << 20;

/// The bytes of smaller messages that may be under way.
pub(super) const SMALLER: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_large_and_the_others_have_their_bytes() {
        let mut under_way = UnderWay::default();
        assert!(under_way.begin(LARGE + 1) && !under_way.begin(usize::MAX));
        for _ in 0..8 {
            assert!(under_way.begin(LARGE));
        }
        assert!(!under_way.begin(CHUNK + 1));
        assert!(under_way.begin(CHUNK), "it comes whole");
        under_way.end(CHUNK);
        assert!(!under_way.begin(CHUNK + 1));
        under_way.end(LARGE);
        assert!(under_way.begin(CHUNK + 1) && !under_way.begin(LARGE));
        under_way.end(LARGE + 1);
        assert!(under_way.begin(LARGE + 1));
        assert_eq!(under_way.ended(), 2);
    }
}
