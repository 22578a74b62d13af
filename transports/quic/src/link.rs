//! A QUIC connection as a link: the control stream as byte halves, further streams as lanes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use pleach_wire::transport::{AcceptLanes, Lanes, OpenLanes, PeerInfo};
use pleach_wire::{Link, Traffic};
use quinn::{Connection, ConnectionError, RecvStream, SendStream, StoppedError, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::congestion::Flow;
use crate::driver::Driver;
use crate::shared_socket::SharedSocket;
use crate::{congestion, ending};

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// A connection in use. The last of a link's halves drops it, which closes it and tells the peer why.
///
/// The order of fields is the order of the end: the connection, its task with the last word, the socket.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) connection: Connection,
    /// Whether the control stream was shut down, and the peer has everything.
    finished: AtomicBool,
    flow: Arc<Flow>,
    driver: Driver,
    _socket: Arc<SharedSocket>,
}

impl Live {
    pub(crate) fn new(connection: Connection, driver: Driver, socket: Arc<SharedSocket>) -> Self {
        let flow = congestion::flow(&connection);
        Self { connection, finished: AtomicBool::new(false), flow, driver, _socket: socket }
    }

    /// Makes the link of a connection whose control stream is `send` and `recv`.
    pub(crate) fn link(self, send: SendStream, recv: RecvStream, ends: PeerInfo) -> Link {
        let live = Arc::new(self);
        let opener = Opener { opening: None, live: live.clone() };
        let acceptor = Acceptor { accepting: None, live: live.clone() };
        Link {
            reader: Box::new(Reader { stream: recv, _live: live.clone() }),
            writer: Box::new(Writer { shutting: None, stream: send, control: true, live }),
            lanes: Some(Lanes { opener: Box::new(opener), acceptor: Box::new(acceptor) }),
            ends,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The streams' last data goes out first, as far as the network takes it now.
        self.driver.turn();
        let (code, reason) = if *self.finished.get_mut() { ending::FINISHED } else { ending::DROPPED };
        self.connection.close(code, reason);
        congestion::yield_to_last_word(&self.connection);
    }
}

/// The receiving half of a stream. Dropping it before its end asks the peer to send no more.
struct Reader {
    stream: RecvStream,
    /// Dropped after the stream.
    _live: Arc<Live>,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_buf(cx, buf).map_err(ending::reading)
    }
}

/// The sending half of a stream. Dropping it ends the stream; data that has not arrived by then may be lost.
struct Writer {
    shutting: Pending<Result<Option<VarInt>, StoppedError>>,
    stream: SendStream,
    control: bool,
    /// Dropped after the stream.
    live: Arc<Live>,
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf)).map_err(ending::writing)?;
        self.live.flow.note_written(written);
        Poll::Ready(Ok(written))
    }

    /// Nothing to do: quinn sends its data as soon as the network lets it.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shutting = this.shutting.get_or_insert_with(|| {
            // An error says that it was finished before, which a second shutdown finds.
            let _ = this.stream.finish();
            Box::pin(this.stream.stopped())
        });
        let acknowledged = ready!(shutting.as_mut().poll(cx));
        this.shutting = None;
        match acknowledged {
            Ok(None) => {
                this.live.finished.fetch_or(this.control, Ordering::Relaxed);
                Poll::Ready(Ok(()))
            }
            // A peer that closes by itself wants no more: one that has read enough need not wait for our end, and must
            // not make it a failure.
            Ok(Some(_)) | Err(StoppedError::ConnectionLost(ConnectionError::ApplicationClosed(_))) => {
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(ending::writing(error.into()))),
        }
    }
}

struct Opener {
    opening: Pending<Result<SendStream, ConnectionError>>,
    live: Arc<Live>,
}

impl OpenLanes for Opener {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn AsyncWrite + Send + Unpin>>> {
        let connection = &self.live.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        let stream = opened.map_err(ending::connection)?;
        Poll::Ready(Ok(Box::new(Writer { shutting: None, stream, control: false, live: self.live.clone() })))
    }

    fn traffic(&self) -> Traffic {
        self.live.flow.traffic()
    }
}

struct Acceptor {
    accepting: Pending<Result<RecvStream, ConnectionError>>,
    live: Arc<Live>,
}

impl AcceptLanes for Acceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
        let connection = &self.live.connection;
        let accepting = self.accepting.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting = None;
        let stream = accepted.map_err(ending::connection)?;
        Poll::Ready(Ok(Box::new(Reader { stream, _live: self.live.clone() })))
    }
}
