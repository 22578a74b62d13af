//! The QUIC transport: `quic://host:port`.
//!
//! It dials and listens, and nothing else; frames and messages are `pleach-wire`'s. Both sides present a certificate of
//! one authority (see [`pleach_tls`]); QUIC is always authenticated, which is why any address may be bound. The dialer
//! opens one bidirectional stream for the control lane; every other lane is a stream of its own.
//!
//! | file | station |
//! |---|---|
//! | `tls` | the two sides of mutual TLS, and where QUIC has its alerts |
//! | `tuning` | limits, timers, datagram sizes, each with its reason |
//! | `dial`, `listen` | a connection from either end |
//! | `handshake` | from a QUIC connection to a link |
//! | `link` | streams as byte halves and lanes; how they end |
//! | `ending` | quinn's errors, mapped to the seam |
//! | `congestion` | Cubic, which lets the last word pass |
//! | `shared_socket`, `driver` | a UDP socket with its endpoint, and quinn's background tasks, which end with it |
//!
//! # What must stay true
//! 1. Dropping a dial, a handshake, a link or a listener closes everything that only it needs before the drop returns:
//!    the peer is notified, and an unused socket is free.
//! 2. A shutdown resolves when the peer's QUIC has acknowledged everything: dropping the link after it
//!    takes nothing back.
//! 3. One peer, active or silent, never blocks another.
//!
//! # The port of a listener
//! All accepted connections share their listener's UDP socket. Closing or dropping the listener stops accepting, and
//! frees the port at once if no accepted link lives; otherwise the port is free as soon as the last of them is dropped.
//! A connection can't move to another port: its peer would take the datagrams for a stranger's.
//!
//! # Sockets and memory
//! Every dial has a UDP socket and an endpoint of its own, on the dialer's runtime. Sharing one would save a file and a
//! receive buffer per connection, but an endpoint belongs to its runtime, and its end would break other users'
//! connections.
//!
//! # Peers that vanish
//! A peer on another host that vanishes silently (power, network, SIGKILL) is noticed after [`Settings::silence`]. One
//! on this host is not: it may be stopped. Callers that have to know watch its process.

#![forbid(unsafe_code)]

mod congestion;
mod dial;
mod driver;
mod ending;
mod handshake;
mod link;
mod listen;
mod shared_socket;
mod tls;
mod tuning;

use std::io;

use pleach_wire::address::HostPort;
use pleach_wire::bind;
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};

/// The protocol of connections over QUIC. Holds nothing; its inputs come with the [`Settings`].
///
/// [`Settings::tls`] is required on both sides. [`Settings::mtu`] may be set on paths that are known to
/// carry large datagrams, such as loopback; sides that differ use the smaller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quic;

#[async_trait::async_trait]
impl Protocol for Quic {
    fn name(&self) -> &'static str {
        "quic"
    }

    fn reach(&self) -> Reach {
        Reach::Network
    }

    fn needs_tls(&self) -> bool {
        true
    }

    fn ends_with_process(&self) -> bool {
        false
    }

    fn any_address(&self, _settings: &Settings) -> Address {
        Address::Quic(HostPort::new("127.0.0.1", 0))
    }

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        dial::dial(address, settings).await
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(listen::QuicListener::bind(address, settings).await?))
    }
}

/// Returns the host of an address that was resolved.
fn host(address: &Address) -> &str {
    match address {
        Address::Quic(at) => &at.host,
        _ => "",
    }
}

/// Returns the socket addresses that `address` stands for, at least one.
async fn resolve(address: &Address) -> io::Result<Vec<std::net::SocketAddr>> {
    let Address::Quic(at) = address else {
        let why = format!("{address} is not a quic address; they look like quic://127.0.0.1:1616");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    bind::addresses(at, tokio::net::lookup_host((at.host.as_str(), at.port)).await?)
}
