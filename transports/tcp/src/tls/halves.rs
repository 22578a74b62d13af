//! A TLS stream as the two halves of a link.
//!
//! A shutdown notifies the peer (`close_notify`) before it ends the sending direction, so an end without that is not a
//! clean one: the connection was cut, or its owner has dropped it.
//!
//! # What must stay true
//! 1. Reading writes nothing and writing reads nothing, except for a last alert: each half only ever wakes its
//!    own task, so they may share one lock.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use pleach_wire::Link;
use pleach_wire::sync::lock;
use pleach_wire::transport::PeerInfo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Join, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_rustls::TlsStream;

use crate::linger::Lingering;

/// A socket whose shutdown waits until everything has left.
pub(super) type Io = Join<OwnedReadHalf, Lingering>;

/// Makes a socket ready for TLS.
pub(super) fn io(stream: TcpStream) -> Io {
    let (reader, writer) = stream.into_split();
    tokio::io::join(reader, Lingering::new(writer))
}

/// Makes the link of a stream after its handshake.
pub(super) fn link(stream: TlsStream<Io>, ends: PeerInfo) -> Link {
    let shared = Arc::new(Shared(Mutex::new(stream)));
    Link { reader: Box::new(Reader(shared.clone())), writer: Box::new(Writer(shared)), lanes: None, ends }
}

/// Dropped by the last of the two halves, which closes the socket.
struct Shared(Mutex<TlsStream<Io>>);

impl Shared {
    fn stream(&self) -> MutexGuard<'_, TlsStream<Io>> {
        lock(&self.0)
    }
}

/// The receiving half.
struct Reader(Arc<Shared>);

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_read(cx, buf).map_err(|error| match error.kind() {
            // It means the same as a reset: fine between two messages, and a fault inside one.
            io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::ConnectionReset, CUT),
            _ => error,
        })
    }
}

/// The sending half. Dropping it ends the sending direction, without the word that makes it a clean end.
struct Writer(Arc<Shared>);

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_shutdown(cx)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let stream = self.0.stream();
        let socket: &TcpStream = stream.get_ref().0.reader().as_ref();
        // An error says that it was shut down before, or that the peer is gone.
        let _ = SockRef::from(socket).shutdown(Shutdown::Write);
    }
}

const CUT: &str = "the connection ended without a word of the peer (no TLS close_notify)";
