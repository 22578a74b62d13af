//! Listening: handshakes run beside each other, and whichever is through first is accepted first.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::pending::Pending;
use pleach_wire::{Address, Link, Listener, Settings, TransportError};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;

use super::handshake;
use crate::socket;

/// A bound port. Dropping it frees the port, ends pending handshakes, and resets connections that were not accepted.
pub(super) struct TlsListener {
    sockets: socket::Bound,
    handshakes: Pending,
    address: Address,
    config: Arc<ServerConfig>,
    settings: Settings,
}

impl TlsListener {
    pub(super) fn on(sockets: socket::Bound, address: Address, config: Arc<ServerConfig>, settings: &Settings) -> Self {
        Self { sockets, handshakes: Pending::default(), address, config, settings: settings.clone() }
    }
}

#[async_trait::async_trait]
impl Listener for TlsListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let next = accept_after(&self.sockets, self.handshakes.full_until(), self.settings.silence);
            // Completed ones first, then new ones.
            tokio::select! {
                biased;
                shaken = self.handshakes.next() => return shaken,
                accepted = next => match accepted {
                    Ok((stream, source)) => {
                        self.handshakes.begin(source.into(), shake(stream, self.config.clone(), self.settings.clone()));
                    }
                    Err(error) => return Err(TransportError::listen(&self.address, error)),
                },
            }
        }
    }

    async fn close(self: Box<Self>) {}
}

/// Takes the next connection, and where it comes from, once there is room.
async fn accept_after(
    sockets: &socket::Bound,
    full_until: Option<Instant>,
    silence: Duration,
) -> io::Result<(TcpStream, IpAddr)> {
    if let Some(until) = full_until {
        tokio::time::sleep_until(until).await;
    }
    let stream = socket::accept(sockets, silence).await?;
    let source = stream.peer_addr()?.ip();
    Ok((stream, source))
}

async fn shake(stream: TcpStream, config: Arc<ServerConfig>, settings: Settings) -> Result<Link, TransportError> {
    let shaken = tokio::time::timeout(HANDSHAKE, handshake::accept(stream, config, &settings)).await;
    shaken.map_err(|_| TransportError::Handshake(format!("a dialer did not finish it within {HANDSHAKE:?}")))?
}

/// The timeout of a handshake that a peer does not finish; the actors' handshake has as long.
const HANDSHAKE: Duration = Duration::from_secs(10);
