//! MessagePack: structures as maps with names, everything in its readable form.
//!
//! Fields are known by their names, so that those that are left out, added or moved do no harm; serde's tagged,
//! untagged and flattened types need them too. Addresses, ids and the like are texts, because serde's own buffers say
//! that they are readable whatever the format says. A reader takes structures from arrays as well, by position.

mod reader;
mod writer;

use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::writer::{Refused, Writer};
use super::place::{Reader, Trail, Untraced};
use super::reading::{self, Forms};
use super::wide::Form;
use super::writing::{self, Limits};
use super::{Codec, Format, FrameBuf, MAX_DEPTH, envelope, items};
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

    fn shares_frames(&self) -> bool {
        true
    }

    #[inline]
    fn decode_items(&self, body: &Bytes, messages: &mut Vec<Msg>) -> Option<Result<(), TransportError>> {
        items::read(Format::Msgpack, body, messages)
    }
}

/// The values that this format carries, and their form.
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
    const WIDE: Form = Form::Extension;
}

pub(super) fn encode_value<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), String> {
    writing::write(value, Writer(out), Untraced, Rules).map_err(|why| trace_writing(value, &why))
}

/// Writes a value that was refused once more, to find the place. A value that is written now was refused as a whole.
#[cold]
#[inline(never)]
fn trace_writing<T: Serialize>(value: &T, why: &Refused) -> String {
    let (trail, mut out, mut aside) = (Trail::default(), BytesMut::new(), Vec::new());
    let traced = blob::collect(&mut aside, || writing::write(value, Writer(&mut out), &trail, Rules));
    match traced {
        Err(why) => trail.explain::<T>(&why, |steps| steps),
        Ok(()) => Trail::default().explain::<T>(why, |steps| steps),
    }
}

pub(super) fn decode_value<T: DeserializeOwned>(body: &Bytes, parts: &Bytes) -> Result<T, String> {
    if !parts.is_empty() {
        return blob::provide(parts, || decode_body(body));
    }
    decode_body(body)
}

#[inline]
fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    reader::read(body).map_or_else(|| decode_any_form(body), Ok)
}

/// Reads a value that is written in some other form; what fails is told with its place.
#[cold]
#[inline(never)]
fn decode_any_form<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    decode_by(Rules, body)
}

/// As [`Rules`], for a value that the same program has written: what is left out by position is missed.
#[derive(Clone, Copy)]
struct Whole;

impl Forms for Whole {
    const KEYS_ARE_TEXT: bool = Rules::KEYS_ARE_TEXT;
    const RAW_JSON_IS_MAP: bool = Rules::RAW_JSON_IS_MAP;
    const WIDE: Form = Rules::WIDE;
    const WHOLE_TUPLES: bool = true;
}

/// Reads a value without blobs; a structure of fields by position has to have all of them.
pub(super) fn decode_whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    decode_by(Whole, body)
}

fn decode_by<T: DeserializeOwned, F: Forms>(forms: F, body: &[u8]) -> Result<T, String> {
    let trail = Trail::default();
    reading::read(&mut rmp_reader(body), &trail, forms).map_err(|why| {
        let mut walked = rmp_reader(body);
        walked.set_max_depth(MAX_DEPTH);
        trail.explain::<T>(&why, |steps| Reader::name(steps, &mut walked))
    })
}

type RmpReader<'b> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'b, [u8]>, Readable>;
type Readable = rmp_serde::config::HumanReadableConfig<rmp_serde::config::DefaultConfig>;

fn rmp_reader(body: &[u8]) -> RmpReader<'_> {
    rmp_serde::Deserializer::from_read_ref(body).with_human_readable()
}

/// A message's buffer for writers that put a byte or two at a time: `BytesMut::writer` costs twice the time.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::*;
    use crate::Blob;

    #[derive(Serialize, Deserialize)]
    enum Kind {
        Unit,
        Newtype(Option<i8>),
        Tuple(u8, f32),
        Struct { at: u16 },
    }

    #[derive(Serialize, Deserialize)]
    struct Marker;

    #[derive(Serialize, Deserialize)]
    struct All {
        number: u64,
        text: String,
        price: f64,
        may: Option<bool>,
        kinds: Vec<Kind>,
        map: BTreeMap<i16, char>,
        blob: Blob,
        unit: (Marker, ()),
    }

    fn all() -> All {
        let kinds = vec![Kind::Unit, Kind::Newtype(None), Kind::Tuple(200, 1.5), Kind::Struct { at: 300 }];
        let map = BTreeMap::from([(-1, 'a'), (-200, 'ö'), (7, '\n')]);
        let (text, blob) = ("ä".repeat(20), vec![1, 2, 255].into());
        All { number: 1 << 40, text, price: -0.5, may: Some(true), kinds, map, blob, unit: (Marker, ()) }
    }

    fn written<T: Serialize>(value: &T) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode_value(value, &mut out).unwrap();
        out.to_vec()
    }

    /// The bytes are those of `rmp-serde`, and both readers read them.
    fn check<T: Serialize + DeserializeOwned>(value: &T) {
        let bytes = written(value);
        let mut reference = Vec::new();
        let mut rmp = rmp_serde::Serializer::new(&mut reference).with_struct_map().with_human_readable();
        writing::write(value, &mut rmp, Untraced, Rules).unwrap();
        assert_eq!(bytes, reference);
        let read: T = reader::read(&bytes).expect("the usual form");
        assert_eq!(written(&read), bytes);
        assert_eq!(written(&decode_any_form::<T>(&bytes).unwrap()), bytes);
    }

    #[test]
    fn all_forms_are_written_and_read_as_by_rmp_serde() {
        for bit in 0..64 {
            let edge = 1u64 << bit;
            for number in [edge - 1, edge, edge + 1] {
                let signed = number as i64;
                check(&(
                    number,
                    signed,
                    signed.wrapping_neg(),
                    number as i8,
                    number as u16,
                    number as i32,
                    number as f64,
                ));
                let wide = written(&(i128::from(signed), u128::from(number) << bit));
                let expected = (i128::from(signed), u128::from(number) << bit);
                assert_eq!(reader::read(&wide), Some(expected));
                assert_eq!(decode_any_form(&wide), Ok(expected));
            }
        }
        for len in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            check(&("x".repeat(len), vec![true; len], Blob::from(vec![7; len])));
            check(&(0..len).map(|n| (n, ())).collect::<BTreeMap<_, _>>());
        }
        check(&vec![all(), all()]);
    }

    #[test]
    fn a_length_that_is_not_known_is_written_afterwards() {
        struct Unknown(usize);
        impl Serialize for Unknown {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..self.0).filter(|_| true))
            }
        }
        for len in [0, 15, 16, 70_000] {
            assert_eq!(written(&(1, Unknown(len), 2)), written(&(1, (0..len).collect::<Vec<_>>(), 2)));
        }
    }

    /// What the quick reader reads, the other one reads too.
    fn agree<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        if let Some(read) = reader::read::<T>(bytes) {
            assert_eq!(Ok(written(&read)), decode_any_form::<T>(bytes).map(|read| written(&read)), "{bytes:02x?}");
        }
    }

    #[test]
    fn both_readers_agree_on_any_bytes() {
        let (whole, mut seed) = (written(&all()), 1u64);
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..30_000 {
            let mut bytes = whole.clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                bytes[at] = next(256) as u8;
            }
            agree::<All>(&bytes);
            agree::<serde_json::Value>(&bytes);
            agree::<serde_json::Value>(&bytes[next(bytes.len())..]);
            agree::<(Vec<u8>, Kind, Option<Marker>)>(&bytes[next(bytes.len())..]);
        }
    }

    #[test]
    fn a_value_that_passes_over_failures_reads_the_rare_forms_too() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Lenient(#[serde(deserialize_with = "or_none")] Option<u128>);
        fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Debug>(reader: D) -> Result<Option<T>, D::Error> {
            Ok(T::deserialize(reader).ok())
        }
        let short_form = Bytes::from(written(&5u8));
        assert_eq!(decode_value(&short_form, &Bytes::new()), Ok(Lenient(Some(5))));
    }
}
