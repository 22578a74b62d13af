//! Large byte strings: they travel behind a message as they are and are never copied.
//!
//! While a codec that knows blobs encodes a payload, a [`Blob`] of at least [`MIN_PART`] bytes puts
//! itself aside and leaves a mark in its place; the frame's writer hands it to the socket with a
//! vectored write. The reader receives a frame into one buffer, and the blob is a slice of it. The
//! detour runs through a thread-local, because serde offers no other way from inside a value to its
//! codec; it is set for the time of one synchronous call only.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

/// A byte string that crosses a connection without being copied.
///
/// ```
/// # use pleach_wire::Blob;
/// let picture = Blob::from(vec![0u8; 1 << 20]);
/// assert_eq!(picture.len(), 1 << 20);
/// ```
/// Fields of type [`Bytes`] become blobs with `#[serde(with = "pleach_wire::blob")]`. Cloning is
/// cheap; dropping the last clone frees the frame that it came in.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob(pub Bytes);

/// From this size on a blob travels on its own; below it, a copy is cheaper.
pub const MIN_PART: usize = 4096;

impl<T: Into<Bytes>> From<T> for Blob {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Blob {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob of {} bytes", self.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

/// Writes `bytes` as a blob; for `#[serde(with = …)]` on fields of type [`Bytes`].
///
/// # Errors
/// Those of `serializer`.
pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(NAME, &Body(bytes))
}

/// Reads a blob; for `#[serde(with = …)]` on fields of type [`Bytes`].
///
/// # Errors
/// Those of `deserializer`, and when a mark names bytes that did not come with the message.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    deserializer.deserialize_newtype_struct(NAME, NamedVisitor)
}

/// By this name a serializer recognises a blob; others write its contents.
pub(crate) const NAME: &str = "pleach::Blob";

/// The contents: text for readable formats, else bytes, or a mark where a codec has asked for one.
struct Body<'a>(&'a Bytes);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(bytes) = *self;
        if serializer.is_human_readable() {
            return serializer.serialize_str(&BASE64.encode(bytes));
        }
        if !ASKED.take() || bytes.len() < MIN_PART {
            return serializer.serialize_bytes(bytes);
        }
        let Some(offset) = put_aside(bytes) else { return serializer.serialize_bytes(bytes) };
        let offset = u32::try_from(offset).map_err(|_| S::Error::custom("the blobs of one message exceed 4 GiB"))?;
        let len = u32::try_from(bytes.len()).map_err(|_| S::Error::custom("a blob exceeds 4 GiB"))?;
        let mark = [offset.to_le_bytes(), len.to_le_bytes()].concat();
        serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &(EXT_BLOB, Mark(mark)))
    }
}

/// Runs `write`, which writes a blob: it may put itself aside.
pub(crate) fn ask<T>(write: impl FnOnce() -> T) -> T {
    ASKED.set(true);
    let written = write();
    ASKED.set(false);
    written
}

/// Runs `encode`, which may put blobs aside; they are appended to `parts` in order.
pub(crate) fn collect<T>(parts: &mut Vec<Bytes>, encode: impl FnOnce() -> T) -> T {
    let collecting = Collecting { outer: COLLECTING.replace(Some(Aside::default())), parts };
    let encoded = encode();
    drop(collecting);
    encoded
}

/// Runs `decode`, in which marks are looked up in `parts`.
pub(crate) fn provide<T>(parts: &Bytes, decode: impl FnOnce() -> T) -> T {
    let _guard = Providing(INCOMING.replace(Some(parts.clone())));
    decode()
}

/// Puts `bytes` aside if a collection is under way, and returns their offset among this message's blobs.
pub(crate) fn put_aside(bytes: &Bytes) -> Option<usize> {
    let Aside { number, size } = COLLECTING.get()?;
    ASIDE.with_borrow_mut(|aside| aside.push(bytes.clone()));
    COLLECTING.set(Some(Aside { number: number + 1, size: size + bytes.len() }));
    Some(size)
}

/// Returns how many bytes the value that is being encoded has put aside.
pub(crate) fn size_aside() -> usize {
    COLLECTING.get().map_or(0, |aside| aside.size)
}

fn look_up(mark: &[u8]) -> Option<Bytes> {
    let (offset, len) = mark.split_first_chunk::<4>()?;
    let start = u32::from_le_bytes(*offset) as usize;
    let end = start.checked_add(u32::from_le_bytes(len.try_into().ok()?) as usize)?;
    INCOMING.with_borrow(|parts| parts.as_ref().filter(|parts| end <= parts.len()).map(|parts| parts.slice(start..end)))
}

/// How many blobs of the message that is being encoded are aside, and how many bytes.
#[derive(Clone, Copy, Default)]
struct Aside {
    number: usize,
    size: usize,
}

/// Gives the collected parts back and goes on with the outer collection, also when a value panics. Without a part it only
/// looks at a number.
struct Collecting<'a> {
    outer: Option<Aside>,
    parts: &'a mut Vec<Bytes>,
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        let Some(Aside { number: number @ 1.., .. }) = COLLECTING.replace(self.outer) else { return };
        ASIDE.with_borrow_mut(|aside| match self.outer {
            Some(_) => self.parts.extend(aside.drain(aside.len() - number..)),
            None => self.parts.append(&mut std::mem::take(aside)), // all, and no memory stays behind
        });
    }
}

/// Restores the outer parts, also when a value panics.
struct Providing(Option<Bytes>);

impl Drop for Providing {
    fn drop(&mut self) {
        INCOMING.replace(self.0.take());
    }
}

/// Recognises the name; a self-describing format knows the contents.
struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BlobVisitor.expecting(f)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<Bytes, D::Error> {
        if inside.is_human_readable() {
            return inside.deserialize_any(BlobVisitor);
        }
        inside.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string, or base64 text")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        BASE64.decode(text).map(Bytes::from).map_err(E::custom)
    }

    /// Bytes as numbers; or the inside of an extension that serde has buffered.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(part) = seq.next_element()? {
            match part {
                Part::Number(number) => bytes.push(u8::try_from(number).map_err(de::Error::custom)?),
                Part::Bytes(mark) if bytes == [EXT_BLOB as u8] => return marked(&mark),
                Part::Bytes(_) => return Err(de::Error::custom("a byte string among numbers is not a blob")),
            }
        }
        Ok(bytes.into())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<Bytes, D::Error> {
        let (kind, Mark(mark)): (i8, Mark) = Deserialize::deserialize(extension)?;
        if kind != EXT_BLOB {
            return Err(de::Error::custom(format!("extension {kind} is not a blob")));
        }
        marked(&mark)
    }
}

fn marked<E: de::Error>(mark: &[u8]) -> Result<Bytes, E> {
    look_up(mark).ok_or_else(|| E::custom("a blob was announced that did not come with the message"))
}

/// The possible elements of a sequence.
enum Part {
    Number(i64),
    Bytes(Vec<u8>),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl Visitor<'_> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Part, E> {
        i64::try_from(number).map(Part::Number).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Part, E> {
        Ok(Part::Number(number))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Part, E> {
        Ok(Part::Bytes(bytes.to_vec()))
    }
}

/// Offset and length of a blob among the parts of its message, two u32 LE.
struct Mark(Vec<u8>);

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BlobVisitor).map(|bytes| Self(bytes.into()))
    }
}

/// The MessagePack extension type of a blob's mark.
const EXT_BLOB: i8 = 0x50;

thread_local! {
    static ASKED: Cell<bool> = const { Cell::new(false) };
    static COLLECTING: Cell<Option<Aside>> = const { Cell::new(None) };
    /// The blobs of all messages that are being encoded, those of the innermost last.
    static ASIDE: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    static INCOMING: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}
