//! MessagePack: structures as maps with names, everything in its readable form.
//!
//! Fields are known by their names, so that those that are left out, added or moved do no harm; serde's tagged,
//! untagged and flattened types need them too. Addresses, ids and the like are texts, because serde's own buffers say
//! that they are readable whatever the format says. A reader takes structures from arrays as well, by position.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::place::{Reader, Trail};
use super::reading::{self, Forms};
use super::writing::{self, Limits};
use super::{Codec, Format, FrameBuf, MAX_DEPTH, envelope};
use crate::blob;
use crate::error::TransportError;
use crate::msg::{Msg, Outgoing};

/// The default codec: compact, self-describing, fast.
#[derive(Clone, Copy, Debug, Default)]
pub struct Msgpack;

impl Codec for Msgpack {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn format(&self) -> Format {
        Format::Msgpack
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        envelope::write(Format::Msgpack, msg, frame)
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        envelope::read(Format::Msgpack, body)
    }
}

/// What this format carries, and in which form.
#[derive(Clone, Copy)]
struct Rules;

impl Limits for Rules {
    const ONE_NOTHING: bool = true;
    const IS_JSON: bool = false;
    const BLOBS: bool = true;
}

impl Forms for Rules {
    const KEYS_ARE_TEXT: bool = false;
    const RAW_JSON_IS_MAP: bool = true;
}

pub(super) fn encode_value<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), String> {
    let trail = Trail::default();
    let mut writer = rmp_serde::Serializer::new(Out(out)).with_struct_map().with_human_readable();
    writing::write(value, &mut writer, &trail, Rules).map_err(|why| trail.explain::<T>(&why, |steps| steps))
}

pub(super) fn decode_value<T: DeserializeOwned>(body: &Bytes, parts: &Bytes) -> Result<T, String> {
    let trail = Trail::default();
    let read = || reading::read(&mut reader(body), &trail, Rules);
    let value = if parts.is_empty() { read() } else { blob::provide(parts, read) };
    value.map_err(|why| {
        let mut walked = reader(body);
        walked.set_max_depth(MAX_DEPTH);
        trail.explain::<T>(&why, |steps| Reader::name(steps, &mut walked))
    })
}

type RmpReader<'b> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'b, [u8]>, Readable>;
type Readable = rmp_serde::config::HumanReadableConfig<rmp_serde::config::DefaultConfig>;

fn reader(body: &[u8]) -> RmpReader<'_> {
    rmp_serde::Deserializer::from_read_ref(body).with_human_readable()
}

/// The connection's buffer for `rmp`, which writes a byte or two at a time: `BytesMut::writer` costs twice the time.
pub(super) struct Out<'a>(pub(super) &'a mut BytesMut);

impl io::Write for Out<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
