//! Connections end: closed, dropped, half-closed, cut, aborted.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use pleach_wire::transport::Lane;
use pleach_wire::{MsgTransportExt, TransportError};
use tokio::io::AsyncWriteExt;

use crate::say::{Parcel, end_of, number, number_of, numbers_until_end, one};
use crate::subject::{Role, Subject};

/// What was queued but not flushed arrives before the end, and the end is graceful.
pub async fn close_sends_what_was_queued(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        for n in 0..1000 {
            pair.near.queue(Lane::CONTROL, &number(&n)).unwrap();
        }
        let (closed, (numbers, end)) = tokio::join!(pair.near.close(), numbers_until_end(&pair.far));
        closed.unwrap();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert!(end.is_closed(), "a clean end is not a fault: {end:?}");
    }
}

/// After a close the connection can be dropped at once, even with much on its way to a peer that reads
/// slowly, and with messages of the peer unread.
pub async fn close_then_drop_delivers(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        for n in 0..10 {
            pair.far.send(&[number(&n)]).await.unwrap(); // never received
        }
        let near = pair.near;
        let close = async move {
            for n in 0..BACKLOG {
                near.queue(Lane::CONTROL, &Parcel::new(n, 64 << 10).message()).unwrap();
            }
            near.close().await.unwrap();
            drop(near);
        };
        let receive = async {
            let (mut inbox, mut arrived) = (crate::say::Inbox::new(&pair.far), 0);
            loop {
                match inbox.next().await {
                    Ok(msg) => {
                        assert!(Parcel::of(&msg) == Parcel::new(arrived, 64 << 10), "message {arrived} changed");
                        arrived += 1;
                    }
                    Err(end) => return (arrived, end),
                }
            }
        };
        let ((), (arrived, end)) = tokio::join!(close, receive);
        assert_eq!(arrived, BACKLOG, "the connection ended early: {end:?}");
        assert!(end.is_closed(), "the end is not a fault: {end:?}");
    }
}

/// A close ends one direction; what the peer still sends arrives.
pub async fn a_closed_direction_leaves_the_other_open(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.near.close().await.unwrap();
        assert!(end_of(&pair.far).await.is_closed());
        pair.far.send(&[number(&1)]).await.unwrap();
        assert_eq!(number_of(&one(&pair.near).await), 1);
        pair.far.close().await.unwrap();
        assert!(end_of(&pair.near).await.is_closed());
    }
}

/// A stream that ends inside a frame, or inside its length, is `Truncated`.
pub async fn an_end_inside_a_frame_is_truncated(subject: &Subject) {
    for role in Role::BOTH {
        for opening in [&[40, 0][..], &[40, 0, 0, 0, b'[']] {
            let mut raw = subject.raw(role, opening).await;
            raw.near.writer.shutdown().await.unwrap();
            match end_of(&raw.far).await {
                TransportError::Truncated { received, .. } => assert_eq!(received, opening.len()),
                end => panic!("expected Truncated and got {end:?}"),
            }
        }
    }
}

/// Dropping one end ends a receive that waits at the other.
pub async fn a_dropped_connection_wakes_the_peer(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let mut waiting = pin!(end_of(&pair.far));
        assert!(poll!(&mut waiting).is_pending());
        drop(pair.near);
        let end = waiting.await;
        assert!(end.is_closed(), "between frames the end is graceful: {end:?}");
    }
}

/// A peer that vanishes inside a frame, without any close, ends a receive that waits with a fault.
pub async fn a_vanished_peer_wakes_the_receiver(subject: &Subject) {
    for role in Role::BOTH {
        let raw = subject.raw(role, &[40, 0, 0, 0, b'[']).await;
        let mut waiting = pin!(end_of(&raw.far));
        assert!(poll!(&mut waiting).is_pending());
        drop(raw.near);
        let end = waiting.await;
        assert!(matches!(end, TransportError::Truncated { .. } | TransportError::Reset(_)), "{end:?}");
    }
}

/// An abort ends all waiters of the connection, on both sides.
pub async fn abort_wakes_everyone_here_and_there(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let full = fill(&pair.near);
        let mut receiving = pin!(end_of(&pair.near));
        let mut peer = pin!(numbers_or_end(&pair.far));
        let mut room = pin!(poll_fn(|cx| pair.near.poll_room(cx)));
        let mut flushing = pin!(pair.near.flush());
        assert!(full && poll!(&mut room).is_pending() && poll!(&mut flushing).is_pending());
        assert!(poll!(&mut receiving).is_pending());
        pair.near.abort();
        pair.near.abort();
        assert!(receiving.await.is_closed());
        assert!(room.await.is_err());
        assert!(flushing.await.is_err(), "not everything was written");
        peer.as_mut().await;
    }
}

/// A second close, and one after the peer's, changes nothing.
pub async fn closing_twice_is_fine(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.near.close().await.unwrap();
        pair.near.close().await.unwrap();
        assert!(end_of(&pair.far).await.is_closed());
        pair.far.close().await.unwrap();
        pair.far.close().await.unwrap();
        assert!(end_of(&pair.near).await.is_closed());
        pair.near.close().await.unwrap();
    }
}

/// A close dropped after any number of polls can be repeated, or left to the drop of the connection.
pub async fn a_cancelled_close_still_closes(subject: &Subject) {
    for role in Role::BOTH {
        for again in [true, false] {
            for polls in 1..4 {
                let pair = subject.pair(role).await;
                pair.near.queue(Lane::CONTROL, &number(&1)).unwrap();
                for _ in 0..polls {
                    let dropped: Poll<_> = poll!(pin!(pair.near.close()));
                    assert!(!matches!(dropped, Poll::Ready(Err(_))));
                }
                assert!(pair.near.queue(Lane::CONTROL, &number(&2)).is_err(), "it is closing");
                if again {
                    pair.near.close().await.unwrap();
                }
                drop(pair.near);
                let (numbers, end) = numbers_until_end(&pair.far).await;
                assert!(if again { numbers == [1] } else { numbers.len() <= 1 }, "{numbers:?}");
                assert!(!again || end.is_closed(), "{end:?}");
            }
        }
    }
}

/// After its end a connection takes no message and reports the end to all callers, at once.
// S44
pub async fn what_has_ended_refuses_messages(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        assert!(pair.near.connected() && pair.far.connected());
        pair.near.abort();
        assert!(!pair.near.connected());
        assert!(pair.near.queue(Lane::CONTROL, &number(&1)).is_err());
        assert!(pair.near.send(&[number(&1)]).await.is_err());
        for _ in 0..3 {
            assert!(end_of(&pair.near).await.is_closed());
        }
        assert!(end_of(&pair.far).await.is_closed());
        assert!(!pair.far.connected());
    }
}

/// Queues until nothing more may be queued.
fn fill(transport: &std::sync::Arc<dyn pleach_wire::MsgTransport>) -> bool {
    let parcel = Parcel::new(1, 1 << 20);
    (0..32).all(|_| transport.queue(Lane::CONTROL, &parcel.message()).is_ok())
}

/// Receives whatever comes until the end.
async fn numbers_or_end(from: &std::sync::Arc<dyn pleach_wire::MsgTransport>) -> TransportError {
    let mut batch = Vec::new();
    loop {
        if let Err(end) = from.recv(&mut batch).await {
            return end;
        }
    }
}

/// Messages of 64 KiB on their way when the connection is dropped: more than a socket's buffers hold.
const BACKLOG: u64 = 160;
