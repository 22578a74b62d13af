//! The two halves of a connection, each with its own registration for what it waits for.
//!
//! A Unix socket reports that it can be written with each read of the peer. A registration for both directions, as
//! tokio's has, is woken by that after each message, for nothing: a call then costs two turns of the event loop more. So
//! the writer is registered only while the socket takes no more.
//!
//! # Invariants
//! 1. A writer that waits has written in vain after it had cleared what was reported before: no report is missed. A new
//!    registration reports how the socket is.

use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The reading half.
pub(crate) struct Reader(AsyncFd<Shared>);

/// The writing half. Dropping it ends that direction.
pub(crate) struct Writer {
    stream: Shared,
    /// There while the socket takes no more, and for [`CALM`] writes after that.
    full: Option<Full>,
    has_ended: bool,
}

/// How a writer waits for the socket.
struct Full {
    /// A descriptor of its own, because the first one is the reader's.
    registered: Option<AsyncFd<Shared>>,
    /// Without one, because this process has too many, it looks now and then.
    pause: Option<Pin<Box<Sleep>>>,
    /// How many writes the socket has taken at once since it was full.
    taken: u32,
}

#[derive(Clone)]
struct Shared(Arc<UnixStream>);

impl AsRawFd for Shared {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Splits a connection.
///
/// # Errors
/// Those of the event loop.
pub(crate) fn split(stream: tokio::net::UnixStream) -> io::Result<(Reader, Writer)> {
    let stream = Shared(Arc::new(stream.into_std()?));
    let reader = register(stream.clone(), Interest::READABLE)?;
    Ok((Reader(reader), Writer { stream, full: None, has_ended: false }))
}

#[expect(unsafe_code, reason = "tokio can't know that the stream keeps its descriptor")]
fn register(stream: Shared, interest: Interest) -> io::Result<AsyncFd<Shared>> {
    // SAFETY: the descriptor is that of a stream which nothing can replace, and it is open as long as `stream` lives.
    Ok(unsafe { AsyncFd::register_with_interest(stream, interest) }?)
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let room = buf.remaining();
            match receive(self.0.get_ref(), buf) {
                Ok(read) => {
                    // That was all, so the next one would be in vain. The end of the stream stays noted.
                    if read > 0 && read < room {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

/// Receives what fits.
#[expect(unsafe_code, reason = "the system fills memory that would have to be cleared for each call otherwise")]
fn receive(stream: &Shared, buf: &mut ReadBuf<'_>) -> Result<usize, Errno> {
    // SAFETY: nothing in there is made uninitialised, because the system only writes to it.
    let room = unsafe { buf.unfilled_mut() };
    let ((filled, _), _) = rustix::net::recv(stream, room, RecvFlags::empty())?;
    let read = filled.len();
    // SAFETY: the system has filled these bytes.
    unsafe { buf.assume_init(read) };
    buf.advance(read);
    Ok(read)
}

impl Writer {
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(&self.stream.0) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_writable(cx))?;
                }
                done => {
                    self.note_taken();
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Waits until the socket may take more. The first time it is registered; what has happened before is told then.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = self.full.get_or_insert_with(|| Full::of(&self.stream.0));
        full.taken = 0;
        match &full.registered {
            Some(registered) => ready!(registered.poll_write_ready(cx))?.clear_ready(),
            None => {
                let pause = full.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
                ready!(pause.as_mut().poll(cx));
                self.full = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn note_taken(&mut self) {
        if let Some(full) = &mut self.full {
            full.taken += 1;
            if full.taken > CALM {
                self.full = None;
            }
        }
    }
}

impl Full {
    fn of(stream: &UnixStream) -> Self {
        let registered = stream.try_clone().and_then(|stream| register(Shared(Arc::new(stream)), Interest::WRITABLE));
        Self { registered: registered.ok(), pause: None, taken: 0 }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |mut stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |mut stream| stream.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_ended = true;
        Poll::Ready(self.stream.0.shutdown(Shutdown::Write))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.stream.0.shutdown(Shutdown::Write); // the peer may have closed before
        }
    }
}

/// After so many writes that did not have to wait, the socket is not expected to be full again soon.
const CALM: u32 = 64;

/// Between two looks at a full socket that can't be registered.
const PAUSE: Duration = Duration::from_millis(1);
