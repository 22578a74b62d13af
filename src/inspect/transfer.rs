//! Messages over a connection whose other end may stall.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A connection, and until when it may be used.
#[derive(Debug)]
pub(crate) struct Transfer {
    connection: UnixStream,
    until: Option<Instant>,
}

impl Transfer {
    pub(super) fn over(connection: UnixStream, bound: Duration) -> Self {
        Self { connection, until: Some(Instant::now() + bound) }
    }

    /// A connection for a conversation within this process.
    pub(crate) fn conversation(connection: UnixStream) -> Self {
        Self { connection, until: None }
    }

    /// The same connection, for as long from now on.
    pub(super) fn with_bound(self, bound: Duration) -> Self {
        Self { until: Some(Instant::now() + bound), ..self }
    }

    /// The same connection, for a conversation: a person at one end takes any time.
    pub(crate) fn without_bound(self) -> Self {
        Self { until: None, ..self }
    }

    /// The connection itself, for others to use.
    pub(super) fn into_connection(self) -> UnixStream {
        self.connection
    }

    /// Another handle on the connection, for a thread that receives while this one sends.
    ///
    /// # Errors
    /// When files have run out.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { connection: self.connection.try_clone()?, until: self.until })
    }

    /// Ends the connection for all its handles.
    pub(crate) fn shut_down(&self) {
        let _ = self.connection.shutdown(std::net::Shutdown::Both); // it has ended
    }

    /// Returns whether the other end has closed it, or has said something out of turn.
    pub(crate) fn is_readable(&self) -> bool {
        let mut polled = [PollFd::new(&self.connection, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the other end closes it.
    pub(crate) fn wait_for_end(mut self) {
        let mut ignored = [0; 64];
        self.until = None;
        while self.read(&mut ignored).is_ok() {}
    }

    /// Sends a message: its length (4 bytes, little-endian), and the value as msgpack with names.
    ///
    /// # Errors
    /// When the other end has left, or does not take it in time.
    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let frame = frame(message)?;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            self.connection.set_write_timeout(self.left()?)?;
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
    pub(crate) fn receive<T: DeserializeOwned>(&mut self, limit: usize) -> io::Result<T> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let mut message = vec![0; checked(length, limit)?];
        self.fill(&mut message)?;
        decoded(&message)
    }

    fn fill(&mut self, mut rest: &mut [u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let read = self.read(rest)?;
            rest = &mut rest[read..];
        }
        Ok(())
    }

    /// Reads at least a byte.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.connection.set_read_timeout(self.left()?)?;
            match self.connection.read(into).map_err(in_time) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Returns how long it may still take; `None`: any time.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(until) = self.until else { return Ok(None) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

/// As [`Transfer::send`], in a process whose async runtime never stands still.
///
/// # Errors
/// When the other end has left.
pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(message)?).await
}

/// As [`Transfer::receive`], in a process whose async runtime never stands still.
///
/// # Errors
/// When the other end has left, or sends something else.
pub(crate) async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let mut message = vec![0; checked(length, limit)?];
    from.read_exact(&mut message).await?;
    decoded(&message)
}

/// A message behind its length.
fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

fn checked(length: [u8; 4], limit: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    match length > limit {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes, more than {limit}"))),
        false => Ok(length),
    }
}

fn decoded<T: DeserializeOwned>(message: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
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
