//! What checks say to each other, and how they listen.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use pleach_wire::{Blob, ByteStr, CallOptions, Cid, Msg, MsgTransport, MsgTransportExt, Outgoing, TransportError};

use crate::faulty::Random;

/// The dialer's first message.
pub(crate) fn hello() -> Outgoing<'static> {
    Msg::Hello { step: &1u8 }
}

/// A small message that carries `number` twice: in its envelope and as its value.
pub(crate) fn number(number: &u64) -> Outgoing<'_> {
    Msg::Return { cid: Cid(*number), value: number }
}

/// Reads back what [`number`] made.
pub(crate) fn number_of(msg: &Msg) -> u64 {
    let Msg::Return { cid, value } = msg else { panic!("expected a number and got {msg:?}") };
    assert_eq!(value.decode::<u64>().expect("its value is a number"), cid.0);
    cid.0
}

/// A value with everything that codecs treat differently.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Parcel {
    pub(crate) number: u64,
    pub(crate) label: String,
    pub(crate) content: Blob,
}

impl Parcel {
    /// A parcel whose content is a part of one long pattern, and where it begins depends on the number.
    pub(crate) fn new(number: u64, size: usize) -> Self {
        static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
            let mut random = Random::new(1);
            (0..LONGEST + 251).map(|_| random.below(256) as u8).collect()
        });
        let start = (number % 251) as usize;
        Self { number, label: format!("parcel {number}"), content: PATTERN.slice(start..start + size).into() }
    }

    /// All parcels are of one dialog, so they keep their order whatever their size.
    pub(crate) fn message(&self) -> Outgoing<'_> {
        let target = ByteStr::from_static("parcel");
        Msg::Start { cid: Cid(1), target, args: self, terms: CallOptions::default() }
    }

    pub(crate) fn of(msg: &Msg) -> Self {
        let Msg::Start { args, .. } = msg else { panic!("expected a parcel and got {msg:?}") };
        args.decode().expect("it is a parcel")
    }
}

/// Receives one message at a time, in order.
pub(crate) struct Inbox<'a> {
    from: &'a Arc<dyn MsgTransport>,
    batch: Vec<Msg>,
    arrived: VecDeque<Msg>,
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(from: &'a Arc<dyn MsgTransport>) -> Self {
        Self { from, batch: Vec::new(), arrived: VecDeque::new() }
    }

    /// Waits for the next message, or for the end.
    pub(crate) async fn next(&mut self) -> Result<Msg, TransportError> {
        loop {
            if let Some(msg) = self.arrived.pop_front() {
                return Ok(msg);
            }
            self.from.recv(&mut self.batch).await?;
            assert!(!self.batch.is_empty(), "a receive that is ready brings something");
            self.arrived.extend(self.batch.drain(..));
        }
    }
}

/// Receives a message where exactly one is on its way.
pub(crate) async fn one(from: &Arc<dyn MsgTransport>) -> Msg {
    let mut batch = Vec::new();
    from.recv(&mut batch).await.expect("a message arrives");
    assert_eq!(batch.len(), 1, "only one message was sent: {batch:?}");
    batch.remove(0)
}

/// Receives until the connection ends: the numbers that arrived, and the end.
pub(crate) async fn numbers_until_end(from: &Arc<dyn MsgTransport>) -> (Vec<u64>, TransportError) {
    let (mut inbox, mut numbers) = (Inbox::new(from), Vec::new());
    loop {
        match inbox.next().await {
            Ok(msg) => numbers.push(number_of(&msg)),
            Err(end) => return (numbers, end),
        }
    }
}

/// Receives until the connection ends; nothing may arrive.
pub(crate) async fn end_of(from: &Arc<dyn MsgTransport>) -> TransportError {
    let mut batch = Vec::new();
    let end = from.recv(&mut batch).await.expect_err("nothing but the end arrives");
    assert!(batch.is_empty());
    end
}

/// The largest parcel's content.
const LONGEST: usize = 4 << 20;
