//! Listening: handshakes run beside each other, and whichever is through first is accepted first.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::future::select_all;
use pleach_wire::pending::Pending;
use pleach_wire::{Address, Link, Listener, Settings, TransportError, bind, record};
use quinn::{Incoming, ServerConfig};

use crate::handshake::HalfOpen;
use crate::shared_socket::SharedSocket;
use crate::{resolve, tls, tuning};

/// A bound UDP port, at each address of a name. Dropping it stops accepting, refuses queued dials, and frees the port
/// as the crate's docs say.
pub(crate) struct QuicListener {
    /// Declared before the socket: each holds it.
    handshakes: Pending,
    /// One for each address of its name; the one to be asked first comes first.
    sockets: Vec<Arc<SharedSocket>>,
    address: Address,
    settings: Settings,
    /// For dialers on this host, which may be silent for any time.
    near: Arc<ServerConfig>,
}

impl QuicListener {
    pub(crate) async fn bind(address: &Address, settings: &Settings) -> Result<Self, TransportError> {
        let config = tls::server(settings, Some(settings.silence))?;
        let near = Arc::new(tls::server(settings, None)?);
        let found = resolve(address).await.map_err(|error| TransportError::listen(address, error))?;
        let bound = bind::bind_all(&found, |at| {
            let socket = SharedSocket::bind(at, Some(config.clone()), settings.mtu)?;
            let at = socket.endpoint.local_addr()?;
            Ok((Arc::new(socket), at))
        });
        let (sockets, at): (_, Vec<_>) =
            bound.map_err(|error| TransportError::listen(address, error))?.into_iter().unzip();
        let address = bind::dialled_as(address, &at);
        Ok(Self { handshakes: Pending::default(), sockets, address, settings: settings.clone(), near })
    }

    /// Starts one handshake, or asks the dialer to prove its address first.
    fn begin(&mut self, incoming: Incoming, socket: Arc<SharedSocket>) {
        if self.handshakes.len() >= tuning::PROVE_ADDRESS && incoming.may_retry() {
            incoming.retry().expect("asked just before");
            return;
        }
        let peer = incoming.remote_address();
        let accepted = match tuning::is_on_this_host(incoming.local_ip(), peer.ip()) {
            true => incoming.accept_with(self.near.clone()),
            false => incoming.accept(),
        };
        match accepted {
            Ok(connecting) => {
                let half_open = HalfOpen::new(connecting, socket);
                let settings = self.settings.clone();
                let shaken =
                    async move { half_open.accept().await.map_err(|failure| failure.accepting(peer, &settings)) };
                self.handshakes.begin(peer.ip().into(), shaken);
            }
            Err(error) => {
                record!(DEBUG, target: "pleach::transport", %error, "a dialer's first datagram was invalid");
            }
        }
    }
}

/// Waits for the next dial at any of the sockets, and tells at which; nothing, if its socket has failed.
async fn incoming(sockets: &[Arc<SharedSocket>]) -> (Option<Incoming>, usize) {
    let (incoming, at, _others) = select_all(sockets.iter().map(|socket| Box::pin(socket.endpoint.accept()))).await;
    (incoming, at)
}

#[async_trait::async_trait]
impl Listener for QuicListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let room = self.handshakes.room();
            let next = async {
                room.await;
                incoming(&self.sockets).await
            };
            // Completed ones first, then new ones.
            tokio::select! {
                biased;
                shaken = self.handshakes.next() => return shaken,
                (incoming, at) = next => match incoming {
                    Some(incoming) => {
                        let socket = self.sockets[at].clone();
                        // A flood at one address must not starve another.
                        self.sockets.rotate_left(1);
                        self.begin(incoming, socket);
                    }
                    None => break,
                },
            }
        }
        // The socket has failed; a caller that retries must not spin.
        tokio::time::sleep(ACCEPT_PAUSE).await;
        Err(TransportError::listen(&self.address, io::Error::other("its socket has failed; close it and listen again")))
    }

    async fn close(self: Box<Self>) {
        drop(self);
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for socket in &self.sockets {
            socket.endpoint.set_server_config(None);
            while let Poll::Ready(Some(incoming)) = pin!(socket.endpoint.accept()).poll(&mut cx) {
                incoming.refuse();
            }
        }
    }
}

/// How long an accept on a failed socket takes.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
