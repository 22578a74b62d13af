//! Small messages of one stream that share a frame: the envelope once, and then values.
//!
//! ```text
//! [ITEMS, cid]  length value  length value …        length: u16 LE
//! ```
//! A sender that does not wait between its messages fills [`Items`]. A receiver gets one message for each value, as if
//! each had come in a frame of its own.
//!
//! # Invariants
//! 1. Such a body has at most [`MAX_SHARED`] bytes, so the messages that come of it are few: each may have two bytes only.

use std::cell::Cell;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::envelope::{FIXARRAY, ITEMS, YIELD, put_cid, take_cid};
use super::{Encode, Format, Payload};
use crate::blob;
use crate::error::TransportError;
use crate::msg::{Cid, Msg};

/// Encoded messages of one stream that are to be sent together.
///
/// ```
/// use pleach_wire::Format;
/// use pleach_wire::codec::{Items, with_small};
///
/// let mut items = Items::new();
/// for word in ["a", "few", "words"] {
///     with_small(Format::Msgpack, &word, |payload| items.add(payload));
/// }
/// assert_eq!(items.sizes().collect::<Vec<_>>(), [2, 4, 6]);
/// ```
#[derive(Debug, Default)]
pub struct Items {
    values: BytesMut,
    count: usize,
}

impl Items {
    /// Returns an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether a message with this payload may be added.
    pub fn fits(&self, payload: &[u8]) -> bool {
        self.values.len() + LENGTH + payload.len() <= MAX_VALUES
    }

    /// Adds a message with this payload.
    ///
    /// # Panics
    /// If it does not [fit](Self::fits).
    pub fn add(&mut self, payload: &[u8]) {
        assert!(self.fits(payload), "a frame has {MAX_SHARED} bytes at most");
        self.values.put_u16_le(payload.len() as u16);
        self.values.put_slice(payload);
        self.count += 1;
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the sizes of their payloads.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        let mut left = &*self.values;
        std::iter::from_fn(move || {
            let (length, rest) = left.split_first_chunk()?;
            let size = usize::from(u16::from_le_bytes(*length));
            left = &rest[size..];
            Some(size)
        })
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.values.clear();
        self.count = 0;
    }

    /// Appends the body of their frame.
    pub(crate) fn write(&self, cid: Cid, out: &mut BytesMut) {
        // One alone is an ordinary message.
        let (kind, values) = if self.count == 1 { (PLAIN, &self.values[LENGTH..]) } else { (SHARED, &*self.values) };
        out.put_slice(&kind);
        put_cid(out, cid);
        out.put_slice(values);
    }
}

/// Encodes a value that may share a frame with others, and hands it to `add`, before which nothing is locked. Returns
/// `None` if it may not: it can't be encoded, is larger than [`MAX_SMALL`], or has a blob.
pub fn with_small<T>(format: Format, value: &dyn Encode, add: impl FnOnce(&[u8]) -> T) -> Option<T> {
    // Taken from its place: the value's code may send another message meanwhile.
    let mut payload = PAYLOAD.try_with(Cell::take).unwrap_or_default();
    payload.clear();
    let mut parts = Vec::new();
    let encoded = blob::collect(&mut parts, || value.encode(format, &mut payload));
    if encoded.is_err() || !parts.is_empty() || payload.len() > MAX_SMALL {
        return None;
    }
    let added = add(&payload);
    let _ = PAYLOAD.try_with(|kept| kept.set(payload)); // freed where the thread ends
    Some(added)
}

thread_local! {
    static PAYLOAD: Cell<BytesMut> = Cell::default();
}

/// Reads the messages of a body that several share; `None` if it is another one.
///
/// # Errors
/// [`TransportError::Decode`] for bytes that are not messages; those before them have been appended.
#[inline]
pub(super) fn read(format: Format, body: &Bytes, messages: &mut Vec<Msg>) -> Option<Result<(), TransportError>> {
    (body.first_chunk() == Some(&SHARED)).then(|| {
        let taken = take_all(format, body.clone(), messages);
        taken.map_err(|why| TransportError::Decode { codec: format.name(), why })
    })
}

fn take_all(format: Format, mut body: Bytes, messages: &mut Vec<Msg>) -> Result<(), String> {
    if body.len() > MAX_SHARED {
        return Err(format!("{} bytes of stream messages share a frame, and the limit is {MAX_SHARED}", body.len()));
    }
    body.advance(SHARED.len());
    let cid = take_cid(&mut body)?;
    while !body.is_empty() {
        let length = body.first_chunk().ok_or("a length of one byte")?;
        let length = usize::from(u16::from_le_bytes(*length));
        body.advance(LENGTH);
        if length > body.len() {
            return Err(format!("a value of {length} bytes in a message with {} left", body.len()));
        }
        messages.push(Msg::Yield { cid, value: Payload::new(format, body.split_to(length), Bytes::new()) });
    }
    Ok(())
}

/// How a stream message begins that has its frame for itself.
const PLAIN: [u8; 2] = [FIXARRAY | 3, YIELD];

/// How those begin that share one.
const SHARED: [u8; 2] = [FIXARRAY | 2, ITEMS];

/// Bytes of a length.
const LENGTH: usize = 2;

/// The largest body that messages share: every receiver takes a frame of this size, whatever its limit for one message.
pub(crate) const MAX_SHARED: usize = 1 << 10;

/// What remains of it beside the longest envelope.
const MAX_VALUES: usize = MAX_SHARED - SHARED.len() - 9;

/// The largest payload that shares a frame: of larger ones too few would.
pub const MAX_SMALL: usize = MAX_VALUES / 2 - LENGTH;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::ser::{Serialize, Serializer};

    use super::*;
    use crate::Blob;
    use crate::codec::{Codec, FrameBuf, Msgpack};

    fn items(values: &[&dyn Encode]) -> Items {
        let mut items = Items::new();
        for value in values {
            with_small(Format::Msgpack, *value, |payload| items.add(payload)).unwrap();
        }
        items
    }

    fn body_of(items: &Items, cid: u64) -> BytesMut {
        let mut body = BytesMut::new();
        items.write(Cid(cid), &mut body);
        body
    }

    fn read(body: &[u8]) -> Option<Result<Vec<Msg>, TransportError>> {
        let mut messages = Vec::new();
        let read = Msgpack.decode_items(&Bytes::copy_from_slice(body), &mut messages);
        read.map(|read| read.map(|()| messages))
    }

    #[test]
    fn what_is_added_is_read_as_it_was_sent() {
        let texts = ["", "a", "text", &"x".repeat(300)];
        let items = items(&texts.each_ref().map(|text| text as &dyn Encode));
        assert_eq!(items.len(), texts.len());
        for cid in [1, 0x7f, 0x80, 0xffff, 0x1_0000, u64::MAX] {
            let messages = read(&body_of(&items, cid)).unwrap().unwrap();
            assert_eq!(messages.len(), texts.len());
            for ((msg, text), size) in messages.iter().zip(texts).zip(items.sizes()) {
                assert!(matches!(msg, Msg::Yield { cid: read, .. } if read.0 == cid));
                assert_eq!(msg.payload().unwrap().decode::<String>().unwrap(), text);
                assert_eq!(msg.payload().unwrap().len(), size, "as its sender counts it");
            }
        }
    }

    #[test]
    fn one_alone_is_an_ordinary_message() {
        let (value, mut out, mut parts) = (&"text", BytesMut::new(), Vec::new());
        let msg = Msg::Yield { cid: Cid(7), value: value as &dyn Encode };
        Msgpack.encode(&msg, &mut FrameBuf { out: &mut out, parts: &mut parts }).unwrap();
        let body = body_of(&items(&[value]), 7);
        assert_eq!(body, out);
        assert!(read(&body).is_none(), "it is read as any other");
    }

    /// A value whose code panics once it has written something.
    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("this one is expected")
        }
    }

    #[test]
    fn what_is_large_or_fails_is_left_out() {
        let add = |value: &dyn Encode| with_small(Format::Msgpack, value, <[u8]>::len);
        let (most, more) = ("x".repeat(MAX_SMALL - 3), "x".repeat(MAX_SMALL - 2));
        assert_eq!((add(&"text"), add(&most), add(&more)), (Some(5), Some(MAX_SMALL), None));
        assert_eq!(add(&vec![200_u8; 1 << 20]), None);
        assert_eq!(add(&Blob::from(vec![7; 5000])), None);
        assert_eq!(add(&Some(None::<u8>)), None, "that would not come back");
        assert!(catch_unwind(AssertUnwindSafe(|| add(&("text", Panics)))).is_err());
        assert_eq!(add(&"text"), Some(5));
    }

    #[test]
    fn a_frame_takes_so_many_and_no_more() {
        let (mut items, payload) = (Items::new(), [0xc0; 97]);
        while items.fits(&payload) {
            items.add(&payload);
        }
        let (body, number) = (body_of(&items, u64::MAX), items.len());
        assert!((MAX_SHARED - 100..=MAX_SHARED).contains(&body.len()), "{}", body.len());
        assert!(read(&body).unwrap().unwrap().len() == number);
        items.clear();
        assert!(items.is_empty() && items.sizes().next().is_none());
    }

    #[test]
    fn what_is_cut_or_too_long_is_an_error() {
        let mut body = body_of(&items(&[&"a text", &"another"]), 7);
        let second = body.len() - (LENGTH + 8);
        for len in SHARED.len()..body.len() {
            let whole = len == second || len == SHARED.len() + 1;
            assert_eq!(read(&body[..len]).unwrap().is_ok(), whole, "{len}");
        }
        assert!(Msgpack.decode(body.clone().freeze()).is_err(), "it is not one message");
        body.resize(MAX_SHARED + 1, 0);
        let why = read(&body).unwrap().unwrap_err().to_string();
        assert!(why.contains("1025 bytes") && why.contains("1024"), "{why}");
    }
}
