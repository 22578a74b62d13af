//! One message each way over a connection whose other end may stall.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A connection, and until when it may be used.
pub(super) struct Transfer {
    connection: UnixStream,
    until: Instant,
}

impl Transfer {
    pub(super) fn over(connection: UnixStream, bound: Duration) -> Self {
        Self { connection, until: Instant::now() + bound }
    }

    /// Sends a message: its length (4 bytes, little-endian), and the value as msgpack with names.
    ///
    /// # Errors
    /// When the other end has left, or does not take it in time.
    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut frame = vec![0; 4];
        rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
        let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        let mut rest = &frame[..];
        while !rest.is_empty() {
            self.connection.set_write_timeout(Some(self.left()?))?;
            match self.connection.write(rest).map_err(in_time) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives a message of at most `limit` bytes.
    ///
    /// # Errors
    /// When the other end has left, or sends something else, or nothing in time.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, limit: usize) -> io::Result<T> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes, more than {limit}")));
        }
        let mut message = vec![0; length];
        self.fill(&mut message)?;
        rmp_serde::from_slice(&message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn fill(&mut self, mut rest: &mut [u8]) -> io::Result<()> {
        while !rest.is_empty() {
            self.connection.set_read_timeout(Some(self.left()?))?;
            match self.connection.read(rest).map_err(in_time) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => rest = &mut rest[read..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns how long it may still take.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A socket whose timeout has passed says that it would block.
fn in_time(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Transfer, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        (Transfer::over(here, Duration::from_millis(50)), there)
    }

    #[test]
    fn a_message_arrives() {
        let (mut here, there) = pair();
        Transfer::over(there, Duration::from_secs(5)).send(&("some", 3)).unwrap();
        assert_eq!(here.receive::<(String, u8)>(100).unwrap(), ("some".to_owned(), 3));
    }

    #[test]
    fn what_stalls_is_given_up_and_what_is_too_large_not_read() {
        let (mut here, mut there) = pair();
        assert_eq!(here.receive::<u8>(100).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut full, _there) = pair();
        assert_eq!(full.send(&vec![0_u8; 8 << 20]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut here_again, mut large) = pair();
        large.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(here_again.receive::<u8>(100).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // A byte at a time does not put the deadline off.
        there.write_all(&[9]).unwrap();
        assert_eq!(here.receive::<u8>(100).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
