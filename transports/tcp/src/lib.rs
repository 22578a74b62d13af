//! The TCP transports: `tcp://host:port`, and with the feature `tls` also `tls+tcp://host:port`.
//!
//! They dial and listen, and nothing else; frames and messages are `pleach-wire`'s. Plain TCP carries
//! messages unencrypted, so it binds loopback addresses only, unless [`Tcp::allow_non_loopback`] says
//! otherwise; over a network, [`TlsTcp`] or QUIC are the protocols to use.
//!
//! | file | station |
//! |---|---|
//! | `socket` | sockets and their options, resolving, accepting |
//! | `linger` | a shutdown that waits until everything has left |
//! | `tls` | mutual TLS over such sockets |
//!
//! # Invariants
//! 1. A failed accept costs one connection, never the listener, and never a busy loop.
//! 2. A shutdown resolves once the kernel has sent everything: closing the socket after it, even with
//!    bytes of the peer unread, takes nothing back (see `linger.rs`).

#![forbid(unsafe_code)]

mod linger;
mod socket;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pleach_wire::address::HostPort;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
use tokio::net::TcpStream;

use self::linger::Lingering;
#[cfg(feature = "tls")]
pub use self::tls::TlsTcp;

/// The protocol of connections over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    /// Whether to listen on addresses that other hosts reach. Off by default, because TCP is not encrypted, so anyone
    /// on the network can read it.
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

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        connect(address, settings.silence).await.map_err(|error| TransportError::dial(address, error))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = async {
            let (sockets, address) = socket::Bound::bind(address, &resolve(address).await?, |at| self.allows(at))?;
            Ok(Bound { sockets, address, silence: settings.silence })
        };
        bound.await.map(|listener| Box::new(listener) as _).map_err(|error| TransportError::listen(address, error))
    }
}

impl Tcp {
    fn allows(self, at: SocketAddr) -> io::Result<()> {
        if !at.ip().is_loopback() && !self.allow_non_loopback {
            let why = format!(
                "{} is not a loopback address, and TCP is not encrypted; use tls+tcp or quic, which are, or allow it \
                 explicitly with `Tcp {{ allow_non_loopback: true }}`",
                at.ip()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(())
    }
}

/// A bound port. Dropping it frees the port; connections that were not accepted are reset.
#[derive(Debug)]
struct Bound {
    sockets: socket::Bound,
    address: Address,
    silence: Duration,
}

#[async_trait::async_trait]
impl Listener for Bound {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let accepted = socket::accept(&self.sockets, self.silence).await.and_then(link);
        accepted.map_err(|error| TransportError::listen(&self.address, error))
    }

    async fn close(self: Box<Self>) {}
}

async fn connect(address: &Address, silence: Duration) -> io::Result<Link> {
    let mut failure = None;
    for at in resolve(address).await? {
        match socket::connect(at, silence).await.and_then(link) {
            Ok(link) => return Ok(link),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.expect("a resolved name has an address, and each that failed said why"))
}

fn link(stream: TcpStream) -> io::Result<Link> {
    let ends = PeerInfo {
        local: Address::Tcp(stream.local_addr()?.into()),
        remote: Address::Tcp(stream.peer_addr()?.into()),
        credentials: None,
        binding: None,
    };
    let (reader, writer) = stream.into_split();
    Ok(Link { reader: Box::new(reader), writer: Box::new(Lingering::new(writer)), lanes: None, ends })
}

async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    match address {
        Address::Tcp(at) => socket::resolve(at).await,
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a tcp:// address")),
    }
}
