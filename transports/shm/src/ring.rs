//! What lies where in a memory: numbers that its owner stores, a cache line each, and behind them the bytes of its ring.
//!
//! Positions count all bytes that were ever written, modulo 2^32.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use pleach_shm_memory::Memory;
use pleach_wire::transport::{RING_SIZES, is_ring_size};
use tokio::io::ReadBuf;

use crate::nap::Place;
use crate::shared::invalid;

/// The memory of one side.
pub(crate) struct Ring {
    memory: Memory,
    /// The bytes of the ring.
    size: u32,
}

impl Ring {
    /// Makes this side's, and the descriptor by which the peer adopts it. `size` is that of a ring.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn create(size: usize) -> io::Result<(Self, OwnedFd)> {
        let (memory, fd) = Memory::create(NUMBERS + size)?;
        Ok((Self { memory, size: size as u32 }, fd))
    }

    /// Takes the peer's.
    ///
    /// # Errors
    /// When it is not one, and those of the system.
    pub(crate) fn adopt(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let memory = Memory::adopt(fd, NUMBERS + RING_SIZES.start()..=NUMBERS + RING_SIZES.end())?;
        match memory.size() - NUMBERS {
            size if is_ring_size(size) => Ok(Self { memory, size: size as u32 }),
            _ => Err(invalid("the peer's ring is not a power of two")),
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn number(&self, number: Number) -> Cell<'_> {
        Cell { memory: &self.memory, number }
    }

    /// Appends `len` bytes from `position` on to `to`.
    pub(crate) fn read(&self, position: u32, to: &mut ReadBuf<'_>, len: usize) {
        let (at, first) = self.place(position, len);
        self.memory.read(at, to, first);
        self.memory.read(NUMBERS, to, len - first);
    }

    /// Writes `from` from `position` on.
    pub(crate) fn write(&self, position: u32, from: &[u8]) {
        let (at, first) = self.place(position, from.len());
        self.memory.write(at, &from[..first]);
        self.memory.write(NUMBERS, &from[first..]);
    }

    /// Where `position` is, and how many of the next `len` bytes lie before the end of the ring.
    fn place(&self, position: u32, len: usize) -> (usize, usize) {
        let offset = position & (self.size - 1);
        (NUMBERS + offset as usize, len.min((self.size - offset) as usize))
    }
}

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
    /// The processor on which the owner last wrote, or began to wait for bytes, plus one; 0 before.
    Processor = 384,
}

/// A number in its memory.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    memory: &'a Memory,
    number: Number,
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

/// Where the ring begins.
const NUMBERS: usize = 4096;
