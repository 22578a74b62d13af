//! Futures dropped at every point.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::poll;
use pleach_wire::{Msg, MsgTransportExt};

use crate::say::{Inbox, Parcel, number, number_of};
use crate::subject::{Role, Subject};

/// Every receive is dropped after one poll, whatever has arrived of a message; nothing is lost.
pub async fn a_receive_dropped_at_every_poll_loses_nothing(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let send = async {
            for n in 0..COUNT {
                let parcel = Parcel::new(n, usize::try_from(n).unwrap() * 300);
                pair.near.send(&[parcel.message()]).await.unwrap();
            }
        };
        let receive = async {
            let mut received: Vec<Msg> = Vec::new();
            while received.len() < usize::try_from(COUNT).unwrap() {
                // Woken by the event alone, so that a wake-up lost with the dropped future shows.
                poll_fn(|cx| pin!(pair.far.recv(&mut received)).poll(cx)).await.unwrap();
            }
            received
        };
        let ((), received) = tokio::join!(send, receive);
        for (n, msg) in received.iter().enumerate() {
            assert!(Parcel::of(msg) == Parcel::new(n as u64, n * 300));
        }
    }
}

/// A send dropped while the peer takes nothing leaves whole messages only: the next one follows whole.
pub async fn a_send_dropped_half_way_never_interleaves(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let parcels = [Parcel::new(1, 4 << 20), Parcel::new(2, 10), Parcel::new(3, 10)];
        let messages = parcels.each_ref().map(Parcel::message);
        {
            let mut send = pin!(pair.near.send(&messages[..2]));
            for _ in 0..10 {
                if poll!(&mut send).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let receive = async {
            let (mut inbox, mut seen) = (Inbox::new(&pair.far), Vec::new());
            while seen.last() != Some(&3) {
                let parcel = Parcel::of(&inbox.next().await.unwrap());
                assert!(parcels.contains(&parcel), "messages were mixed");
                seen.push(parcel.number);
            }
            seen
        };
        let (sent, seen) = tokio::join!(pair.near.send(&messages[2..]), receive);
        sent.unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen[0], 1, "it had been queued");
    }
}

/// Dials dropped after any number of polls do not disturb the one that follows.
pub async fn a_dropped_dial_leaves_nothing_open(subject: &Subject) {
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    let transport = subject.transport();
    for polls in 1..20 {
        let mut dial = Box::pin(transport.dial(&address, &subject.settings));
        for _ in 0..polls {
            if poll!(&mut dial).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let accept = subject.accept_past_probes(&mut listener);
    let (dialer, acceptor) = tokio::join!(subject.dial(&address), accept);
    dialer.send(&[number(&1)]).await.unwrap();
    assert_eq!(number_of(&crate::say::one(&acceptor).await), 1);
}

/// Every accept is dropped after one poll; all who dialled are accepted in the end.
pub async fn an_accept_dropped_at_every_poll_loses_no_connection(subject: &Subject) {
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    let dials = async {
        let mut dialers = Vec::new();
        for _ in 0..20 {
            dialers.push(subject.dial(&address).await);
        }
        dialers
    };
    let accepts = async {
        let mut acceptors = Vec::new();
        for _ in 0..20 {
            let link = loop {
                if let Poll::Ready(accepted) = poll!(listener.accept()) {
                    break accepted.unwrap();
                }
                tokio::task::yield_now().await;
            };
            acceptors.push(subject.transport().wrap(link));
        }
        acceptors
    };
    let (dialers, acceptors) = tokio::join!(dials, accepts);
    for acceptor in &acceptors {
        assert_eq!(crate::say::one(acceptor).await.kind(), "hello");
    }
    drop(dialers);
}

const COUNT: u64 = 200;
