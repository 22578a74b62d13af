//! Calls or tasks by their numbers: a sliding window over those that were opened last, so that a lookup is an index.
//!
//! One side opens its dialogs with numbers that rise by two, and most of them end soon. Those that stay open while many
//! others come and go are moved out of the window, into a map.
//!
//! # Invariants
//! 1. All numbers in the map are below those of the window, so entries come in the order of their numbers.
//! 2. The window has at most [`SPARE`] slots more than twice its entries, whatever numbers a peer chooses.

use std::collections::{BTreeMap, VecDeque};

use pleach_wire::Cid;

/// Entries by number. All numbers are odd, or all are even.
pub(super) struct Numbered<T> {
    early: BTreeMap<Cid, T>,
    /// The number of the first slot.
    first: u64,
    slots: VecDeque<Option<T>>,
    /// How many slots are taken.
    taken: usize,
}

impl<T> Numbered<T> {
    pub(super) const fn new() -> Self {
        Self { early: BTreeMap::new(), first: 0, slots: VecDeque::new(), taken: 0 }
    }

    /// Adds an entry. The caller has made sure that its number is free.
    pub(super) fn insert(&mut self, cid: Cid, entry: T) {
        if cid.0 < self.first {
            self.early.insert(cid, entry);
            return;
        }
        if self.slots.is_empty() {
            self.first = cid.0;
        }
        let slot = (cid.0 - self.first) / STEP;
        if slot > (self.slots.len() + SPARE) as u64 {
            self.move_out(0);
            self.first = cid.0;
        }
        let slot = ((cid.0 - self.first) / STEP) as usize;
        self.taken += 1;
        if slot == self.slots.len() {
            self.slots.push_back(Some(entry)); // as most do
        } else {
            self.slots.resize_with(self.slots.len().max(slot + 1), || None);
            self.slots[slot] = Some(entry);
        }
        self.bound();
    }

    pub(super) fn get(&self, cid: Cid) -> Option<&T> {
        match self.slot(cid) {
            Some(slot) => self.slots[slot].as_ref(),
            None => self.early.get(&cid),
        }
    }

    pub(super) fn get_mut(&mut self, cid: Cid) -> Option<&mut T> {
        match self.slot(cid) {
            Some(slot) => self.slots[slot].as_mut(),
            None => self.early.get_mut(&cid),
        }
    }

    pub(super) fn contains(&self, cid: Cid) -> bool {
        self.get(cid).is_some()
    }

    pub(super) fn remove(&mut self, cid: Cid) -> Option<T> {
        let Some(slot) = self.slot(cid) else { return self.early.remove(&cid) };
        let entry = match slot {
            // Most are the first one: moved once.
            0 => {
                self.first += STEP;
                self.slots.pop_front()?
            }
            _ => self.slots[slot].take(),
        }?;
        self.taken -= 1;
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += STEP;
        }
        self.bound();
        if self.slots.is_empty() && self.slots.capacity() > KEPT {
            self.slots = VecDeque::new();
        }
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.early.len() + self.taken
    }

    /// Returns the entries in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Cid, &T)> {
        let in_window =
            self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((self.cid(slot), entry.as_ref()?)));
        self.early.iter().map(|(cid, entry)| (*cid, entry)).chain(in_window)
    }

    /// Takes all entries out, in the order of their numbers.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Cid, T)> + use<T> {
        self.move_out(0);
        std::mem::take(&mut self.early).into_iter()
    }

    fn slot(&self, cid: Cid) -> Option<usize> {
        let ahead = cid.0.checked_sub(self.first).filter(|ahead| ahead % STEP == 0)?;
        usize::try_from(ahead / STEP).ok().filter(|slot| *slot < self.slots.len())
    }

    fn cid(&self, slot: usize) -> Cid {
        Cid(self.first + slot as u64 * STEP)
    }

    /// Keeps invariant 2.
    fn bound(&mut self) {
        if self.slots.len() > 2 * self.taken + SPARE {
            self.move_out(SPARE);
        }
    }

    /// Moves the first entries into the map, until at most `spare` slots are too many; for 0, all.
    #[cold]
    fn move_out(&mut self, spare: usize) {
        let fits = |window: &Self| spare > 0 && window.slots.len() <= 2 * window.taken + spare;
        while !fits(self)
            && let Some(slot) = self.slots.pop_front()
        {
            let cid = Cid(self.first);
            self.first += STEP;
            if let Some(entry) = slot {
                self.taken -= 1;
                self.early.insert(cid, entry);
            }
        }
    }
}

/// From one number of a side to its next.
const STEP: u64 = 2;

/// So many slots of the window may be free beside as many as are taken.
const SPARE: usize = 64;

/// The memory of so many slots is kept when all are free.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::btree_map::Entry;

    use super::*;

    #[test]
    fn it_is_a_map_in_order_whatever_the_numbers() {
        let (mut window, mut map, mut seed) = (Numbered::new(), BTreeMap::new(), 1u64);
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut number = 1;
        for step in 0..4_000u64 {
            // Mostly in a row; sometimes far ahead, or behind.
            let cid = Cid(match next(50) {
                0 => number + 2 * next(1_000),
                1 => next(number / 2 + 1) * 2 + 1,
                _ => number + 2,
            });
            number = number.max(cid.0);
            if let Entry::Vacant(free) = map.entry(cid) {
                window.insert(cid, step);
                free.insert(step);
            }
            let gone = Cid(next(number / 2 + 1) * 2 + 1);
            for cid in [gone, Cid(number.saturating_sub(2 * next(70))), Cid(gone.0 + 1)] {
                assert_eq!((window.get(cid), window.contains(cid)), (map.get(&cid), map.contains_key(&cid)));
                assert_eq!(window.get_mut(cid), map.get_mut(&cid));
                assert_eq!(window.remove(cid), map.remove(&cid));
            }
            assert!(window.len() == map.len() && window.slots.len() <= 2 * window.taken + SPARE);
            if step % 100 == 0 {
                assert!(window.iter().eq(map.iter().map(|(cid, entry)| (*cid, entry))));
            }
        }
        assert!(window.take().eq(map) && window.len() == 0 && window.slots.is_empty());
    }

    #[test]
    fn one_that_stays_holds_no_room_for_those_that_come_and_go() {
        let mut window = Numbered::new();
        window.insert(Cid(2), "stays");
        for number in 2..100_000 {
            window.insert(Cid(2 * number), "goes");
            assert_eq!(window.remove(Cid(2 * number)), Some("goes"));
        }
        assert!(window.slots.capacity() <= KEPT && window.get(Cid(2)) == Some(&"stays"));
        (0..10 * KEPT as u64).for_each(|number| window.insert(Cid((1 << 40) + 2 * number), "many"));
        for number in 0..10 * KEPT as u64 {
            window.remove(Cid((1 << 40) + 2 * number)).expect("it was put in");
        }
        assert!(window.slots.capacity() <= KEPT && window.len() == 1);
    }
}
