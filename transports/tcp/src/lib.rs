//! The TCP transport: `tcp://host:port`.
//!
//! It dials and listens, and nothing else; frames and messages are `pleach-wire`'s. TCP carries
//! messages unencrypted, so it binds loopback addresses only, unless [`Tcp::allow_non_loopback`] says
//! otherwise; over a network, QUIC is the protocol to use.
//!
//! # Invariants
//! 1. A failed accept costs one connection, never the listener, and never a busy loop.
//! 2. A shutdown resolves once the kernel has sent everything: closing the socket after it, even with
//!    bytes of the peer unread, takes nothing back (see `linger.rs`).

#![forbid(unsafe_code)]

mod linger;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pleach_wire::address::HostPort;
use pleach_wire::transport::Ends;
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

use self::linger::Lingering;

/// The protocol of connections over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    /// Whether to listen on addresses that other hosts reach. Off by default, because nothing that TCP
    /// carries is encrypted and whoever reads the network reads it.
    pub allow_non_loopback: bool,
}

#[async_trait::async_trait]
impl Protocol for Tcp {
    fn name(&self) -> &'static str {
        "tcp"
    }

    fn reach(&self) -> Reach {
        Reach::Network
    }

    fn any_address(&self, _settings: &Settings) -> Address {
        Address::Tcp(HostPort::new("127.0.0.1", 0))
    }

    async fn dial(&self, address: &Address, _settings: &Settings) -> Result<Link, TransportError> {
        connect(address).await.map_err(|error| TransportError::dial(address, error))
    }

    async fn listen(&self, address: &Address, _settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = self.bind(address).await;
        bound.map(|listener| Box::new(listener) as _).map_err(|error| TransportError::listen(address, error))
    }
}

impl Tcp {
    async fn bind(self, address: &Address) -> io::Result<Bound> {
        let mut failure = None;
        for at in resolve(address).await? {
            match self.bind_one(at) {
                Ok(listener) => {
                    let address = Address::Tcp(listener.local_addr()?.into());
                    return Ok(Bound { listener, address });
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(no_address))
    }

    fn bind_one(self, at: SocketAddr) -> io::Result<TcpListener> {
        if !at.ip().is_loopback() && !self.allow_non_loopback {
            let why = format!(
                "{} is no loopback address, and TCP is not encrypted; use quic, which is, or allow it \
                 explicitly with `Tcp {{ allow_non_loopback: true }}`",
                at.ip()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let socket = Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
        // Without it a port stays taken for a minute after its connections ended. It does not let two listen.
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    }
}

/// A bound port. Dropping it frees the port; connections that nobody accepted are reset.
#[derive(Debug)]
struct Bound {
    listener: TcpListener,
    address: Address,
}

#[async_trait::async_trait]
impl Listener for Bound {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let failed = match self.listener.accept().await {
            Ok((stream, _)) => match link(stream) {
                Ok(link) => return Ok(link),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !concerns_one_connection(&failed) {
            // Invariant 1: the connection is still in the queue, so the next accept would fail at once again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        Err(TransportError::listen(&self.address, failed))
    }

    async fn close(self: Box<Self>) {}
}

async fn connect(address: &Address) -> io::Result<Link> {
    let mut failure = None;
    for at in resolve(address).await? {
        match TcpStream::connect(at).await.and_then(link) {
            // A free port of the dialer's own range can be connected to itself: nobody listens there.
            Ok(link) if link.ends.local == link.ends.remote => failure = Some(io::ErrorKind::ConnectionRefused.into()),
            Ok(link) => return Ok(link),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(no_address))
}

fn link(stream: TcpStream) -> io::Result<Link> {
    // Messages are coalesced above; waiting for more in the kernel only adds delay.
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER).with_interval(KEEP_ALIVE_EVERY).with_retries(KEEP_ALIVE_TRIES),
    )?;
    let ends = Ends {
        local: Address::Tcp(stream.local_addr()?.into()),
        remote: Address::Tcp(stream.peer_addr()?.into()),
        credentials: None,
    };
    let (reader, writer) = stream.into_split();
    Ok(Link { reader: Box::new(reader), writer: Box::new(Lingering::new(writer)), lanes: None, ends })
}

async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let Address::Tcp(at) = address else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no tcp:// address"));
    };
    Ok(tokio::net::lookup_host((at.host.as_str(), at.port)).await?.collect())
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
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
