//! Messages arrive, whole and in order.

use std::sync::Arc;

use futures_util::future::join_all;
use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, CallOptions, Cid, Flow, Msg, MsgTransport, MsgTransportExt, Outgoing, Volume};

use crate::faulty::Plan;
use crate::say::{Inbox, Parcel, number, number_of, one};
use crate::subject::{Role, Subject};

/// Both sides send at the same time; each receives everything in the order in which it was sent.
// S41
pub async fn messages_arrive_in_order_both_ways(subject: &Subject) {
    let pair = subject.pair(Role::Dialer).await;
    let send = async |from: &Arc<dyn MsgTransport>| {
        for n in 0..COUNT {
            from.queue(Lane::CONTROL, &number(&n)).unwrap();
            if n % 7 == 0 {
                from.flush().await.unwrap();
            }
        }
        from.flush().await.unwrap();
    };
    let receive = async |from| {
        let mut inbox = Inbox::new(from);
        for n in 0..COUNT {
            assert_eq!(number_of(&inbox.next().await.unwrap()), n);
        }
    };
    tokio::join!(send(&pair.near), send(&pair.far), receive(&pair.near), receive(&pair.far));
}

/// What one side has sent, the other one has received, in messages and in bytes.
pub async fn what_crosses_is_counted(subject: &Subject) {
    let pair = subject.pair(Role::Dialer).await;
    let before = [&pair.near, &pair.far].map(volume);
    for lane in [Lane::CONTROL, Lane(3)] {
        for n in 0..COUNT {
            pair.near.queue(lane, &number(&n)).unwrap();
        }
    }
    let mut inbox = Inbox::new(&pair.far);
    let receive = async {
        for _ in 0..2 * COUNT {
            inbox.next().await.unwrap();
        }
    };
    let (flushed, ()) = tokio::join!(pair.near.flush(), receive);
    flushed.unwrap();
    let after = [&pair.near, &pair.far].map(volume);
    let grown = |of: fn(&Volume) -> Flow, side: usize| {
        let [before, after] = [of(&before[side]), of(&after[side])];
        [after.messages - before.messages, after.bytes - before.bytes]
    };
    let (sent, received) = (grown(|volume| volume.sent, 0), grown(|volume| volume.received, 1));
    assert_eq!((sent[0], sent), (2 * COUNT, received));
    assert_eq!([grown(|volume| volume.received, 0), grown(|volume| volume.sent, 1)], [[0, 0]; 2]);
}

/// Looks while a lock is held for a moment.
fn volume(of: &Arc<dyn MsgTransport>) -> Volume {
    std::iter::repeat_with(|| of.volume()).flatten().next().unwrap()
}

/// Every kind of message keeps its fields.
pub async fn every_kind_of_message_arrives(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let why = ByteStr::from_static("done");
        let sent: [Outgoing<'_>; 8] = [
            Msg::Start { cid: Cid(3), target: ByteStr::from_static("a::b"), args: &(1u8, "two"), terms: TERMS },
            Msg::Return { cid: Cid(u64::MAX), value: &() },
            Msg::Error { cid: Some(Cid(5)), error: &"broken" },
            Msg::Error { cid: None, error: &"broken" },
            Msg::Cancel { cid: Cid(300) },
            Msg::CancelAck { cid: Cid(70_000), found: true },
            Msg::Value { value: &(1u8, "two") },
            Msg::Bye { why: why.clone() },
        ];
        pair.near.send(&sent).await.unwrap();
        let mut inbox = Inbox::new(&pair.far);
        for msg in &sent {
            let read = inbox.next().await.unwrap();
            match (&read, msg) {
                (Msg::Start { cid, target, args, terms: TERMS }, Msg::Start { cid: sent, .. }) => {
                    assert_eq!((cid, target.as_str()), (sent, "a::b"));
                    assert_eq!(args.decode::<(u8, String)>().unwrap(), (1, "two".into()));
                }
                (Msg::Return { cid, value }, Msg::Return { cid: sent, .. }) => {
                    assert_eq!(cid, sent);
                    value.decode::<()>().unwrap();
                }
                (Msg::Error { cid, error }, Msg::Error { cid: sent, .. }) => {
                    assert_eq!((cid, error.decode::<String>().unwrap()), (sent, "broken".into()));
                }
                (Msg::Cancel { cid }, Msg::Cancel { cid: sent }) => assert_eq!(cid, sent),
                (Msg::CancelAck { cid, found: true }, Msg::CancelAck { cid: sent, .. }) => assert_eq!(cid, sent),
                (Msg::Value { value }, Msg::Value { .. }) => {
                    assert_eq!(value.decode::<(u8, String)>().unwrap(), (1, "two".into()));
                }
                (Msg::Bye { why: read }, Msg::Bye { .. }) => assert_eq!(*read, why),
                _ => panic!("sent {} and received {read:?}", msg.kind()),
            }
        }
    }
}

/// A message of several MiB arrives as it was, between two small ones of its dialog.
pub async fn a_huge_message_arrives_whole(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let parcels = [Parcel::new(7, 10), Parcel::new(1, HUGE), Parcel::new(8, 10)];
        let receive = async {
            let mut inbox = Inbox::new(&pair.far);
            for parcel in &parcels {
                assert!(Parcel::of(&inbox.next().await.unwrap()) == *parcel, "a message changed on its way");
            }
        };
        let messages = parcels.each_ref().map(Parcel::message);
        let (sent, ()) = tokio::join!(pair.near.send(&messages), receive);
        sent.unwrap();
    }
}

/// Reads and writes of one byte each are enough.
pub async fn one_byte_at_a_time_is_enough(subject: &Subject) {
    let subject = subject.under(Plan::OneByte);
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        for n in 0..10 {
            let parcel = Parcel::new(n, 60 * usize::try_from(n).unwrap());
            let message = [parcel.message()];
            let (sent, received) = tokio::join!(pair.near.send(&message), one(&pair.far));
            sent.unwrap();
            assert_eq!(Parcel::of(&received), parcel);
        }
    }
}

/// Many tasks send on one connection to a peer that is slower than they are: every message arrives
/// whole, those of one sender in order, and no sender is left waiting.
pub async fn messages_of_many_senders_arrive_whole(subject: &Subject) {
    let pair = subject.pair(Role::Dialer).await;
    let senders = join_all((0..SENDERS).map(|sender| {
        let near = pair.near.clone();
        async move {
            for n in 0..EACH {
                let parcel = Parcel::new(sender * EACH + n, 20_000);
                near.send(&[parcel.message()]).await.unwrap();
            }
        }
    }));
    let receive = async {
        let mut inbox = Inbox::new(&pair.far);
        let mut next = vec![0; usize::try_from(SENDERS).unwrap()];
        for _ in 0..SENDERS * EACH {
            let parcel = Parcel::of(&inbox.next().await.unwrap());
            assert!(parcel == Parcel::new(parcel.number, 20_000), "messages were mixed");
            let expected = &mut next[usize::try_from(parcel.number / EACH).unwrap()];
            assert_eq!(parcel.number % EACH, *expected);
            *expected += 1;
        }
    };
    tokio::join!(senders, receive);
}

const COUNT: u64 = 500;
const HUGE: usize = 3 << 20;

/// More than `join_all` polls with one waker, so that each sender has to be woken for itself.
const SENDERS: u64 = 40;
const EACH: u64 = 5;

const TERMS: CallOptions = CallOptions { schema: 77, deadline: None, trace: None };
