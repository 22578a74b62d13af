//! Memory that two processes share and one of them writes: all that is unsafe in `pleach-shm`, and nothing else.
//!
//! # Invariants
//! 1. A peer's memory is mapped for reading, and only once it can't shrink: an access never raises SIGBUS.
//! 2. There is never a reference to its bytes, which the peer may write at any time: relaxed atomics copy them. That takes
//!    up to a third longer than a plain copy, which would be a data race.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::*};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::param::page_size;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

/// A mapping. Dropping it unmaps it; the system frees the bytes with their last mapping and descriptor.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
    is_mine: bool,
}

// SAFETY: all that is ever done with the bytes is atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes `len` zero bytes that this mapping alone will ever write, and the descriptor by which a peer adopts them.
    ///
    /// # Errors
    /// Those of the system: no memory, no descriptor, or a kernel before Linux 5.14.
    pub fn create(len: usize) -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know the flag against execution.
        let fd = memfd_create("pleach", flags | MemfdFlags::NOEXEC_SEAL).or_else(|_| memfd_create("pleach", flags))?;
        ftruncate(&fd, len as u64)?;
        let memory = Self::map(fd.as_fd(), len, true)?;
        fcntl_add_seals(&fd, SEALS | SealFlags::SEAL)?;
        Ok((memory, fd))
    }

    /// Maps what a peer has [created](Self::create), for reading.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if its length is none of `lens`, if it may still shrink, and if it has
    /// huge pages, which others can use up; and those of the system.
    pub fn adopt(fd: BorrowedFd<'_>, lens: RangeInclusive<usize>) -> io::Result<Self> {
        let refused = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let seals = fcntl_get_seals(fd).map_err(|_| refused("the peer's memory is not a memfd"))?;
        let stat = fstat(fd)?;
        match usize::try_from(stat.st_size) {
            _ if !seals.contains(SEALS) => Err(refused("the peer's memory is not sealed")),
            _ if stat.st_blksize as usize != page_size() => Err(refused("the peer's memory has huge pages")),
            Ok(len) if lens.contains(&len) => Self::map(fd, len, false),
            _ => Err(refused("the peer's memory has a size that is not allowed")),
        }
    }

    fn map(fd: BorrowedFd<'_>, len: usize, is_mine: bool) -> io::Result<Self> {
        let protection = if is_mine { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let populate = if is_mine { Advice::LinuxPopulateWrite } else { Advice::LinuxPopulateRead };
        // SAFETY: a new mapping at an address of the system's choice.
        let base = unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, fd, 0) }?;
        let memory = Self { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len, is_mine };
        // SAFETY: it is that mapping. Where memory is short it fails here, and no access does later.
        unsafe { madvise(base, len, populate) }?;
        Ok(memory)
    }

    /// Returns its length in bytes.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Loads the number at byte `at`, and sees what was written before it was stored. As the other methods, it panics if
    /// that is not inside, or not aligned.
    pub fn load(&self, at: usize) -> u32 {
        self.number(at).load(Acquire)
    }

    /// Stores a number at byte `at`, behind all that was written before. Panics if this is the peer's memory.
    pub fn store(&self, at: usize, number: u32) {
        assert!(self.is_mine, "the peer's memory is only read");
        self.number(at).store(number, Release);
    }

    /// Appends the `len` bytes at `at` to `to`. Panics if it has less room.
    pub fn read(&self, at: usize, to: &mut ReadBuf<'_>, len: usize) {
        assert!(to.remaining() >= len, "{len} bytes do not fit");
        // SAFETY: there is so much room, and the copy initialises what is taken as such then.
        unsafe {
            let private = to.unfilled_mut().as_mut_ptr().cast::<u8>();
            let byte = |i, shared: &AtomicU8| private.add(i).write(shared.load(Relaxed));
            let word = |i, shared: &AtomicU64| private.add(i).cast::<u64>().write_unaligned(shared.load(Relaxed));
            self.each(at, len, byte, word);
            to.assume_init(len);
        }
        to.advance(len);
    }

    /// Writes `bytes` at `at`. Panics if this is the peer's memory.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(self.is_mine, "the peer's memory is only read");
        let private = bytes.as_ptr();
        // SAFETY: there are so many bytes.
        let read = |i| unsafe { private.add(i).cast::<u64>().read_unaligned() };
        let word = |i, shared: &AtomicU64| shared.store(read(i), Relaxed);
        self.each(at, bytes.len(), |i, shared| shared.store(bytes[i], Relaxed), word);
    }

    fn number(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at < self.len, "byte {at} of {} is not the place of a number", self.len);
        // SAFETY: inside and aligned, and all accesses are atomic. Loads of 32 bits do not write.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    /// Shows the words among the `len` bytes at `at`, and the bytes around them, with their places.
    fn each(&self, at: usize, len: usize, byte: impl Fn(usize, &AtomicU8), word: impl Fn(usize, &AtomicU64)) {
        assert!(at <= self.len && self.len - at >= len, "{len} bytes at {at} are not inside of {}", self.len);
        // SAFETY: all of it is inside, words are aligned, and all accesses are atomic.
        unsafe {
            let shared = self.base.as_ptr().add(at);
            let head = shared.align_offset(8).min(len);
            let words = head..head + (len - head) / 8 * 8;
            (0..head).chain(words.end..len).for_each(|i| byte(i, AtomicU8::from_ptr(shared.add(i))));
            words.step_by(8).for_each(|i| word(i, AtomicU64::from_ptr(shared.add(i).cast())));
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nothing refers to it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) }; // it is mapped
    }
}

/// Has the event loop watch whether `fd` can be read. Fails as the event loop does.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);
