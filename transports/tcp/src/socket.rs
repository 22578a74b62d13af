//! TCP sockets, as both protocols of this crate want them.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pleach_wire::Address;
use pleach_wire::address::HostPort;
use pleach_wire::bind;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// Returns the socket addresses that a host has, at least one.
pub(crate) async fn resolve(at: &HostPort) -> io::Result<Vec<SocketAddr>> {
    bind::addresses(at, tokio::net::lookup_host((at.host.as_str(), at.port)).await?)
}

/// The sockets of one listener: one for each address of its name.
#[derive(Debug)]
pub(crate) struct Bound {
    sockets: Vec<TcpListener>,
    /// Where the next look for a connection begins, so that a flood at one address does not starve another.
    turn: AtomicUsize,
}

impl Bound {
    /// Binds all of `found`, and also returns the address that peers dial. `allows` may refuse an address.
    pub(crate) fn bind(
        asked: &Address,
        found: &[SocketAddr],
        allows: impl Fn(SocketAddr) -> io::Result<()>,
    ) -> io::Result<(Self, Address)> {
        let bound = bind::bind_all(found, |at| {
            allows(at)?;
            let socket = listen(at)?;
            let at = socket.local_addr()?;
            Ok((socket, at))
        })?;
        let (sockets, addresses): (_, Vec<_>) = bound.into_iter().unzip();
        Ok((Self { sockets, turn: AtomicUsize::new(0) }, bind::dialled_as(asked, &addresses)))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (turn, count) = (self.turn.load(Ordering::Relaxed), self.sockets.len());
        for at in (turn..turn + count).map(|at| at % count) {
            if let Poll::Ready(accepted) = self.sockets[at].poll_accept(cx) {
                self.turn.store(at + 1, Ordering::Relaxed);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
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
pub(crate) async fn accept(listener: &Bound, silence: Duration) -> io::Result<TcpStream> {
    let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.and_then(|(stream, _)| prepared(stream, silence));
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
/// If dropped before it resolves, the attempt is abandoned.
pub(crate) async fn connect(to: SocketAddr, silence: Duration) -> io::Result<TcpStream> {
    let stream = prepared(TcpStream::connect(to).await?, silence)?;
    // A free port of the dialer's own range can be connected to itself: it has no listener.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn prepared(stream: TcpStream, silence: Duration) -> io::Result<TcpStream> {
    // Messages are coalesced above; waiting for more in the kernel only adds delay.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    // Bytes in the kernel can't be overtaken any more: it takes little more than it can send.
    socket.set_tcp_notsent_lowat(UNSENT)?;
    let user_timeout = user_timeout(stream.local_addr()?.ip(), stream.peer_addr()?.ip(), silence);
    if user_timeout.is_some() {
        socket.set_tcp_user_timeout(user_timeout)?;
    }
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER).with_interval(KEEP_ALIVE_EVERY).with_retries(KEEP_ALIVE_TRIES),
    )?;
    Ok(stream)
}

/// Returns how long the kernel waits for a peer to acknowledge what was sent before it ends the connection: between
/// hosts no longer than the peer may be silent. A stopped process of this host is waited for.
fn user_timeout(local: IpAddr, peer: IpAddr, silence: Duration) -> Option<Duration> {
    let peer = peer.to_canonical();
    (!peer.is_loopback() && peer != local.to_canonical()).then(|| silence.min(LONGEST_SILENCE))
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

/// Bytes that the kernel takes beyond what it has sent. With its usual buffer, which grows to megabytes, control would
/// wait behind them for seconds on a slow line; with this, a fast one is still busy while its writer wakes up.
const UNSENT: u32 = 32 << 10;

/// The kernel counts milliseconds in 32 bits, and takes 0 for its own choice.
const LONGEST_SILENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Silence after which the kernel asks whether a peer is alive: a dead host is noticed within a minute.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(30);

/// Time between two such questions.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Unanswered questions after which a peer counts as gone.
const KEEP_ALIVE_TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn bound_between(local: &str, peer: &str, silence: Duration) -> Option<Duration> {
        user_timeout(local.parse().unwrap(), peer.parse().unwrap(), silence)
    }

    #[test]
    fn the_kernel_gives_up_a_peer_on_another_host_only() {
        let silence = Duration::from_secs(10);
        for (local, peer) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2"), ("::ffff:10.0.0.1", "10.0.0.2")]
        {
            assert_eq!(bound_between(local, peer, silence), Some(silence), "{local} to {peer}");
        }
        for (local, peer) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(bound_between(local, peer, silence), None, "{local} to {peer}");
        }
        assert_eq!(bound_between("10.0.0.1", "10.0.0.2", Duration::MAX), Some(LONGEST_SILENCE));
    }

    #[tokio::test]
    async fn a_peer_of_this_host_may_be_silent_and_little_waits_in_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap(), Duration::from_secs(1)).await.unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!((socket.tcp_user_timeout().unwrap(), socket.tcp_notsent_lowat().unwrap()), (None, UNSENT));
    }
}
