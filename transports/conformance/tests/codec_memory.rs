//! A codec that believes what a peer announces is found. It has a process of its own, because that has one peak of memory.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use pleach_conformance::codec::hostile::an_announced_length_takes_no_memory;
use pleach_wire::codec::FrameBuf;
use pleach_wire::{Codec, Format, Msg, Msgpack, Outgoing, TransportError};

/// Makes room for as many bytes as its last four say.
struct Trusting;

impl Codec for Trusting {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn format(&self) -> Format {
        Format::Msgpack
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        Msgpack.encode(msg, frame)
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        let announced = body.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
        let mut room: Vec<u8> = Vec::with_capacity(announced as usize);
        room.extend_from_slice(&body);
        Msgpack.decode(room.into())
    }
}

#[test]
fn a_codec_that_trusts_its_peer_is_found() {
    an_announced_length_takes_no_memory(&Msgpack);
    let found = catch_unwind(AssertUnwindSafe(|| an_announced_length_takes_no_memory(&Trusting)));
    assert!(found.is_err(), "the fault was not found");
}
