//! What both halves of a link need of the other side: its memory, its events, and whether it is still there.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::nap::Place;
use crate::ring::{Number, Ring};

/// Dropping it closes the socket, by which the peer knows that this side has ended.
pub(crate) struct Shared {
    pub(crate) mine: Ring,
    pub(crate) theirs: Ring,
    /// What the peer's halves wait for: bytes to read, and room to write.
    pub(crate) their_reader: OwnedFd,
    pub(crate) their_writer: OwnedFd,
    /// Nothing is ever written to it once the link is open.
    pub(crate) socket: UnixStream,
}

impl Shared {
    /// How many bytes wait to be read behind position `read`.
    ///
    /// # Errors
    /// When the peer says that there are more than its ring has.
    pub(crate) fn available(&self, read: u32) -> io::Result<u32> {
        match self.theirs.number(Number::Written).load().wrapping_sub(read) {
            available if available <= self.theirs.size() => Ok(available),
            _ => Err(invalid("the peer claims to have written more than its ring holds")),
        }
    }

    /// How many bytes can be written behind position `written`.
    ///
    /// # Errors
    /// When the peer says that it has read what was not written yet.
    pub(crate) fn room(&self, written: u32) -> io::Result<u32> {
        let waiting = written.wrapping_sub(self.theirs.number(Number::Read).load());
        self.mine
            .size()
            .checked_sub(waiting)
            .ok_or_else(|| invalid("the peer claims to have read what was not written"))
    }

    /// Waits for the end of the peer. The two halves wait with different interests, and so with wakers of their own.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Error> {
        loop {
            let ready = match interest.is_writable() {
                true => ready!(self.socket.poll_write_ready(cx)),
                false => ready!(self.socket.poll_read_ready(cx)),
            };
            let seen = ready.and_then(|()| self.socket.try_io(interest, || self.peek()));
            match seen {
                Ok(0) => return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionReset, "the peer has ended")),
                Ok(_) => return Poll::Ready(invalid("the peer wrote to the socket")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(error),
            }
        }
    }

    fn peek(&self) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(&self.socket, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
        Ok(read)
    }
}

/// Has the next signal of an event wake `cx`. Look once more after that.
///
/// The event's counter is never read: the event loop reports each signal as it comes.
pub(crate) fn poll_event(event: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> io::Result<()> {
    while let Poll::Ready(ready) = event.poll_read_ready(cx) {
        ready?.clear_ready();
    }
    Ok(())
}

/// Signals an event of the peer.
pub(crate) fn signal(event: &OwnedFd) {
    // It fails once the counter is full, which takes a peer that fills its own, and 2^64 signals otherwise.
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}

pub(crate) fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
