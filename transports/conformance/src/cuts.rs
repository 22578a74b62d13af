//! Connections that break at any byte.

use pleach_wire::transport::Lane;
use pleach_wire::{MsgTransportExt, TransportError};

use crate::faulty::{Plan, Random};
use crate::say::{Inbox, Parcel, end_of};
use crate::subject::{Role, Subject};

/// Wherever the connection is cut: earlier messages are whole and in order, both sides get an end with its cause, and
/// no task is left waiting.
pub async fn a_cut_connection_delivers_whole_messages_in_order_and_ends(subject: &Subject) {
    for seed in 0..SEEDS {
        let after = BEYOND_HELLO + Random::new(seed).below(60_000);
        let pair = subject.seeded(Plan::Cut { after }, seed).pair(Role::Dialer).await;
        let send = async {
            for n in 0.. {
                if let Err(end) = pair.near.send(&[Parcel::new(n, 1000).message()]).await {
                    return (n, end);
                }
            }
            unreachable!("the cut ends it")
        };
        let receive = async {
            let (mut inbox, mut arrived) = (Inbox::new(&pair.far), 0);
            loop {
                match inbox.next().await {
                    Ok(msg) => {
                        assert!(
                            Parcel::of(&msg) == Parcel::new(arrived, 1000),
                            "seed {seed}: message {arrived} changed"
                        );
                        arrived += 1;
                    }
                    Err(end) => return (arrived, end),
                }
            }
        };
        let ((sent, near), (arrived, far), local) = tokio::join!(send, receive, end_of(&pair.near));
        assert!(arrived <= sent, "seed {seed}: {arrived} of {sent} arrived");
        for end in [near, far, local] {
            let expected =
                matches!(end, TransportError::Closed(_) | TransportError::Truncated { .. } | TransportError::Reset(_));
            assert!(expected, "seed {seed}: {end:?}");
        }
        assert!(pair.near.queue(Lane::CONTROL, &Parcel::new(0, 1).message()).is_err());
    }
}

/// A connection that is cut while a large message is under way delivers nothing of it, and that is a fault.
pub async fn a_cut_inside_a_large_message_is_a_fault(subject: &Subject) {
    for seed in 0..SEEDS / 4 {
        let after = BEYOND_HELLO + Random::new(seed).below(LARGE as u64);
        let pair = subject.seeded(Plan::Cut { after }, seed).pair(Role::Dialer).await;
        let (large, mut batch) = (Parcel::new(1, LARGE), Vec::new());
        let message = [large.message()];
        let (sent, end) = tokio::join!(pair.near.send(&message), pair.far.recv(&mut batch));
        assert!(sent.is_err() && batch.is_empty(), "seed {seed}: {batch:?}");
        let end = end.unwrap_err();
        assert!(matches!(end, TransportError::Truncated { .. } | TransportError::Reset(_)), "seed {seed}: {end:?}");
    }
}

/// A reset inside a frame is `Reset`, with the system's error inside.
pub async fn a_reset_inside_a_frame_is_a_fault(subject: &Subject) {
    let pair = subject.under(Plan::Reset { after: 100 }).pair(Role::Dialer).await;
    pair.far.send(&[Parcel::new(1, 1000).message()]).await.unwrap();
    match end_of(&pair.near).await {
        TransportError::Reset(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        end => panic!("expected Reset and got {end:?}"),
    }
}

/// A reset between two frames is how a peer goes that does not say good-bye: a graceful end.
// S46
pub async fn a_reset_between_frames_is_a_graceful_end(subject: &Subject) {
    let pair = subject.under(Plan::Reset { after: 0 }).pair(Role::Dialer).await;
    let end = end_of(&pair.near).await;
    assert!(end.is_closed(), "{end:?}");
}

/// How many cuts are tried.
const SEEDS: u64 = 40;

/// Several chunks.
const LARGE: usize = 300 << 10;

/// The first message always gets through: without it no pair comes about.
const BEYOND_HELLO: u64 = 64;
