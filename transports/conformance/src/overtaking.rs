//! What is urgent or small overtakes what is large, and nothing is lost by it.

use futures_util::poll;
use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, Cid, Msg, MsgTransportExt, Outgoing};

use crate::say::{Inbox, Parcel, number, number_of};
use crate::subject::{Role, Subject};

/// A message on the control lane arrives before large ones that were queued on another lane before it,
/// also when the connection is full of those.
pub async fn a_control_message_overtakes_large_ones(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let large = Parcel::new(1, LARGE);
        let mut queued = 1;
        pair.near.queue(DATA, &large.message()).unwrap();
        while poll!(std::pin::pin!(pair.near.flush())).is_ready() {
            pair.near.queue(DATA, &large.message()).unwrap();
            queued += 1;
            assert!(queued < ENOUGH, "so much was taken for a peer that reads nothing");
        }
        // The peer takes no more, so nothing of the next one has been written.
        pair.near.queue(DATA, &large.message()).unwrap();
        queued += 1;
        pair.near.queue(Lane::CONTROL, &number(&7)).unwrap();
        let receive = async {
            let (mut inbox, mut before) = (Inbox::new(&pair.far), 0);
            loop {
                match inbox.next().await.unwrap() {
                    msg @ Msg::Return { .. } => break assert_eq!(number_of(&msg), 7),
                    msg => assert!(Parcel::of(&msg) == large),
                }
                before += 1;
            }
            assert!(before < queued, "it came after all of {queued} large ones");
            for _ in before..queued {
                assert!(Parcel::of(&inbox.next().await.unwrap()) == large);
            }
        };
        let (flushed, ()) = tokio::join!(pair.near.flush(), receive);
        flushed.unwrap();
    }
}

/// Small messages of other dialogs arrive before a large one that was queued before them, on any lane.
pub async fn a_large_message_holds_up_no_small_ones(subject: &Subject) {
    for lane in [Lane::CONTROL, DATA] {
        let pair = subject.pair(Role::Dialer).await;
        let large = Parcel::new(1, LARGE);
        pair.near.queue(lane, &large.message()).unwrap();
        for n in 100..200 {
            pair.near.queue(lane, &number(&n)).unwrap();
        }
        let receive = async {
            let mut inbox = Inbox::new(&pair.far);
            for n in 100..200 {
                assert_eq!(number_of(&inbox.next().await.unwrap()), n);
            }
            assert!(Parcel::of(&inbox.next().await.unwrap()) == large);
        };
        let (flushed, ()) = tokio::join!(pair.near.flush(), receive);
        flushed.unwrap();
    }
}

/// A close sends everything, large and small, of all lanes and dialogs, and the good-bye after it.
pub async fn close_sends_large_messages_and_the_good_bye_last(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let large = Parcel::new(1, LARGE);
        for cid in 1..=DIALOGS {
            let message: Outgoing<'_> = Msg::Return { cid: Cid(cid), value: &large };
            pair.near.queue(Lane::CONTROL, &message).unwrap();
            pair.near.queue(DATA, &Msg::Yield { cid: Cid(cid), value: &large }).unwrap();
        }
        pair.near.queue(Lane::CONTROL, &Msg::Bye { why: ByteStr::from_static("done") }).unwrap();
        let mut batch = Vec::new();
        let (closed, drained) = tokio::join!(pair.near.close(), pair.far.drain(&mut batch));
        closed.unwrap();
        drained.unwrap();
        assert_eq!(batch.len() as u64, 2 * DIALOGS + 1);
        let of = |kind: &str| batch.iter().rposition(|msg| msg.kind() == kind).unwrap();
        assert!(of("return") < of("bye"), "control that was queued before the good-bye came after it");
        for msg in batch.iter().filter_map(Msg::payload) {
            assert!(msg.decode::<Parcel>().unwrap() == large);
        }
    }
}

/// A lane for data.
const DATA: Lane = Lane(5);

/// A large message: several chunks.
const LARGE: usize = 300 << 10;

/// More dialogs with large messages than may be under way at once.
const DIALOGS: u64 = 10;

/// More large messages than anything between two processes may hold.
const ENOUGH: u64 = 200;
