//! What a hostile peer can do: each case ends in a typed error, and never in a hang, a signal or wrong memory.
//!
//! The peer is played by hand: it connects to a listener's socket, and hands over and writes what it likes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod peer;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use peer::{Peer, Place, SEALED, event, memfd, opened};
use pleach_conformance::patience::patience;
use pleach_wire::{Link, TransportError};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::SealFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// What becomes of a dialer that hands over `fds` with `greeting`.
async fn refusal(greeting: &[u8], fds: &[OwnedFd]) -> String {
    let mut place = Place::listening().await;
    let peer = Peer::connect(&place.path).await;
    peer.hand_over(greeting, fds);
    match timeout(patience(), place.listener.accept()).await.expect("it is not waited for") {
        Err(TransportError::Handshake(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_hands_over_something_else_is_refused() {
    let good = || memfd(4096 + 65536, SEALED);
    for (memory, why) in [
        (memfd(4096 + 65536, SealFlags::empty()), "not sealed"),
        (memfd(4096 + 65536, SealFlags::SHRINK | SealFlags::GROW), "not sealed"),
        (memfd(4096 + 60000, SEALED), "power of two"),
        (memfd(4096 + (1 << 30), SEALED), "size"),
        (memfd(0, SEALED), "size"),
        (std::fs::File::open("/proc/self/exe").unwrap().into(), "not a memfd"),
        (event(), "not a memfd"),
    ] {
        let said = refusal(&[1], &[memory, event(), event()]).await;
        assert!(said.contains(why), "{said}");
    }
    let blocking = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let pipe = || OwnedFd::from(std::io::pipe().unwrap().1);
    for wrong in [blocking(), pipe(), good()] {
        let said = refusal(&[1], &[good(), wrong, event()]).await;
        assert!(said.contains("event"), "{said}");
    }
    let said = refusal(&[1], &[good(), event()]).await;
    assert!(said.contains("a memory and two events"), "{said}");
    let said = refusal(&[1], &[]).await;
    assert!(said.contains("a memory and two events"), "{said}");
    let said = refusal(&[1], &[good(), event(), event(), event(), event(), event()]).await;
    assert!(said.contains("a memory and two events"), "{said}");
    let said = refusal(&[2], &[good(), event(), event()]).await;
    assert!(said.contains("another version"), "{said}");
}

#[tokio::test]
async fn a_silent_dialer_keeps_no_other_out() {
    let mut place = Place::listening().await;
    let _silent = [Peer::connect(&place.path).await, Peer::connect(&place.path).await];
    let (peer, link) = tokio::join!(Peer::open(&place.path), place.listener.accept());
    assert!(link.is_ok(), "{link:?}");
    drop(peer);
}

#[tokio::test]
async fn a_silent_dialer_is_given_up() {
    let mut place = Place::listening().await;
    let _silent = Peer::connect(&place.path).await;
    tokio::time::pause(); // the clock goes on when nothing else does
    match place.listener.accept().await {
        Err(TransportError::Handshake(why)) => assert!(why.contains("within 10s"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// What reading and writing come to, once the peer has done its worst.
async fn ends(mut link: Link) -> (ErrorKind, ErrorKind) {
    let mut taken = vec![0; 1000];
    let read = async {
        loop {
            match link.reader.read(&mut taken).await {
                Ok(0) => panic!("that was no end"),
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    };
    let written = async {
        loop {
            if let Err(error) = link.writer.write_all(&[0; 1000]).await {
                return error.kind();
            }
        }
    };
    timeout(patience(), async { tokio::join!(read, written) }).await.expect("both notice it")
}

#[tokio::test]
async fn positions_that_lie_are_an_error() {
    for (number, value) in [(peer::WRITTEN, 1 << 30), (peer::WRITTEN, u32::MAX), (peer::WRITTEN, 65537)] {
        let (peer, mut link) = opened().await;
        peer.memory.store(number, value);
        let read = timeout(patience(), link.reader.read(&mut [0; 10])).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData, "{number} is {value}");
    }
    // One that goes back only leaves less room.
    for value in [1, 1 << 30] {
        let (peer, mut link) = opened().await;
        peer.memory.store(peer::READ, value);
        let written = timeout(patience(), link.writer.write(&[0; 10])).await.unwrap();
        assert_eq!(written.unwrap_err().kind(), ErrorKind::InvalidData, "read up to {value}");
    }
}

#[tokio::test]
async fn a_word_on_the_socket_is_an_error() {
    let (peer, link) = opened().await;
    peer.write_to_socket(b"hello");
    assert_eq!(ends(link).await, (ErrorKind::InvalidData, ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn a_peer_that_closes_the_socket_has_ended_for_both_halves() {
    let (peer, link) = opened().await;
    peer.memory.write(4096, b"last words");
    peer.memory.store(peer::WRITTEN, 10);
    drop(peer);
    assert_eq!(ends(link).await, (ErrorKind::ConnectionReset, ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn what_was_written_before_an_end_comes_before_it() {
    for ended in [0, 1, u32::MAX] {
        let (peer, mut link) = opened().await;
        peer.memory.write(4096, b"last words");
        peer.memory.store(peer::WRITTEN, 10);
        peer.memory.store(peer::ENDED, ended);
        drop(peer);
        let mut heard = [0; 10];
        link.reader.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"last words");
        match link.reader.read(&mut heard).await {
            Ok(0) => assert_ne!(ended, 0, "it was cut off"),
            Err(error) => assert_eq!((error.kind(), ended), (ErrorKind::ConnectionReset, 0)),
            Ok(more) => panic!("{more} bytes that were never written"),
        }
    }
}

/// Scribbles all over its memory while bytes go both ways: all that comes of it are errors and wrong bytes.
#[tokio::test]
async fn a_scribbler_causes_errors_and_wrong_bytes_only() {
    for round in 1..=100u32 {
        let (peer, mut link) = opened().await;
        let mut seed = round.wrapping_mul(2_654_435_761);
        let mut buf = vec![0; 3000];
        for _ in 0..200 {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            // Every other one hits a number that means something.
            let at = if seed & 1 == 0 { 64 * (1 + seed as usize / 2 % 6) } else { seed as usize % 2048 * 4 };
            peer.memory.store(at, seed.rotate_left(7) % (1 << (round % 32)));
            peer.signal();
            let step = async {
                tokio::select! {
                    biased;
                    read = link.reader.read(&mut buf) => read.map(drop),
                    written = link.writer.write(&[7; 500]) => written.map(drop),
                    () = tokio::task::yield_now() => Ok(()),
                }
            };
            if step.await.is_err() {
                break;
            }
        }
        drop(peer);
        // It is left at once, whatever the numbers say.
        let _ = timeout(patience(), link.writer.shutdown()).await.expect("a shutdown waits for nothing");
    }
}
