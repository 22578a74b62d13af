//! Memory that two processes share and one of them writes: all that is unsafe in `pleach-shm`, and nothing else.
//!
//! # Invariants
//! 1. A peer's memory is mapped for reading, and only once it can't shrink: an access never raises SIGBUS.
//! 2. There is never a reference to its bytes, which the peer may write at any time: each is copied atomically.

use std::arch::asm;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::*};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{FsWord, MemfdFlags, SealFlags};
use rustix::fs::{fcntl_add_seals, fcntl_get_seals, fstat, fstatfs, ftruncate, memfd_create};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

/// A mapping. Dropping it unmaps it; the system frees the bytes with their last mapping and descriptor.
#[derive(Debug)]
pub struct Memory {
    map: MmapRaw,
    is_mine: bool,
}

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
        let map = MmapOptions::new().len(len).map_raw(&fd)?;
        fcntl_add_seals(&fd, SEALS | SealFlags::SEAL)?;
        map.advise(Advice::PopulateWrite)?; // where memory is short it fails here, and no access does later
        Ok((Self { map, is_mine: true }, fd))
    }

    /// Maps what a peer has [created](Self::create), for reading.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if its length is none of `lens`, if it may still shrink, and if it has
    /// huge pages, which others can use up; and those of the system.
    pub fn adopt(fd: BorrowedFd<'_>, lens: RangeInclusive<usize>) -> io::Result<Self> {
        let refused = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let seals = fcntl_get_seals(fd).map_err(|_| refused("the peer's memory is not a memfd"))?;
        match usize::try_from(fstat(fd)?.st_size) {
            _ if !seals.contains(SEALS) => Err(refused("the peer's memory is not sealed")),
            _ if fstatfs(fd)?.f_type != TMPFS => Err(refused("the peer's memory has huge pages")),
            Ok(len) if lens.contains(&len) => {
                let map = MmapOptions::new().len(len).map_raw_read_only(&fd)?;
                map.advise(Advice::PopulateRead)?; // as above
                Ok(Self { map, is_mine: false })
            }
            _ => Err(refused("the peer's memory has a size that is not allowed")),
        }
    }

    /// Returns its length in bytes.
    pub fn size(&self) -> usize {
        self.map.len()
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
        let shared = self.part(at, len);
        // SAFETY: there is so much room, and the copies initialise what is taken as such then.
        unsafe {
            let private = to.unfilled_mut().as_mut_ptr().cast::<u8>();
            for i in copy_blocks(shared, private, len)..len {
                private.add(i).write(AtomicU8::from_ptr(shared.add(i)).load(Relaxed));
            }
            to.assume_init(len);
        }
        to.advance(len);
    }

    /// Writes `bytes` at `at`. Panics if this is the peer's memory.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(self.is_mine, "the peer's memory is only read");
        let shared = self.part(at, bytes.len());
        // SAFETY: there are so many bytes at both.
        unsafe {
            let blocks = copy_blocks(bytes.as_ptr(), shared, bytes.len());
            for (i, byte) in bytes.iter().enumerate().skip(blocks) {
                AtomicU8::from_ptr(shared.add(i)).store(*byte, Relaxed);
            }
        }
    }

    fn number(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4), "byte {at} is not the place of a number");
        // SAFETY: inside and aligned, and all accesses are atomic. Loads of 32 bits do not write.
        unsafe { AtomicU32::from_ptr(self.part(at, 4).cast()) }
    }

    fn part(&self, at: usize, len: usize) -> *mut u8 {
        let size = self.size();
        assert!(at <= size && size - at >= len, "{len} bytes at {at} are not inside of {size}");
        self.map.as_mut_ptr().wrapping_add(at)
    }
}

/// Has the event loop watch whether `fd` can be read. Fails as the event loop does.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Copies blocks of 32 bytes while there are any, and returns how many bytes that was. To the compiler, these instructions
/// are whatever Rust may do: relaxed atomic copies of each byte. On other processors, all is copied byte by byte.
///
/// # Safety
/// As of [`std::ptr::copy_nonoverlapping`], but others may read and write the bytes meanwhile.
unsafe fn copy_blocks(from: *const u8, to: *mut u8, len: usize) -> usize {
    let blocks = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) { len & !31 } else { 0 };
    for (_from, _to) in (0..blocks).step_by(32).map(|at| (from.wrapping_add(at), to.wrapping_add(at))) {
        // SAFETY: so the caller has promised, here and below. Every such processor has these registers.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            asm!("movups {a}, [{from}]", "movups {b}, [{from} + 16]", "movups [{to}], {a}", "movups [{to} + 16], {b}",
                from = in(reg) _from, to = in(reg) _to, a = out(xmm_reg) _, b = out(xmm_reg) _, options(nostack));
        }
        #[cfg(target_arch = "aarch64")]
        unsafe {
            asm!("ldp {a:q}, {b:q}, [{from}]", "stp {a:q}, {b:q}, [{to}]",
                from = in(reg) _from, to = in(reg) _to, a = out(vreg) _, b = out(vreg) _, options(nostack));
        }
    }
    blocks
}

const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);
const TMPFS: FsWord = 0x0102_1994; // pages of the usual size
