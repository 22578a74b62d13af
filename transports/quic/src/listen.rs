//! Listening: handshakes run beside each other, and whichever is through first is accepted first.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pleach_tls::pending::Pending;
use pleach_wire::address::HostPort;
use pleach_wire::{Address, Link, Listener, Settings, TransportError, log};
use quinn::Incoming;

use crate::handshake::HalfOpen;
use crate::site::Site;
use crate::{resolve, tls, tuning};

/// A bound UDP port. Dropping it lets nobody new in, refuses who waits, and frees the port as the crate's docs say.
pub(crate) struct QuicListener {
    /// Declared before the site: each holds it.
    handshakes: Pending,
    site: Arc<Site>,
    address: Address,
    settings: Settings,
}

impl QuicListener {
    pub(crate) async fn bind(address: &Address, settings: &Settings) -> Result<Self, TransportError> {
        let config = tls::server(settings)?;
        let mut failure = None;
        for at in resolve(address).await.map_err(|error| TransportError::listen(address, error))? {
            match Site::bind(at, Some(config.clone()), settings.mtu) {
                Ok(site) => return Self::on(site, settings).map_err(|error| TransportError::listen(address, error)),
                Err(error) => failure = Some(failure.unwrap_or(error)),
            }
        }
        let failure = failure.expect("a resolved name has an address, and each that failed said why");
        Err(TransportError::listen(address, failure))
    }

    fn on(site: Site, settings: &Settings) -> io::Result<Self> {
        let address = Address::Quic(HostPort::from(site.endpoint.local_addr()?));
        Ok(Self { handshakes: Pending::default(), site: Arc::new(site), address, settings: settings.clone() })
    }

    /// Starts one handshake, or asks the dialer to prove its address first.
    fn begin(&mut self, incoming: Incoming) {
        if self.handshakes.len() >= tuning::PROVE_ADDRESS && incoming.may_retry() {
            incoming.retry().expect("asked just before");
            return;
        }
        let peer = incoming.remote_address();
        match incoming.accept() {
            Ok(connecting) => {
                let half_open = HalfOpen::new(connecting, self.site.clone());
                self.handshakes.begin(peer.ip(), shake(half_open, peer, self.settings.clone()));
            }
            Err(error) => {
                log::guarded(
                    || tracing::debug!(target: "pleach::transport", %error, "a dialer's first datagram was no good"),
                );
            }
        }
    }
}

async fn shake(half_open: HalfOpen, peer: SocketAddr, settings: Settings) -> Result<Link, TransportError> {
    let shaken = tokio::time::timeout(tuning::HANDSHAKE, half_open.accept()).await;
    let late = || TransportError::Handshake(format!("a dialer did not finish it within {:?}", tuning::HANDSHAKE));
    shaken.map_err(|_| late())?.map_err(|failure| failure.accepting(peer, &settings))
}

#[async_trait::async_trait]
impl Listener for QuicListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let full_until = self.handshakes.full_until();
            let next = async {
                if let Some(until) = full_until {
                    tokio::time::sleep_until(until).await;
                }
                self.site.endpoint.accept().await
            };
            // Those who are through first, then new ones.
            tokio::select! {
                biased;
                shaken = self.handshakes.next() => return shaken,
                incoming = next => match incoming {
                    Some(incoming) => self.begin(incoming),
                    None => break,
                },
            }
        }
        // The socket has failed; who asks again must not be answered in a busy loop.
        tokio::time::sleep(ACCEPT_PAUSE).await;
        Err(TransportError::listen(&self.address, io::Error::other("its socket has failed; close it and listen anew")))
    }

    async fn close(self: Box<Self>) {
        drop(self);
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        self.site.endpoint.set_server_config(None);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(incoming)) = pin!(self.site.endpoint.accept()).poll(&mut cx) {
            incoming.refuse();
        }
    }
}

/// How long an accept on a failed socket takes.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
