//! Listening: handshakes run beside each other, and whichever is through first is accepted first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pleach_wire::{Address, Link, Listener, Settings, TransportError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;

use super::handshake;
use crate::socket;

type Handshake = Pin<Box<dyn Future<Output = Result<Link, TransportError>> + Send>>;

/// A bound port. Dropping it frees the port, ends the handshakes that are under way, and resets connections
/// that nobody accepted.
pub(super) struct TlsListener {
    listener: TcpListener,
    handshakes: FuturesUnordered<Handshake>,
    address: Address,
    config: Arc<ServerConfig>,
    settings: Settings,
}

impl TlsListener {
    pub(super) fn on(listener: TcpListener, config: Arc<ServerConfig>, settings: &Settings) -> io::Result<Self> {
        let address = Address::TlsTcp(listener.local_addr()?.into());
        Ok(Self { listener, handshakes: FuturesUnordered::new(), address, config, settings: settings.clone() })
    }
}

#[async_trait::async_trait]
impl Listener for TlsListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let room = self.handshakes.len() < HALF_OPEN;
            // Those who are through first, then new ones.
            tokio::select! {
                biased;
                Some(shaken) = self.handshakes.next() => return shaken,
                accepted = socket::accept(&self.listener), if room => match accepted {
                    Ok(stream) => {
                        self.handshakes.push(Box::pin(shake(stream, self.config.clone(), self.settings.clone())));
                    }
                    Err(error) => return Err(TransportError::listen(&self.address, error)),
                },
            }
        }
    }

    async fn close(self: Box<Self>) {}
}

async fn shake(stream: TcpStream, config: Arc<ServerConfig>, settings: Settings) -> Result<Link, TransportError> {
    let shaken = tokio::time::timeout(HANDSHAKE, handshake::accept(stream, config, &settings)).await;
    shaken.map_err(|_| TransportError::Handshake(format!("a dialer did not finish it within {HANDSHAKE:?}")))?
}

/// A handshake that a peer began and does not finish is given up after this; the actors' handshake has as long.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes under way at one listener; more wait their turn. Bounds what strangers can make us hold.
const HALF_OPEN: usize = 256;
