//! What a value takes as a payload, measured while it is encoded: its sender counts it as its receiver does.

use std::cell::Cell;

use bytes::BytesMut;

use super::{Encode, Format};
use crate::blob;
use crate::error::TransportError;

/// A value that notes, when it is encoded, how many bytes its payload takes: [`Payload::len`](crate::Payload::len) of
/// what its receiver gets.
pub struct Measured<'a> {
    value: &'a dyn Encode,
    len: Cell<usize>,
}

impl<'a> Measured<'a> {
    /// Wraps a value that has not been encoded yet.
    pub fn new(value: &'a dyn Encode) -> Self {
        Self { value, len: Cell::new(0) }
    }

    /// Returns how many bytes it took when it was last encoded.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Returns whether it took none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Encode for Measured<'_> {
    fn encode(&self, format: Format, out: &mut BytesMut) -> Result<(), TransportError> {
        let before = out.len() + blob::size_aside();
        self.value.encode(format, out)?;
        self.len.set(out.len() + blob::size_aside() - before);
        Ok(())
    }
}

impl std::fmt::Debug for Measured<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Measured({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Codec, FrameBuf, Json, Msgpack};
    use crate::{Blob, Cid, Msg};

    // A sender that counted otherwise than its receiver would run out of credit, or send too much.
    #[test]
    fn a_sender_measures_what_its_receiver_gets() {
        let values: [&dyn Encode; 5] = [
            &(),
            &("text", u64::MAX, vec![1u16, 2, 3]),
            &Blob::from(vec![7; 100]),
            &(1u8, Blob::from(vec![7; 100_000]), "text", Blob::from(vec![7; 5000])),
            &vec![String::from("ü"); 1000],
        ];
        for codec in [&Msgpack as &dyn Codec, &Json] {
            for value in values {
                let (mut out, mut parts, value) = (BytesMut::from(&b"before"[..]), Vec::new(), Measured::new(value));
                let msg = Msg::Yield { cid: Cid(3), value: &value as &dyn Encode };
                codec.encode(&msg, &mut FrameBuf { out: &mut out, parts: &mut parts }).unwrap();
                parts.iter().for_each(|part| out.extend_from_slice(part));
                let read = codec.decode(out.freeze().slice(6..)).unwrap();
                assert_eq!(read.payload().unwrap().len(), value.len(), "{}", codec.name());
            }
        }
    }
}
