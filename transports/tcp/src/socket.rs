//! TCP sockets, as both protocols of this crate want them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pleach_wire::address::HostPort;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// Returns the socket addresses that a host has, at least one.
pub(crate) async fn resolve(at: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = tokio::net::lookup_host((at.host.as_str(), at.port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address"));
    }
    Ok(found)
}

/// Binds a port.
pub(crate) fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
    // Without it a port stays taken for a minute after its connections ended. It does not let two listen.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Takes the next connection.
///
/// A failure costs one connection, or a pause: when the process is out of something, the connection is
/// still in the queue, so that the next accept would fail at once again.
///
/// # Cancel safety
/// If dropped before it resolves, no connection is lost.
pub(crate) async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let accepted = listener.accept().await.and_then(|(stream, _)| prepared(stream));
    if let Err(failed) = &accepted
        && !concerns_one_connection(failed)
    {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// Connects to one address.
///
/// # Cancel safety
/// If dropped before it resolves, the attempt is given up.
pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = prepared(TcpStream::connect(to).await?)?;
    // A free port of the dialer's own range can be connected to itself: nobody listens there.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    // Messages are coalesced above; waiting for more in the kernel only adds delay.
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER).with_interval(KEEP_ALIVE_EVERY).with_retries(KEEP_ALIVE_TRIES),
    )?;
    Ok(stream)
}

/// Whether the next accept may work at once: the kernel has taken the failed connection off its queue.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected)
}

/// Connections that may wait for `accept`.
const BACKLOG: i32 = 1024;

/// How long `accept` waits before it reports that the process or system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Silence after which the kernel asks whether a peer is alive: a dead host is noticed within a minute.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(30);

/// Time between two such questions.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Unanswered questions after which a peer counts as gone.
const KEEP_ALIVE_TRIES: u32 = 3;
