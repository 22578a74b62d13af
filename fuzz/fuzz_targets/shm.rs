//! Whatever a peer writes into the memory that it shares, and whenever: bytes or a typed error. While it is honest, both
//! sides read exactly what the other has written.
//!
//! A script of steps of four bytes says what the peer does, and when the other side reads and writes.
#![no_main]

#[path = "../../transports/shm/tests/peer/mod.rs"]
#[expect(dead_code, reason = "its other users need more of it")]
mod peer;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::Poll;

use libfuzzer_sys::fuzz_target;
use peer::{ENDED, Peer, READ, WRITTEN, opened};
use pleach_shm_memory::Memory;
use pleach_wire::Link;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;

fuzz_target!(|script: &[u8]| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (peer, link) = opened().await;
        let mut play = Play::new(peer, link);
        for step in script.as_chunks().0.iter().take(STEPS) {
            play.step(*step).await;
        }
        play.end().await;
    });
});

struct Play {
    /// `None` once it has closed its socket.
    peer: Option<Peer>,
    victim: Link,
    /// What the victim writes, as the peer sees it.
    theirs: Memory,
    /// Up to where the peer has written, and read.
    written: u32,
    read: u32,
    /// What is under way to the victim, and to the peer.
    to_victim: VecDeque<u8>,
    to_peer: VecDeque<u8>,
    /// The number of bytes that were ever made.
    made: u8,
    is_honest: bool,
    /// On the socket.
    has_spoken: bool,
}

impl Play {
    fn new(peer: Peer, victim: Link) -> Self {
        Self {
            theirs: Memory::adopt(peer.theirs[0].as_fd(), 0..=usize::MAX).expect("it is an honest one"),
            peer: Some(peer),
            victim,
            written: 0,
            read: 0,
            to_victim: VecDeque::new(),
            to_peer: VecDeque::new(),
            made: 0,
            is_honest: true,
            has_spoken: false,
        }
    }

    async fn step(&mut self, [step, a, b, c]: [u8; 4]) {
        let number = u32::from(u16::from_le_bytes([b, c]));
        match (step % 12, &self.peer) {
            (0, _) => self.victim_reads(number as usize).await,
            (1, _) => self.victim_writes(number as usize).await,
            (2, _) => self.victim_flushes().await,
            (_, None) => {}
            (3, Some(_)) => self.peer_writes(number),
            (4, Some(_)) => self.peer_reads(number),
            (5, Some(peer)) => peer.signal(),
            (6, Some(peer)) => {
                peer.memory.store(ENDED, u32::from(a));
                self.is_honest = false;
            }
            // A number that means something, or one beside it.
            (7, Some(peer)) => {
                peer.memory.store(64 + usize::from(a % 112) * 4, number.rotate_left(u32::from(a)));
                self.is_honest = false;
            }
            // A position that is nearly right.
            (8, Some(peer)) => {
                let (place, from) = if a & 1 == 0 { (WRITTEN, self.written) } else { (READ, self.read) };
                peer.memory.store(place, from.wrapping_add_signed(number as i32 - (1 << 15)));
                self.is_honest = false;
            }
            // Anywhere in the ring.
            (9, Some(peer)) => {
                peer.memory.store(RING + number as usize / 4 * 4, u32::from(a));
                self.is_honest = false;
            }
            (10, Some(peer)) => {
                // Once, so that it never waits for room.
                if !std::mem::replace(&mut self.has_spoken, true) {
                    peer.write_to_socket(&[a]);
                }
                self.is_honest = false;
            }
            (_, Some(_)) => self.peer = None,
        }
    }

    async fn victim_reads(&mut self, most: usize) {
        let mut space = vec![0; 2 * most + 1]; // perhaps more than the ring has
        let mut taken = ReadBuf::new(&mut space);
        let reader = &mut self.victim.reader;
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *reader).poll_read(cx, &mut taken))).await;
        match (polled, taken.filled()) {
            (Poll::Ready(Err(error)), []) => self.ended(&error),
            (Poll::Ready(Err(_)), _) => panic!("an error, and bytes"),
            (Poll::Pending, _) => assert!(!self.is_honest || self.to_victim.is_empty(), "bytes wait"),
            (Poll::Ready(Ok(())), []) => assert!(!self.is_honest, "that was no end"),
            (Poll::Ready(Ok(())), bytes) if self.is_honest => {
                assert!(self.to_victim.drain(..bytes.len()).eq(bytes.iter().copied()));
            }
            (Poll::Ready(Ok(())), _) => {}
        }
    }

    async fn victim_writes(&mut self, len: usize) {
        let bytes = self.make(len + 1);
        let writer = &mut self.victim.writer;
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *writer).poll_write(cx, &bytes))).await;
        match polled {
            Poll::Ready(Err(error)) => self.ended(&error),
            Poll::Pending => assert!(!self.is_honest || self.to_peer.len() == VICTIM_RING, "there is room"),
            Poll::Ready(Ok(written)) => {
                assert!((1..=bytes.len()).contains(&written));
                self.to_peer.extend(&bytes[..written]);
            }
        }
    }

    async fn victim_flushes(&mut self) {
        let writer = &mut self.victim.writer;
        poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx)).await.expect("a flush only wakes");
    }

    /// As many as there is room for.
    fn peer_writes(&mut self, len: u32) {
        let bytes = self.make((len as usize).min(PEER_RING - self.to_victim.len().min(PEER_RING)));
        let Some(peer) = &self.peer else { return };
        let at = self.written as usize % PEER_RING;
        let (first, second) = bytes.split_at(bytes.len().min(PEER_RING - at));
        peer.memory.write(RING + at, first);
        peer.memory.write(RING, second);
        self.written = self.written.wrapping_add(bytes.len() as u32);
        peer.memory.store(WRITTEN, self.written);
        self.to_victim.extend(bytes);
    }

    /// As many as there are.
    fn peer_reads(&mut self, most: u32) {
        let Some(peer) = &self.peer else { return };
        let there = self.theirs.load(WRITTEN).wrapping_sub(self.read);
        assert_eq!(there as usize, self.to_peer.len(), "it says what it has written");
        let len = (there.min(most) as usize).min(VICTIM_RING);
        let mut space = vec![0; len];
        let mut taken = ReadBuf::new(&mut space);
        let at = self.read as usize % VICTIM_RING;
        let first = len.min(VICTIM_RING - at);
        self.theirs.read(RING + at, &mut taken, first);
        self.theirs.read(RING, &mut taken, len - first);
        let sent = self.to_peer.drain(..len);
        assert!(!self.is_honest || sent.eq(taken.filled().iter().copied()));
        self.read = self.read.wrapping_add(len as u32);
        peer.memory.store(READ, self.read);
    }

    /// Bytes none of which is like the one before it.
    fn make(&mut self, len: usize) -> Vec<u8> {
        let first = self.made;
        self.made = (len % 251) as u8 ^ first;
        (0..len).map(|i| first.wrapping_add((i % 251) as u8)).collect()
    }

    /// The victim has learnt of an end.
    fn ended(&mut self, error: &io::Error) {
        let known = [ErrorKind::InvalidData, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(known.contains(&error.kind()), "{error}");
        assert!(!self.is_honest || self.peer.is_none(), "{error}");
    }

    async fn end(mut self) {
        let writer = &mut self.victim.writer;
        poll_fn(|cx| Pin::new(&mut *writer).poll_shutdown(cx)).await.expect("a shutdown waits for nothing");
        assert_eq!(self.theirs.load(ENDED), 1, "its end is told");
    }
}

/// More would only take time.
const STEPS: usize = 500;

/// Where a ring begins, and how long they are.
const RING: usize = 4096;
const PEER_RING: usize = 64 << 10;
const VICTIM_RING: usize = 256 << 10;
