//! A shutdown that waits until everything has left for the peer.
//!
//! Closing a TCP socket while bytes of the peer are unread resets the connection, and the kernel then discards its
//! unsent bytes: a last answer would be lost to a peer that reads slowly. So a shutdown first waits until nothing is
//! unsent. A reset leaves bytes in the peer's kernel readable. There is no event for "all sent" as such; a socket whose
//! limit of unsent bytes is one is writable exactly then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

/// The sending half of a connection. Dropping it ends the sending direction without waiting.
#[derive(Debug)]
pub(crate) struct Lingering {
    half: OwnedWriteHalf,
    finishing: bool,
}

impl Lingering {
    pub(crate) fn new(half: OwnedWriteHalf) -> Self {
        Self { half, finishing: false }
    }

    fn poll_all_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream: &TcpStream = self.half.as_ref();
        if !self.finishing {
            SockRef::from(stream).set_tcp_notsent_lowat(1)?;
            self.finishing = true;
        }
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || is_writable(stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

/// Asks the kernel, and has it report when the answer changes.
fn is_writable(stream: &TcpStream) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&now))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.half.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_all_sent(cx))?;
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
