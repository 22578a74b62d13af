//! The codecs of the library pass the suite, and a codec with a fault does not: each check is seen to fail. The one about
//! memory is in `codec_memory.rs`, because a process has one peak.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use pleach_conformance::codec::{hostile, messages, values};
use pleach_conformance::codec_conformance;
use pleach_wire::codec::{CustomCodec, CustomFormat, FrameBuf};
use pleach_wire::{Cid, Codec, Format, Json, Msg, Msgpack, Outgoing, TransportError};

codec_conformance!(msgpack, Msgpack, exact);
codec_conformance!(json, Json, exact);

type Check = fn(&dyn Codec);

#[test]
fn faults_in_messages_are_found() {
    let named = Faulty { name: "another", ..Faulty::default() };
    is_found_by(&named, messages::the_names_agree);
    let loses_one_cid = Faulty {
        read: |msg| if let Msg::Stop { .. } = msg { Msg::Stop { cid: Cid(0) } } else { msg },
        ..Faulty::default()
    };
    is_found_by(&loses_one_cid, messages::every_kind_of_message_comes_back);
    let loses_terms = Faulty {
        read: |msg| match msg {
            Msg::Open { cid, target, args, .. } => {
                Msg::Open { cid, target, args, terms: pleach_wire::CallOptions::default() }
            }
            other => other,
        },
        ..Faulty::default()
    };
    is_found_by(&loses_terms, messages::every_kind_of_message_comes_back);
    let mistakes_a_kind = Faulty {
        read: |msg| if let Msg::Value { value } = msg { Msg::Hello { step: value } } else { msg },
        ..Faulty::default()
    };
    is_found_by(&mistakes_a_kind, messages::every_kind_of_message_comes_back);
    let loses_blobs = Faulty { wrote: |frame, _| frame.parts.clear(), ..Faulty::default() };
    is_found_by(&loses_blobs, messages::every_payload_stands_in_every_kind);
    let starts_afresh = Faulty {
        wrote: |frame, start| {
            let own = frame.out.split_off(start);
            *frame.out = own;
        },
        ..Faulty::default()
    };
    is_found_by(&starts_afresh, messages::messages_are_appended_and_stand_for_themselves);
    let counts = Faulty {
        wrote: |frame, _| {
            static COUNT: AtomicU8 = AtomicU8::new(0);
            frame.out.put_u8(COUNT.fetch_add(1, Ordering::Relaxed));
        },
        ..Faulty::default()
    };
    is_found_by(&counts, messages::the_same_message_is_the_same_bytes);
    let hides_errors = Faulty { hides_errors: true, ..Faulty::default() };
    is_found_by(&hides_errors, messages::a_value_that_fails_is_an_encode_error);
}

#[test]
fn faults_in_values_are_found() {
    is_found_by(&CustomCodec::new(&Text::Narrow), values::plain_values_come_back);
    is_found_by(&CustomCodec::new(&Text::NoMaps), values::plain_values_come_back);
    is_found_by(&CustomCodec::new(&Text::NoMaps), values::nesting_comes_back_up_to_the_limit);
    // Written as `null`, `Some(None)` is read as `None`.
    values::plain_values_come_back(&CustomCodec::new(&Text::Plain));
    is_found_by(&CustomCodec::new(&Text::Plain), values::odd_values_come_back_or_are_refused);
    is_found_by(&CustomCodec::new(&Text::NoTagsRead), values::what_serde_json_brings_back_comes_back);
}

#[test]
fn faults_with_hostile_input_are_found() {
    let pads = Faulty { decode: |body| Msgpack.decode([&body[..], &[0; 40_000]].concat().into()), ..Faulty::default() };
    is_found_by(&pads, hostile::truncated_input_is_an_error);
    let trusts = Faulty {
        decode: |body| {
            assert!(body.first() != Some(&0xc1), "no message begins so");
            Msgpack.decode(body)
        },
        ..Faulty::default()
    };
    is_found_by(&trusts, hostile::garbage_is_an_error_or_a_message);
}

/// A check that finds a fault fails; with the codec as it should be it passes, in the tests above.
#[track_caller]
fn is_found_by(codec: &dyn Codec, check: Check) {
    assert!(catch_unwind(AssertUnwindSafe(|| check(codec))).is_err(), "the fault was not found");
}

/// `msgpack` with a fault.
struct Faulty {
    name: &'static str,
    /// Changes what was written, from this place on.
    wrote: fn(&mut FrameBuf<'_>, usize),
    /// Changes what was read.
    read: fn(Msg) -> Msg,
    decode: fn(Bytes) -> Result<Msg, TransportError>,
    hides_errors: bool,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            name: "msgpack",
            wrote: |_, _| {},
            read: |msg| msg,
            decode: |body| Msgpack.decode(body),
            hides_errors: false,
        }
    }
}

impl Codec for Faulty {
    fn name(&self) -> &'static str {
        self.name
    }

    fn format(&self) -> Format {
        Format::Msgpack
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        let start = frame.out.len();
        let written = Msgpack.encode(msg, frame);
        (self.wrote)(frame, start);
        if self.hides_errors { Ok(()) } else { written }
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        (self.decode)(body).map(self.read)
    }
}

/// Values as JSON, most of them with a fault.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    /// As `serde_json` writes and reads it.
    Plain,
    /// Large numbers lose their last digit.
    Narrow,
    /// Maps and structures can't be written.
    NoMaps,
    /// Objects can't be read that name a kind.
    NoTagsRead,
}

impl CustomFormat for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String> {
        let mut text = serde_json::to_string(value).map_err(|error| error.to_string())?;
        if *self == Self::NoMaps && text.starts_with('{') {
            return Err("a map can't be written".into());
        }
        if *self == Self::Narrow {
            text = text.replace(&u64::MAX.to_string(), &(u64::MAX - 1).to_string());
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        if *self == Self::NoTagsRead && bytes.starts_with(b"{\"kind\"") {
            return Err("a tag can't be read".into());
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(|error| error.to_string())?;
        json.end().map_err(|error| error.to_string())
    }
}
