//! Sleeping and waking between two processes, without a lost wake.
//!
//! A sleeper stores the number of its nap where the peer sees it, looks once more for what it waits for, and waits for its
//! event. The peer publishes, looks at that number, and signals the event, once for each nap. Nothing else is shared: the
//! number is in the memory of the sleeper, and which one was woken is known to the peer alone.
//!
//! `tests/loom` tries all interleavings of it.
//!
//! # Invariants
//! 1. A look in vain begins a new nap, also for one who sleeps already: the peer may have signalled the former nap for
//!    something that was taken before that nap began, and would not signal it again.
//! 2. A fence stands between storing the number and the look, and one between publishing and looking at the number: at
//!    least one side sees what the other has done.

/// Where the number of a nap is stored: zero while its owner is awake.
pub(crate) trait Place {
    fn load(&self) -> u32;

    fn store(&self, number: u32);

    /// A sequentially consistent fence.
    fn fence();
}

/// The side that waits.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    number: u32,
    sleeps: bool,
}

impl Sleeper {
    /// Begins a nap. Look once more, and wait for the event only if that was in vain.
    pub(crate) fn begin<P: Place>(&mut self, place: &P) {
        self.number = self.number.wrapping_add(1).max(1);
        self.sleeps = true;
        place.store(self.number);
        P::fence();
    }

    /// Ends the nap, if there is one, and returns whether there was.
    pub(crate) fn end<P: Place>(&mut self, place: &P) -> bool {
        let slept = std::mem::take(&mut self.sleeps);
        if slept {
            place.store(0);
        }
        slept
    }
}

/// The side that wakes the other.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    woken: u32,
}

impl Waker {
    /// Returns whether the peer has to be woken for what was published before.
    pub(crate) fn must_wake<P: Place>(&mut self, place: &P) -> bool {
        P::fence();
        let number = place.load();
        if number == 0 || number == self.woken {
            return false;
        }
        self.woken = number;
        true
    }
}
