//! Listening: handshakes run beside each other, and whichever is through first is accepted first.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::pending::Pending;
use pleach_wire::{Address, Link, Listener, Settings, TransportError};
use tokio::net::TcpStream;
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
            let next = accept_after(&self.sockets, self.handshakes.room(), self.settings.silence);
            // Completed ones first, then new ones.
            tokio::select! {
                biased;
                shaken = self.handshakes.next() => return shaken,
                accepted = next => match accepted {
                    Ok((stream, source)) => {
                        let (config, settings) = (self.config.clone(), self.settings.clone());
                        let shaken = async move { handshake::accept(stream, config, &settings).await };
                        self.handshakes.begin(source.into(), shaken);
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
    room: impl Future<Output = ()>,
    silence: Duration,
) -> io::Result<(TcpStream, IpAddr)> {
    room.await;
    let stream = socket::accept(sockets, silence).await?;
    let source = stream.peer_addr()?.ip();
    Ok((stream, source))
}
