//! Limits, memory, back-pressure and bad input.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::poll;
use pleach_wire::transport::Lane;
use pleach_wire::{Cid, Msg, MsgTransportExt, TransportError};
use serde::ser::{Error as _, SerializeSeq, Serializer};
use tokio::io::AsyncReadExt;

use crate::say::{Inbox, Parcel, end_of, number, number_of, one};
use crate::subject::{Role, Subject};

/// A message over the limit is its sender's error; nothing of it was sent, and the connection goes on.
pub async fn a_message_over_the_limit_is_refused_by_its_sender(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.near.set_max_frame(1000);
        for size in [900, 100_000] {
            let refused = pair.near.queue(Lane::CONTROL, &Parcel::new(1, size + 200).message());
            match refused {
                Err(TransportError::FrameTooLarge { size: found, limit: 1000, .. }) => assert!(found > size),
                other => panic!("expected FrameTooLarge and got {other:?}"),
            }
        }
        pair.near.send(&[number(&5)]).await.unwrap();
        assert_eq!(number_of(&one(&pair.far).await), 5);
    }
}

/// A frame over the receiver's limit ends the connection there, after what came before it.
pub async fn a_frame_over_the_limit_is_refused_by_its_receiver(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.far.set_max_frame(1000);
        let parcel = Parcel::new(2, 2000);
        pair.near.send(&[number(&1), parcel.message()]).await.unwrap();
        let mut inbox = Inbox::new(&pair.far);
        assert_eq!(number_of(&inbox.next().await.unwrap()), 1);
        let end = inbox.next().await.unwrap_err();
        assert!(matches!(end, TransportError::FrameTooLarge { limit: 1000, .. }), "{end:?}");
        assert!(pair.far.queue(Lane::CONTROL, &number(&3)).is_err(), "the connection has ended");
        end_of(&pair.near).await;
    }
}

/// A frame that announces gigabytes is refused before any memory is taken for it.
pub async fn an_announced_size_takes_no_memory(subject: &Subject) {
    for role in Role::BOTH {
        let before = peak_memory();
        let raw = subject.raw(role, &ANNOUNCED.to_le_bytes()).await;
        let end = end_of(&raw.far).await;
        assert!(matches!(end, TransportError::FrameTooLarge { size, .. } if size == ANNOUNCED as usize), "{end:?}");
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            assert!(after - before < (ANNOUNCED / 2048).into(), "{} KiB were taken", after - before);
        }
    }
}

/// Bytes that are not a message are `Decode`, and the peer that sent them sees the connection end.
pub async fn a_garbage_first_frame_is_decode_and_ends_the_connection(subject: &Subject) {
    for role in Role::BOTH {
        let mut raw = subject.raw(role, b"\x05\x00\x00\x00~~~~~").await;
        let end = end_of(&raw.far).await;
        assert!(matches!(end, TransportError::Decode { .. }), "{end:?}");
        assert!(matches!(end_of(&raw.far).await, TransportError::Decode { .. }), "the reason stays");
        assert!(!raw.far.connected());
        assert!(raw.far.queue(Lane::CONTROL, &number(&1)).is_err(), "the connection has ended");
        let mut rest = Vec::new();
        // An end of file or an error: either ends the wait.
        let _ = raw.near.reader.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "nothing is answered to garbage");
    }
}

/// A value that can't be encoded is its sender's error; no byte of it is sent.
pub async fn an_unencodable_message_sends_nothing(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.near.queue(Lane::CONTROL, &number(&1)).unwrap();
        let refused =
            pair.near.queue(Lane::CONTROL, &Msg::Return { cid: Cid(2), value: &Unencodable { panics: false } });
        assert!(matches!(refused, Err(TransportError::Encode { .. })), "{refused:?}");
        pair.near.queue(Lane::CONTROL, &number(&3)).unwrap();
        pair.near.flush().await.unwrap();
        let mut inbox = Inbox::new(&pair.far);
        assert_eq!(number_of(&inbox.next().await.unwrap()), 1);
        assert_eq!(number_of(&inbox.next().await.unwrap()), 3);
    }
}

/// A value that panics while it is encoded takes its task down, and no other task's messages.
pub async fn a_value_that_panics_sends_nothing(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        pair.near.queue(Lane::CONTROL, &number(&1)).unwrap();
        let value = Unencodable { panics: true };
        let message = Msg::Return { cid: Cid(2), value: &value as &dyn pleach_wire::Encode };
        let hook = AssertUnwindSafe(|| pair.near.queue(Lane::CONTROL, &message));
        assert!(catch_unwind(hook).is_err());
        pair.near.queue(Lane::CONTROL, &number(&3)).unwrap();
        pair.near.flush().await.unwrap();
        let mut inbox = Inbox::new(&pair.far);
        assert_eq!(number_of(&inbox.next().await.unwrap()), 1);
        assert_eq!(number_of(&inbox.next().await.unwrap()), 3);
    }
}

/// A peer that does not read makes the sender wait, within a bound of memory; when it reads, the sender
/// goes on, and everything arrives.
pub async fn a_slow_reader_blocks_the_writer(subject: &Subject) {
    for role in Role::BOTH {
        let pair = subject.pair(role).await;
        let mut sent = 0;
        // The flush is dropped while it waits; what is queued stays queued.
        while poll!(std::pin::pin!(poll_fn(|cx| pair.near.poll_room(cx)))).is_ready() {
            pair.near.queue(Lane::CONTROL, &Parcel::new(sent, 64 << 10).message()).unwrap();
            sent += 1;
            assert!(sent < ENOUGH, "64 MiB were taken for a peer that reads nothing");
            let _ = poll!(std::pin::pin!(pair.near.flush()));
            tokio::task::yield_now().await;
        }
        let send_on = async {
            poll_fn(|cx| pair.near.poll_room(cx)).await.unwrap();
            pair.near.send(&[Parcel::new(sent, 10).message()]).await.unwrap();
        };
        // Drives the writing, as a connection's task does.
        let drive = pair.near.flush();
        let receive = async {
            let mut inbox = Inbox::new(&pair.far);
            for n in 0..sent {
                assert!(Parcel::of(&inbox.next().await.unwrap()) == Parcel::new(n, 64 << 10));
            }
            assert!(Parcel::of(&inbox.next().await.unwrap()) == Parcel::new(sent, 10));
        };
        let (driven, (), ()) = tokio::join!(drive, send_on, receive);
        driven.unwrap();
    }
}

/// Begins well and then fails.
pub(crate) struct Unencodable {
    pub(crate) panics: bool,
}

impl serde::Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(3))?;
        seq.serialize_element("a beginning of some length")?;
        seq.serialize_element(&pleach_wire::Blob::from(vec![1; 10_000]))?;
        assert!(!self.panics, "a panic on purpose");
        Err(S::Error::custom("not encodable on purpose"))
    }
}

/// The most address space that this process ever had, in KiB, where the system tells.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// A size far over every limit.
const ANNOUNCED: u32 = 0x3000_0000;

/// More messages of 64 KiB than anything between two processes may hold.
const ENOUGH: u64 = 1024;
