//! A message on its way to a queue: encoded before anything is locked.
//!
//! Encoding runs the code of a value, which may take its time, call back, or panic. So it happens in a buffer of the
//! thread's own, and a queue only copies what is small, or takes what is large as it is.
//!
//! # Invariants
//! 1. A thread keeps at most [`KEEP`] bytes, and small messages allocate nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};

use super::frame::CHUNK;
use crate::codec::{Codec, FrameBuf, Items};
use crate::error::{Direction, TransportError};
use crate::msg::{Cid, Msg, Outgoing};

/// The bytes of one message, without a header.
pub(super) struct Encoded<'a> {
    buffers: &'a mut Buffers,
    size: usize,
    cid: Option<Cid>,
    is_goodbye: bool,
}

/// Where messages are encoded; empty between two of them.
#[derive(Default)]
struct Buffers {
    envelope: BytesMut,
    /// The blobs, which follow the envelope.
    parts: Vec<Bytes>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Encodes a message of at most `limit` bytes, and hands it to `queue`.
///
/// # Errors
/// It can't be encoded, or is too large; those of `queue`.
pub(super) fn with_encoded<C: Codec, T>(
    codec: &C,
    msg: &Outgoing<'_>,
    limit: usize,
    queue: impl FnOnce(Encoded<'_>) -> Result<T, TransportError>,
) -> Result<T, TransportError> {
    with_buffers(|buffers| queue(Encoded::new(buffers, codec, msg, limit)?))
}

/// Hands the frame of some stream messages to `queue`.
pub(super) fn with_items<T>(cid: Cid, items: &Items, queue: impl FnOnce(Encoded<'_>) -> T) -> T {
    with_buffers(|buffers| {
        items.write(cid, &mut buffers.envelope);
        let size = buffers.envelope.len();
        queue(Encoded { buffers, size, cid: Some(cid), is_goodbye: false })
    })
}

fn with_buffers<T>(act: impl FnOnce(&mut Buffers) -> T) -> T {
    let mut act = Some(act);
    let mut within = |buffers: &mut Buffers| {
        let act = act.take().expect("called once");
        let clean_up = CleanUp(buffers);
        act(clean_up.0)
    };
    // They are in use while a value sends another message as it is encoded, and gone where the thread ends.
    let done = BUFFERS.try_with(|buffers| buffers.try_borrow_mut().ok().map(|mut buffers| within(&mut buffers)));
    done.ok().flatten().unwrap_or_else(|| within(&mut Buffers::default()))
}

impl<'a> Encoded<'a> {
    fn new<C: Codec>(
        buffers: &'a mut Buffers,
        codec: &C,
        msg: &Outgoing<'_>,
        limit: usize,
    ) -> Result<Self, TransportError> {
        let Buffers { envelope, parts } = &mut *buffers;
        codec.encode(msg, &mut FrameBuf { out: envelope, parts })?;
        let size = envelope.len() + parts.iter().map(Bytes::len).sum::<usize>();
        let limit = limit.min(MAX_MESSAGE);
        if size > limit {
            return Err(TransportError::FrameTooLarge { size, limit, direction: Direction::ToPeer });
        }
        Ok(Self { buffers, size, cid: msg.cid(), is_goodbye: matches!(msg, Msg::Bye { .. }) })
    }

    /// Bytes of the message.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn cid(&self) -> Option<Cid> {
        self.cid
    }

    /// Returns whether nothing may follow it.
    pub(super) fn is_goodbye(&self) -> bool {
        self.is_goodbye
    }

    /// Returns the bytes before the blobs.
    pub(super) fn envelope(&self) -> &[u8] {
        &self.buffers.envelope
    }

    /// Returns the blobs, to be taken out.
    pub(super) fn parts(&mut self) -> &mut Vec<Bytes> {
        &mut self.buffers.parts
    }

    /// Returns the message in pieces.
    pub(super) fn into_pieces(self) -> VecDeque<Bytes> {
        let Buffers { envelope, parts } = self.buffers;
        let envelope = match envelope.len() {
            ..=CHUNK => Bytes::copy_from_slice(envelope),
            _ => mem::take(envelope).freeze(),
        };
        [envelope].into_iter().chain(parts.drain(..)).collect()
    }
}

/// Empties the buffers, also when a value panics.
struct CleanUp<'a>(&'a mut Buffers);

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        let Buffers { envelope, parts } = &mut *self.0;
        envelope.clear();
        parts.clear();
        if envelope.capacity() > KEEP {
            *envelope = BytesMut::new();
        }
    }
}

/// The limit of the length and size fields of headers.
const MAX_MESSAGE: usize = u32::MAX as usize;

/// A buffer that a large message has grown beyond this is freed.
const KEEP: usize = 2 * CHUNK;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde::ser::{Error as _, Serialize, Serializer};

    use super::*;
    use crate::codec::{Encode, Json, Msgpack};

    const LIMIT: usize = 64 << 20;

    /// Encodes a value, and returns the bytes.
    fn encode(value: &dyn Encode) -> Result<Vec<u8>, TransportError> {
        let msg = Msg::Yield { cid: Cid(3), value };
        with_encoded(&Msgpack, &msg, LIMIT, |encoded| Ok(encoded.envelope().to_vec()))
    }

    /// The capacity of the buffer that the thread keeps, and how much is in it.
    fn kept() -> (usize, usize) {
        BUFFERS.with_borrow(|Buffers { envelope, .. }| (envelope.capacity(), envelope.len()))
    }

    /// What its code does while it is encoded.
    enum Acts {
        Fails,
        Panics,
        Sends,
    }

    impl Serialize for Acts {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Fails => return Err(S::Error::custom("it does not want to")),
                Self::Panics => panic!("it can't"),
                Self::Sends => {
                    let other = Msg::Yield { cid: Cid(4), value: &"another" as &dyn Encode };
                    let bytes = with_encoded(&Json, &other, LIMIT, |encoded| Ok(encoded.envelope().to_vec()));
                    assert!(bytes.unwrap().ends_with(b"\"another\"]"));
                }
            }
            serializer.serialize_str("a value")
        }
    }

    #[test]
    fn one_message_leaves_nothing_to_the_next_whatever_its_value_does() {
        let expected = encode(&"a value").unwrap();
        assert!(matches!(encode(&("text", Acts::Fails)), Err(TransportError::Encode { .. })));
        assert_eq!(encode(&"a value").unwrap(), expected);
        assert!(catch_unwind(AssertUnwindSafe(|| encode(&("text", Acts::Panics)))).is_err());
        assert_eq!(encode(&"a value").unwrap(), expected);
        assert_eq!(encode(&Acts::Sends).unwrap(), expected);
    }

    #[test]
    fn a_thread_keeps_a_small_buffer_and_no_large_one() {
        encode(&vec![7_u8; 100]).unwrap();
        let (small, used) = kept();
        assert!((100..=KEEP).contains(&small) && used == 0, "{small}");
        encode(&vec![7_u8; 100]).unwrap();
        assert_eq!(kept(), (small, 0));
        encode(&vec![200_u8; LIMIT / 4]).unwrap();
        assert_eq!(kept(), (0, 0));
    }
}
