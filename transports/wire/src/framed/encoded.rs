//! A message on its way to a queue: encoded before anything is locked.
//!
//! Encoding runs the code of a value, which may take its time, call back, or panic. So it happens in a buffer of the
//! thread's own, and a queue only copies what is small, or takes what is large as it is.
//!
//! # Invariants
//! 1. A thread keeps at most [`KEEP`] bytes, and small messages allocate nothing.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};

use super::frame::CHUNK;
use crate::codec::{Codec, FrameBuf};
use crate::error::{Direction, TransportError};
use crate::msg::{Cid, Msg, Outgoing};

/// The bytes of one message, without a header.
pub(super) struct Encoded {
    buffers: Buffers,
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
    /// There while no message is in them: a value may send another message while it is encoded.
    static BUFFERS: Cell<Option<Buffers>> = const { Cell::new(None) };
}

impl Encoded {
    /// Encodes a message of at most `limit` bytes.
    ///
    /// # Errors
    /// It can't be encoded, or is too large.
    pub(super) fn new<C: Codec>(codec: &C, msg: &Outgoing<'_>, limit: usize) -> Result<Self, TransportError> {
        // A thread that ends has none any more.
        let buffers = BUFFERS.try_with(Cell::take).ok().flatten().unwrap_or_default();
        let is_goodbye = matches!(msg, Msg::Bye { .. });
        let mut encoded = Self { buffers, size: 0, cid: msg.cid(), is_goodbye };
        let Buffers { envelope, parts } = &mut encoded.buffers;
        codec.encode(msg, &mut FrameBuf { out: envelope, parts })?;
        let size = envelope.len() + parts.iter().map(Bytes::len).sum::<usize>();
        let limit = limit.min(MAX_MESSAGE);
        if size > limit {
            return Err(TransportError::FrameTooLarge { size, limit, direction: Direction::ToPeer });
        }
        encoded.size = size;
        Ok(encoded)
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
    pub(super) fn into_pieces(mut self) -> VecDeque<Bytes> {
        let Buffers { envelope, parts } = &mut self.buffers;
        let envelope = match envelope.len() {
            ..=CHUNK => Bytes::copy_from_slice(envelope),
            _ => mem::take(envelope).freeze(),
        };
        [envelope].into_iter().chain(parts.drain(..)).collect()
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        let Buffers { mut envelope, mut parts } = mem::take(&mut self.buffers);
        envelope.clear();
        parts.clear();
        if envelope.capacity() <= KEEP {
            // Not where the thread ends.
            let _ = BUFFERS.try_with(|kept| kept.set(Some(Buffers { envelope, parts })));
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

    fn encode(value: &dyn Encode) -> Result<Encoded, TransportError> {
        Encoded::new(&Msgpack, &Msg::Yield { cid: Cid(3), value }, LIMIT)
    }

    fn kept() -> (usize, usize) {
        let buffers = BUFFERS.take().unwrap_or_default();
        let kept = (buffers.envelope.capacity(), buffers.envelope.len());
        BUFFERS.set(Some(buffers));
        kept
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
                    let other =
                        Encoded::new(&Json, &Msg::Yield { cid: Cid(4), value: &"another" as &dyn Encode }, LIMIT);
                    assert!(other.unwrap().envelope().ends_with(b"\"another\"]"));
                }
            }
            serializer.serialize_str("a value")
        }
    }

    #[test]
    fn one_message_leaves_nothing_to_the_next_whatever_its_value_does() {
        let expected = encode(&"a value").unwrap().envelope().to_vec();
        assert!(matches!(encode(&("text", Acts::Fails)), Err(TransportError::Encode { .. })));
        assert_eq!(encode(&"a value").unwrap().envelope(), expected);
        assert!(catch_unwind(AssertUnwindSafe(|| encode(&("text", Acts::Panics)))).is_err());
        assert_eq!(encode(&"a value").unwrap().envelope(), expected);
        assert_eq!(encode(&Acts::Sends).unwrap().envelope(), expected);
    }

    #[test]
    fn a_thread_keeps_a_small_buffer_and_no_large_one() {
        drop(encode(&vec![7_u8; 100]));
        let (small, used) = kept();
        assert!((100..=KEEP).contains(&small) && used == 0, "{small}");
        drop(encode(&vec![7_u8; 100]));
        assert_eq!(kept(), (small, 0));
        drop(encode(&vec![200_u8; LIMIT / 4]));
        assert_eq!(kept(), (0, 0));
    }
}
