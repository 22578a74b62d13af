//! Mutual TLS over TCP: `tls+tcp://host:port`.
//!
//! ```text
//! dialer                                     listener
//!   ── TLS, both certificates ──────────────────►
//!   ◄───────────────────────── one byte, 0 ──────   only now the dialer knows that it was let in
//! ```
//! In TLS 1.3 a dialer is done before the listener has looked at its certificate, so without the
//! answer a refused dialer would learn of it in the middle of its first message.
//!
//! | file | station |
//! |---|---|
//! | `handshake` | from a socket to a link, at either end |
//! | `listen` | handshakes beside each other, and whichever is through first |
//! | `halves` | a TLS stream as two halves; how it ends |

mod halves;
mod handshake;
mod listen;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pleach_tls::config;
use pleach_wire::address::HostPort;
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};

use self::listen::TlsListener;
use crate::socket;

/// The protocol of connections over TCP within mutual TLS 1.3. Holds nothing; its inputs come with the [`Settings`].
///
/// [`Settings::tls`] is required on both sides. Every connection is authenticated, so any address may be bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsTcp;

#[async_trait::async_trait]
impl Protocol for TlsTcp {
    fn name(&self) -> &'static str {
        "tls+tcp"
    }

    fn reach(&self) -> Reach {
        Reach::Network
    }

    fn needs_tls(&self) -> bool {
        true
    }

    fn any_address(&self, _settings: &Settings) -> Address {
        Address::TlsTcp(HostPort::new("127.0.0.1", 0))
    }

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        let dialled = |error| TransportError::dial(address, error);
        let (host, found) = resolve(address).await.map_err(dialled)?;
        let config = Arc::new(config::client(settings, host)?);
        let mut failure = None;
        for at in found {
            let attempt = match socket::connect(at, settings.silence).await {
                Ok(stream) => handshake::dial(stream, config.clone(), address, settings).await,
                Err(error) => Err(dialled(error)),
            };
            match attempt {
                Ok(link) => return Ok(link),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.expect("a resolved name has an address, and each that failed said why"))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = |error| TransportError::listen(address, error);
        let (_, found) = resolve(address).await.map_err(bound)?;
        let config = Arc::new(config::server(settings)?);
        let (sockets, address) = socket::Bound::bind(address, &found, |_| Ok(())).map_err(bound)?;
        Ok(Box::new(TlsListener::on(sockets, address, config, settings)))
    }
}

/// Returns the host of an address, and the socket addresses that it stands for, at least one.
async fn resolve(address: &Address) -> io::Result<(&str, Vec<SocketAddr>)> {
    match address {
        Address::TlsTcp(at) => Ok((&at.host, socket::resolve(at).await?)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a tls+tcp:// address")),
    }
}
