//! What is read as a message is written and read again as the same, by each codec.
#![no_main]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use pleach_wire::codec::{Codec, Encode, FrameBuf};
use pleach_wire::fuzzing::{Raw, with_payload};
use pleach_wire::{Json, Msg, Msgpack};

fuzz_target!(|data: &[u8]| {
    let Some((which, body)) = data.split_first() else { return };
    match which & 1 {
        0 => there_and_back(&Msgpack, body),
        _ => there_and_back(&Json, body),
    }
});

fn there_and_back(codec: &dyn Codec, body: &[u8]) {
    let (body, mut items) = (Bytes::copy_from_slice(body), Vec::new());
    if codec.decode_items(&body, &mut items).is_some() {
        items.iter().for_each(|item| reads_as_written(codec, item));
    } else if let Ok(msg) = codec.decode(body) {
        reads_as_written(codec, &msg);
    }
}

fn reads_as_written(codec: &dyn Codec, first: &Msg) {
    let bytes = written(codec, first);
    let second = codec.decode(bytes.clone());
    let second = second.unwrap_or_else(|error| panic!("{first:?} is written as {bytes:?}: {error}"));
    let (deadline, later) = (take_deadline(first), take_deadline(&second));
    assert_eq!(format!("{:?}", with_payload(&deadline.1, ())), format!("{:?}", with_payload(&later.1, ())));
    match (deadline.0, later.0) {
        // What is left of the time is rounded up each time that it is written.
        (Some(left), Some(then)) => assert!(left <= then && then - left <= Duration::from_micros(1)),
        (None, None) => assert_eq!(written(codec, &second), bytes),
        differ => panic!("{differ:?}"),
    }
}

/// Writes a message with its payload as it came.
fn written(codec: &dyn Codec, msg: &Msg) -> Bytes {
    let (mut out, mut parts) = (BytesMut::new(), Vec::new());
    let raw = Raw::of(msg.payload());
    let mut frame = FrameBuf { out: &mut out, parts: &mut parts };
    codec.encode(&with_payload(msg, &raw as &dyn Encode), &mut frame).expect("what was read can be written");
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.freeze()
}

/// The deadline of a message, and the message without it.
fn take_deadline(msg: &Msg) -> (Option<Duration>, Msg) {
    let mut msg = msg.clone();
    let deadline = match &mut msg {
        Msg::Start { terms, .. } | Msg::Open { terms, .. } | Msg::Pull { terms, .. } => terms.deadline.take(),
        _ => None,
    };
    (deadline, msg)
}
