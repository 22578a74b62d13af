//! What crosses a link: a kind, the number of a tunnel, and what belongs to it.

use bytes::{Buf as _, BufMut as _, Bytes};

/// What crosses a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A tunnel begins; what it is to lead to.
    Open {
        id: u32,
        to: u32,
    },
    Data {
        id: u32,
        piece: Bytes,
    },
    /// So many bytes were taken: as many more may come.
    Taken {
        id: u32,
        bytes: u32,
    },
    Close {
        id: u32,
    },
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        let (kind, id) = match self {
            Self::Open { id, .. } => (b'o', id),
            Self::Data { id, .. } => (b'd', id),
            Self::Taken { id, .. } => (b't', id),
            Self::Close { id } => (b'c', id),
        };
        encoded.put_u8(kind);
        encoded.put_u32_le(*id);
        match self {
            Self::Open { to: number, .. } | Self::Taken { bytes: number, .. } => encoded.put_u32_le(*number),
            Self::Data { piece, .. } => encoded.put_slice(piece),
            Self::Close { .. } => {}
        }
        encoded
    }

    pub(super) fn decode(mut encoded: &[u8]) -> Option<Self> {
        let (kind, id) = (encoded.try_get_u8().ok()?, encoded.try_get_u32_le().ok()?);
        match kind {
            b'o' => Some(Self::Open { id, to: encoded.try_get_u32_le().ok()? }),
            b'd' => Some(Self::Data { id, piece: Bytes::copy_from_slice(encoded) }),
            b't' => Some(Self::Taken { id, bytes: encoded.try_get_u32_le().ok()? }),
            b'c' => Some(Self::Close { id }),
            _ => None,
        }
    }
}

/// How many bytes of a tunnel go into one frame.
pub(super) const MAX_PIECE: usize = 16 << 10;

/// The largest frame, in bytes.
pub(super) const MAX_FRAME: usize = MAX_PIECE + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_and_nothing_else_does() {
        let piece = Bytes::from_static(b"piece");
        for frame in [
            Frame::Open { id: 1, to: 2 },
            Frame::Data { id: 2, piece },
            Frame::Taken { id: 3, bytes: 4 },
            Frame::Close { id: u32::MAX },
        ] {
            assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        }
        for strange in [&b""[..], b"o", b"x1234", b"t1234", b"d123"] {
            assert_eq!(Frame::decode(strange), None, "{strange:?}");
        }
    }
}
