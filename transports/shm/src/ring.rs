//! What lies where in a memory: numbers that its owner stores, a cache line each, and behind them the bytes of its ring.
//!
//! Positions count all bytes that were ever written, modulo 2^32.

use std::ops::RangeInclusive;
use std::sync::atomic::{Ordering, fence};

use pleach_shm_memory::Memory;
use tokio::io::ReadBuf;

use crate::nap::Place;

/// A number in a memory.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Number {
    /// Up to where the owner has written its ring.
    Written = 64,
    /// Up to where the owner has read the peer's ring.
    Read = 128,
    /// The nap of the owner's reader.
    ReaderNap = 192,
    /// The nap of the owner's writer.
    WriterNap = 256,
    /// Whether the owner has written its last byte: 1.
    Ended = 320,
    /// The processor on which the owner last wrote, plus one; 0 where it does not say.
    Processor = 384,
}

/// A number in its memory.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    memory: &'a Memory,
    number: Number,
}

impl<'a> Cell<'a> {
    pub(crate) fn of(memory: &'a Memory, number: Number) -> Self {
        Self { memory, number }
    }
}

impl Place for Cell<'_> {
    fn load(&self) -> u32 {
        self.memory.load(self.number as usize)
    }

    fn store(&self, number: u32) {
        self.memory.store(self.number as usize, number);
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// Returns the length of a memory whose ring has `bytes`.
pub(crate) fn memory_for(bytes: usize) -> usize {
    NUMBERS + bytes
}

/// The lengths of memories that are allowed.
pub(crate) fn allowed() -> RangeInclusive<usize> {
    memory_for(*BYTES.start())..=memory_for(*BYTES.end())
}

/// Returns the bytes of a memory's ring, if that is a size of rings.
pub(crate) fn bytes_of(memory: &Memory) -> Option<u32> {
    let bytes = memory.size().checked_sub(NUMBERS)?;
    (bytes.is_power_of_two() && BYTES.contains(&bytes)).then_some(bytes as u32)
}

/// Appends `len` bytes of a ring of `bytes`, from `position` on, to `to`.
pub(crate) fn read(memory: &Memory, bytes: u32, position: u32, to: &mut ReadBuf<'_>, len: usize) {
    let (at, first) = place(bytes, position, len);
    memory.read(at, to, first);
    memory.read(NUMBERS, to, len - first);
}

/// Writes `from` to a ring of `bytes`, from `position` on.
pub(crate) fn write(memory: &Memory, bytes: u32, position: u32, from: &[u8]) {
    let (at, first) = place(bytes, position, from.len());
    memory.write(at, &from[..first]);
    memory.write(NUMBERS, &from[first..]);
}

/// Where `position` is, and how many of the next `len` bytes lie before the end of the ring.
fn place(bytes: u32, position: u32, len: usize) -> (usize, usize) {
    let offset = (position & (bytes - 1)) as usize;
    (NUMBERS + offset, len.min(bytes as usize - offset))
}

/// The sizes that a ring may have; a power of two.
pub(crate) const BYTES: RangeInclusive<usize> = 4 << 10..=64 << 20;

/// Where the ring begins.
const NUMBERS: usize = 4096;
