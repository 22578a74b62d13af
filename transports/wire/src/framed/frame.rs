//! The header of a frame: its kind and its length.
//!
//! All numbers are little-endian. A u32 opens every frame: its two highest bits are the kind of the frame, the others
//! how many bytes follow the header.
//!
//! ```text
//! 00, length                         body     a message, whole
//! 01, length   id: u32   size: u32   bytes    the first chunk of a message of `size` bytes
//! 10, length   id: u32               bytes    a further chunk of the message `id`
//! 11                                          in no use
//! ```
//! Only a message of more than [`CHUNK`] bytes comes in chunks. It is put together from its chunks in the order in which
//! they come; between them come frames of other messages, and chunks with other ids. It is complete when `size` bytes
//! are there, and then its id is free. At most [`MAX_TRANSFERS`] messages are under way at once in one direction
//! of a stream; one of them may have more than 4 MiB, and the others 32 MiB together, on all streams of the connection.
//! The limit of a frame's size holds for a message, whole or in chunks.

use bytes::{BufMut, BytesMut};

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A message of `len` bytes follows.
    Whole { len: u32 },
    /// The first `len` of a message's `size` bytes follow.
    First { len: u32, id: u32, size: u32 },
    /// The next `len` bytes of a message follow.
    Further { len: u32, id: u32 },
}

impl Header {
    /// Reads the header at the beginning of `bytes`; `None` if they are too few.
    ///
    /// # Errors
    /// In words, when no header begins like this.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(word) = number(bytes, 0) else { return Ok(None) };
        let len = word & MAX_LEN;
        let header = match word & !MAX_LEN {
            0 => Some(Self::Whole { len }),
            FIRST => number(bytes, 4).zip(number(bytes, 8)).map(|(id, size)| Self::First { len, id, size }),
            FURTHER => number(bytes, 4).map(|id| Self::Further { len, id }),
            _ => return Err(format!("the frame header {word:#010x} has both of the bits that mark a chunk")),
        };
        Ok(header)
    }

    /// Appends the header to `out`.
    pub(super) fn put(self, out: &mut BytesMut) {
        match self {
            Self::Whole { len } => out.put_u32_le(len),
            Self::First { len, id, size } => {
                out.put_u32_le(len | FIRST);
                out.put_u32_le(id);
                out.put_u32_le(size);
            }
            Self::Further { len, id } => {
                out.put_u32_le(len | FURTHER);
                out.put_u32_le(id);
            }
        }
    }

    /// Bytes of the header itself.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Whole { .. } => LENGTH_PREFIX,
            Self::First { .. } => MAX_HEADER,
            Self::Further { .. } => 8,
        }
    }

    /// Bytes of the whole message, as far as this header tells.
    pub(super) fn message(self) -> usize {
        let (Self::Whole { len: size } | Self::First { size, .. } | Self::Further { len: size, .. }) = self;
        size as usize
    }

    /// Bytes of the frame, header included.
    pub(super) fn frame(self) -> usize {
        let (Self::Whole { len } | Self::First { len, .. } | Self::Further { len, .. }) = self;
        self.size() + len as usize
    }
}

/// The allocation for `size` announced bytes of which `needed` have arrived or come next: at most four times as
/// much, or as four chunks while that is less.
///
/// It is the size, a quarter of it, a sixteenth, …: growing takes few steps, which together move little, and
/// never goes beyond the size.
pub(super) fn room(size: usize, needed: usize) -> usize {
    let mut room = size;
    while room / 4 >= needed.max(CHUNK) {
        room /= 4;
    }
    room
}

/// The u32 at `offset`, if it is there.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|number| u32::from_le_bytes(*number))
}

/// Bytes of the header of a whole message.
pub(super) const LENGTH_PREFIX: usize = 4;

/// Bytes of the longest header.
pub(super) const MAX_HEADER: usize = 12;

/// Messages that may be under way in chunks at once, in one direction of a stream: enough for large
/// ones to take turns, and few enough to bound what a receiver has to hold.
pub(super) const MAX_TRANSFERS: usize = 8;

/// A message larger than this goes in chunks of this size: some 20 µs of a local socket's time, which
/// is the longest that a small message waits for a large one.
pub(super) const CHUNK: usize = 64 << 10;

/// The bits of a header that say how long the frame is.
const MAX_LEN: u32 = (1 << 30) - 1;
const FIRST: u32 = 1 << 30;
const FURTHER: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let headers = [
            Header::Whole { len: 0 },
            Header::Whole { len: MAX_LEN },
            Header::First { len: 65_536, id: u32::MAX, size: u32::MAX },
            Header::Further { len: 1, id: 7 },
        ];
        for header in headers {
            let mut bytes = BytesMut::new();
            header.put(&mut bytes);
            assert_eq!(bytes.len(), header.size());
            for part in 0..bytes.len() {
                assert_eq!(Header::read(&bytes[..part]), Ok(None));
            }
            bytes.put_u8(0xff);
            assert_eq!(Header::read(&bytes), Ok(Some(header)));
        }
        let why = Header::read(&[0, 0, 0, 0xc0]).unwrap_err();
        assert!(why.contains("0xc0000000"), "{why}");
    }

    #[test]
    fn room_follows_what_has_arrived() {
        let size = 64 << 20;
        assert_eq!((room(size, 0), room(size, size), room(100, 0)), (CHUNK, size, 100));
        for needed in (0..size).step_by(100_000) {
            let room = room(size, needed);
            assert!(needed <= room && room <= size && room / 4 < needed.max(CHUNK), "{room} for {needed}");
        }
    }
}
