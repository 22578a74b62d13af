//! What is shared, and what a peer can't do to it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

use pleach_shm_memory::Memory;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create};
use tokio::io::ReadBuf;

/// Reads by a fresh buffer that has room for `room` bytes, as a runtime reads.
fn read(memory: &Memory, at: usize, len: usize, room: usize) -> Vec<u8> {
    let mut space = vec![MaybeUninit::uninit(); room];
    let mut buf = ReadBuf::uninit(&mut space);
    memory.read(at, &mut buf, len);
    buf.filled().to_vec()
}

#[test]
fn bytes_arrive_from_and_at_every_alignment() {
    let (mine, fd) = Memory::create(8192).unwrap();
    let theirs = Memory::adopt(fd.as_fd(), 8192..=8192).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    for at in 0..17 {
        for len in [0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 200] {
            for from in 0..9 {
                let sent = &bytes[from..from + len];
                mine.write(64 + at, &[0xee; 216]);
                mine.write(64 + at, sent);
                assert_eq!(read(&theirs, 64 + at, len, len), sent, "{len} bytes from {from} to {at}");
                assert_eq!(read(&theirs, 64 + at + len, 8, 8), [0xee; 8], "behind {len} bytes from {from} to {at}");
                assert_eq!(read(&theirs, 64 + at, len, len + at), sent, "with room for more");
            }
        }
    }
}

#[test]
fn what_is_appended_stands_behind_what_was_there() {
    let (mine, _fd) = Memory::create(4096).unwrap();
    mine.write(10, b"behind");
    let mut space = [MaybeUninit::uninit(); 32];
    let mut buf = ReadBuf::uninit(&mut space);
    buf.put_slice(b"before ");
    mine.read(10, &mut buf, 6);
    assert_eq!(buf.filled(), b"before behind");
}

/// Two threads, as two processes: what was written before a number was stored is seen by those who see the number.
#[test]
fn bytes_come_before_the_number_that_announces_them() {
    let (mine, fd) = Memory::create(8192).unwrap();
    let theirs = Memory::adopt(fd.as_fd(), 8192..=8192).unwrap();
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=5_000u32 {
                mine.write(4096 + (round % 9) as usize, &[round as u8; 100]);
                mine.store(64, round);
                while seen.load(Ordering::Acquire) != round {
                    std::thread::yield_now();
                }
            }
        });
        for round in 1..=5_000u32 {
            while theirs.load(64) != round {
                std::thread::yield_now();
            }
            assert_eq!(read(&theirs, 4096 + (round % 9) as usize, 100, 128), [round as u8; 100]);
            seen.store(round, Ordering::Release);
        }
    });
}

/// A memfd of a hostile peer.
fn memfd(len: u64, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, len).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

const ALL: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);

fn refusal(fd: &impl AsFd) -> String {
    let error = Memory::adopt(fd.as_fd(), 8192..=65536).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    error.to_string()
}

#[test]
fn only_sealed_memory_of_an_allowed_size_is_adopted() {
    assert!(Memory::adopt(memfd(8192, ALL).as_fd(), 8192..=65536).is_ok());
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE] {
        assert!(refusal(&memfd(8192, ALL.difference(missing))).contains("not sealed"));
    }
    for len in [0, 8191, 65537, 1 << 40] {
        assert!(refusal(&memfd(len, ALL)).contains("size"), "{len}");
    }
    assert!(refusal(&File::open("/proc/self/exe").unwrap()).contains("not a memfd"));
    assert!(refusal(&std::io::pipe().unwrap().0).contains("not a memfd"));
    // Where the system has such pages at all.
    if let Ok(huge) = memfd_create("huge", MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB) {
        fcntl_add_seals(&huge, ALL).unwrap();
        assert!(refusal(&huge).contains("huge pages"));
    }
}

#[test]
fn its_maker_can_only_write_by_its_first_mapping() {
    let (mine, fd) = Memory::create(8192).unwrap();
    mine.write(5000, b"first");
    assert_eq!(ftruncate(&fd, 0), Err(rustix::io::Errno::PERM));
    assert_eq!(ftruncate(&fd, 16384), Err(rustix::io::Errno::PERM));
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(fallocate(&fd, hole, 0, 8192), Err(rustix::io::Errno::PERM));
    assert_eq!(fcntl_add_seals(&fd, SealFlags::WRITE), Err(rustix::io::Errno::PERM));
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let again = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write(b"x"));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let file = File::from(fd);
    assert_eq!(file.write_at(b"x", 5000).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(read(&mine, 5000, 5, 5), b"first");
}

#[test]
fn a_memory_outlives_its_descriptor_and_its_maker() {
    let (mine, fd) = Memory::create(8192).unwrap();
    let theirs = Memory::adopt(fd.as_fd(), 8192..=8192).unwrap();
    drop(fd);
    mine.write(100, b"last words");
    drop(mine);
    assert_eq!(read(&theirs, 100, 10, 10), b"last words");
}

fn panics(what: impl FnOnce() + std::panic::UnwindSafe) {
    assert!(std::panic::catch_unwind(what).is_err());
}

#[test]
fn what_is_not_inside_is_refused() {
    let (mine, fd) = Memory::create(4096).unwrap();
    let theirs = &Memory::adopt(fd.as_fd(), 4096..=4096).unwrap();
    let mine = &mine;
    panics(|| _ = mine.load(2));
    panics(|| _ = mine.load(4096));
    panics(|| _ = mine.load(usize::MAX - 3));
    panics(|| mine.write(4090, &[0; 7]));
    panics(|| mine.write(usize::MAX, &[0; 2]));
    panics(|| drop(read(mine, 4090, 7, 7)));
    panics(|| drop(read(mine, usize::MAX, 2, 2)));
    panics(|| drop(read(mine, 0, 8, 7)));
    panics(|| theirs.store(64, 1));
    panics(|| theirs.write(64, b"x"));
}
