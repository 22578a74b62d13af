//! Maps quinn's errors to the seam: the kind of an I/O error decides how a connection has ended.
//!
//! `pleach-wire` takes `ConnectionReset` and its like for a graceful end if it comes between two
//! frames, and every other kind for a fault.

use std::io;

use quinn::{ConnectionError, ReadError, VarInt, WriteError};

/// The code of a connection that was closed after its sender had finished.
pub(crate) const FINISHED: (VarInt, &[u8]) = (VarInt::from_u32(0), b"finished");

/// The code of a connection that was dropped or aborted; data in transit is lost.
pub(crate) const DROPPED: (VarInt, &[u8]) = (VarInt::from_u32(1), b"dropped without a close");

/// The end of a connection.
pub(crate) fn connection(error: ConnectionError) -> io::Error {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotConnected, Other, TimedOut};
    let kind = match &error {
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => ConnectionReset,
        ConnectionError::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            ConnectionRefused
        }
        ConnectionError::LocallyClosed => NotConnected,
        ConnectionError::TimedOut => {
            return io::Error::new(TimedOut, "nothing came from the peer for too long, it is gone");
        }
        _ => Other,
    };
    io::Error::new(kind, error)
}

/// The end of a stream that we read.
pub(crate) fn reading(error: ReadError) -> io::Error {
    match error {
        ReadError::ConnectionLost(error) => connection(error),
        ReadError::Reset(_) => io::Error::new(io::ErrorKind::ConnectionReset, error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => io::Error::other(error),
    }
}

/// The end of a stream that we write.
pub(crate) fn writing(error: WriteError) -> io::Error {
    match error {
        WriteError::ConnectionLost(error) => connection(error),
        WriteError::Stopped(_) => io::Error::new(io::ErrorKind::BrokenPipe, error),
        WriteError::ClosedStream => io::Error::new(io::ErrorKind::NotConnected, error),
        WriteError::ZeroRttRejected => io::Error::other(error),
    }
}
