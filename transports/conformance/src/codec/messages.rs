//! Each message of the protocol comes back with all its fields, from wherever it was written to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pleach_wire::codec::{Encode, FrameBuf};
use pleach_wire::{ByteStr, CallOptions, Cid, Codec, Msg, Outgoing, TraceContext, TransportError, Window};

use super::{Parcel, body_of, brought_back};
use crate::limits::Unencodable;

/// The codec and its format have one name, by which the registry knows it.
pub fn the_names_agree(codec: &dyn Codec) {
    assert_eq!(codec.name(), codec.format().name());
    assert!(!codec.name().is_empty(), "the name is empty");
}

/// All fields of each kind of message come back, at their bounds, too.
pub fn every_kind_of_message_comes_back(codec: &dyn Codec) {
    for msg in &kinds(&7u8) {
        let read = brought_back(codec, msg);
        assert_eq!(fields(&read), fields(msg));
        let (sent, came) = (msg.terms().cloned().unwrap_or_default(), read.terms().cloned().unwrap_or_default());
        assert_eq!((came.schema, &came.trace), (sent.schema, &sent.trace), "the terms of {}", fields(msg));
        // They are rounded up to microseconds.
        let [at_least, came] = [&sent, &came].map(|terms| terms.deadline);
        let at_most = at_least.map(|deadline| deadline.saturating_add(Duration::from_micros(1)));
        assert!(at_least <= came && came <= at_most, "the deadline {at_least:?} came as {came:?}");
        let payload = read.payload().map(|payload| payload.decode::<u8>().expect("the payload is a number"));
        assert_eq!(payload, msg.payload().map(|_| 7), "the payload of {}", fields(msg));
    }
}

/// Payloads without a byte, small ones, and such with bytes that travel beside them.
pub fn every_payload_stands_in_every_kind(codec: &dyn Codec) {
    for msg in kinds(&()) {
        if let Some(payload) = brought_back(codec, &msg).payload() {
            payload.decode::<()>().expect("the payload is nothing");
        }
    }
    for size in [0, 1, 5000, 100_000] {
        let parcels = [Parcel::new(size), Parcel::new(size / 2)];
        for msg in kinds(&parcels) {
            if let Some(payload) = brought_back(codec, &msg).payload() {
                let read: [Parcel; 2] = payload.decode().expect("the payload is two parcels");
                assert!(read == parcels, "a payload of two times {size} bytes changed in {}", fields(&msg));
            }
        }
    }
}

/// What is in the buffers already stays as it is, and a message does not depend on it.
pub fn messages_are_appended_and_stand_for_themselves(codec: &dyn Codec) {
    let parcel = Parcel::new(20_000);
    let (mut out, mut parts) = (BytesMut::from(&b"before"[..]), vec![Bytes::from_static(b"a part of another")]);
    for msg in kinds(&parcel) {
        let alone = body_of(codec, &msg).expect("it was written before");
        let (written, pieces) = (out.clone(), parts.clone());
        codec.encode(&msg, &mut FrameBuf { out: &mut out, parts: &mut parts }).expect("it was written before");
        assert!(out.starts_with(&written) && parts.starts_with(&pieces), "{} changed what was there", fields(&msg));
        let appended: Vec<u8> = parts[pieces.len()..].iter().fold(out[written.len()..].to_vec(), |mut body, part| {
            body.extend_from_slice(part);
            body
        });
        assert!(appended == alone, "{} depends on what stands before it", fields(&msg));
    }
}

/// The same message is written in the same way each time.
pub fn the_same_message_is_the_same_bytes(codec: &dyn Codec) {
    let parcel = Parcel::new(5000);
    for (one, other) in kinds(&parcel).iter().zip(&kinds(&parcel)) {
        assert!(body_of(codec, one).unwrap() == body_of(codec, other).unwrap(), "{} differs each time", fields(one));
    }
}

/// A value that can't be written, and one that panics, are the matter of their sender; the codec works on.
pub fn a_value_that_fails_is_an_encode_error(codec: &dyn Codec) {
    for msg in kinds(&Unencodable { panics: false }) {
        let written = body_of(codec, &msg);
        match (msg.payload(), written) {
            (None, Ok(_)) => {}
            (Some(_), Err(TransportError::Encode { codec: name, .. })) => assert_eq!(name, codec.name()),
            (_, other) => panic!("{}: {other:?}", fields(&msg)),
        }
    }
    let value = Unencodable { panics: true };
    let panics = catch_unwind(AssertUnwindSafe(|| body_of(codec, &Msg::Value { value: &value })));
    assert!(panics.is_err(), "the panic of a value was hidden");
    every_payload_stands_in_every_kind(codec);
}

/// One message of each kind and more, all with this payload.
pub(super) fn kinds(payload: &dyn Encode) -> Vec<Outgoing<'_>> {
    let target = || ByteStr::from_static("a_crate::module::function");
    let mut trace: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    trace.state = ByteStr::from_static("vendor=1");
    let traced = CallOptions { schema: u64::MAX, deadline: Some(Duration::ZERO), trace: Some(Box::new(trace)) };
    let timed = CallOptions { schema: 7, deadline: Some(Duration::from_millis(1500)), trace: None };
    let plain = CallOptions::default();
    let window = Window { messages: 1000, bytes: u32::MAX };
    let mut kinds = vec![
        Msg::Hello { step: payload },
        Msg::Return { cid: Cid(u64::MAX), value: payload },
        Msg::Error { cid: Some(Cid(1)), error: payload },
        Msg::Error { cid: None, error: payload },
        Msg::Cancel { cid: Cid(300) },
        Msg::CancelAck { cid: Cid(70_000), found: true },
        Msg::CancelAck { cid: Cid(1), found: false },
        Msg::Started { cid: Cid(3), value: payload },
        Msg::Stream { cid: Cid(3), window, waits: false },
        Msg::Stream { cid: Cid(3), window: Window::NONE, waits: true },
        Msg::Yield { cid: Cid(1 << 40), value: payload },
        Msg::Credit { cid: Cid(3), count: u32::MAX },
        Msg::Stop { cid: Cid(127) },
        Msg::Bye { why: ByteStr::from_static("done — „gründlich“") },
        Msg::Bye { why: ByteStr::from_static("") },
        Msg::Ping { n: u64::MAX },
        Msg::Pong { n: 0 },
        Msg::Value { value: payload },
    ];
    for terms in [plain, timed, traced] {
        kinds.push(Msg::Start { cid: Cid(9), target: target(), args: payload, terms: terms.clone() });
        kinds.push(Msg::Open { cid: Cid(128), target: target(), args: payload, terms: terms.clone() });
        kinds.push(Msg::Pull { cid: Cid(255), target: target(), window, waits: true, args: payload, terms });
    }
    kinds
}

/// All that a message says beside its payload and its terms.
pub(super) fn fields<P>(msg: &Msg<P>) -> String {
    let own = match msg {
        Msg::CancelAck { found, .. } => format!("{found}"),
        Msg::Bye { why } => why.to_string(),
        Msg::Pull { window, waits, .. } | Msg::Stream { window, waits, .. } => format!("{window:?} {waits}"),
        Msg::Credit { count, .. } => count.to_string(),
        Msg::Ping { n } | Msg::Pong { n } => n.to_string(),
        _ => String::new(),
    };
    format!("`{}` {:?} {:?} {own:?}", msg.kind(), msg.cid(), msg.target().map(ByteStr::as_str))
}
