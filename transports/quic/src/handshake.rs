//! From a QUIC connection that is being made to a link.
//!
//! ```text
//! dialer                                     listener
//!   ── TLS, both certificates ──────────────────►
//!   ── control stream: lane 0 (u64 LE) ─────────►   accept() would not see a stream without a byte
//!   ◄───────────────── the same 8 bytes ──────────   only now the dialer knows that it was let in
//! ```
//! In TLS 1.3 a dialer is done before the listener has looked at its certificate, so without the
//! answer a refused dialer would learn of it in the middle of its first message.

use std::net::SocketAddr;
use std::sync::Arc;

use pleach_tls::config::BINDING;
use pleach_wire::address::HostPort;
use pleach_wire::transport::{Lane, PeerInfo};
use pleach_wire::{Address, Link, Settings, TransportError};
use quinn::{Connecting, Connection, ConnectionError, RecvStream, SendStream};

use crate::driver::Driver;
use crate::link::Live;
use crate::shared_socket::SharedSocket;
use crate::{ending, tls};

/// A connection whose handshake is under way. Dropping it closes it, and its socket if nothing else uses it.
///
/// The order of fields is the order of the end, as in [`Live`].
#[derive(Debug)]
pub(crate) struct HalfOpen {
    connecting: Connecting,
    driver: Driver,
    socket: Arc<SharedSocket>,
}

impl HalfOpen {
    /// Takes over a connection that quinn has just begun on `socket`.
    pub(crate) fn new(connecting: Connecting, socket: Arc<SharedSocket>) -> Self {
        let driver = socket.drivers.take_latest().expect("connecting and accepting spawn a driver");
        Self { connecting, driver, socket }
    }

    /// Finishes the dialer's side.
    pub(crate) async fn dial(self) -> Result<Link, Failure> {
        let (live, ends) = self.connected().await?;
        let opened = async {
            let (mut send, mut recv) = live.connection.open_bi().await.ok()?;
            begin_stream(&mut send).await?;
            expect_lane(&mut recv).await?;
            Some((send, recv))
        };
        let opened = opened.await;
        finish(live, opened, ends)
    }

    /// Finishes the listener's side.
    pub(crate) async fn accept(self) -> Result<Link, Failure> {
        let (live, ends) = self.connected().await?;
        let accepted = async {
            let (mut send, mut recv) = live.connection.accept_bi().await.ok()?;
            expect_lane(&mut recv).await?;
            begin_stream(&mut send).await?;
            Some((send, recv))
        };
        let accepted = accepted.await;
        finish(live, accepted, ends)
    }

    async fn connected(mut self) -> Result<(Live, PeerInfo), Failure> {
        let connection = (&mut self.connecting).await.map_err(Failure::Lost)?;
        let Self { driver, socket, .. } = self;
        let ends = ends(&connection, &socket);
        Ok((Live::new(connection, driver, socket), ends))
    }
}

/// Why the link failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Lost(ConnectionError),
    /// TLS succeeded, but the protocol inside is not ours.
    Stranger,
}

impl Failure {
    /// As the dialer's error.
    pub(crate) fn dialling(self, address: &Address, settings: &Settings) -> TransportError {
        match self {
            Self::Lost(error) => match tls::refusal(&error) {
                Some(refusal) => refusal.error(address, settings),
                None => TransportError::dial(address, ending::connection(error)),
            },
            Self::Stranger => TransportError::Handshake(STRANGER.into()),
        }
    }

    /// As the listener's error, which concerns one connection only: that from `peer`.
    pub(crate) fn accepting(self, peer: SocketAddr, settings: &Settings) -> TransportError {
        match self {
            Self::Lost(error) => match tls::refusal(&error) {
                Some(refusal) => refusal.error(&Address::Quic(peer.into()), settings),
                None => TransportError::Handshake(ending::connection(error).to_string()),
            },
            Self::Stranger => TransportError::Handshake(STRANGER.into()),
        }
    }
}

/// Makes the link, or says why the streams failed.
fn finish(live: Live, streams: Option<(SendStream, RecvStream)>, ends: PeerInfo) -> Result<Link, Failure> {
    match (streams, live.connection.close_reason()) {
        (Some((send, recv)), _) => Ok(live.link(send, recv, ends)),
        (None, Some(error)) => Err(Failure::Lost(error)),
        (None, None) => Err(Failure::Stranger),
    }
}

async fn begin_stream(send: &mut SendStream) -> Option<()> {
    send.set_priority(CONTROL_PRIORITY).ok()?;
    send.write_all(&Lane::CONTROL.0.to_le_bytes()).await.ok()
}

async fn expect_lane(recv: &mut RecvStream) -> Option<()> {
    let mut lane = [0; size_of::<u64>()];
    recv.read_exact(&mut lane).await.ok()?;
    (Lane(u64::from_le_bytes(lane)) == Lane::CONTROL).then_some(())
}

fn ends(connection: &Connection, socket: &SharedSocket) -> PeerInfo {
    let remote = connection.remote_address();
    let mut local = socket.endpoint.local_addr().unwrap_or(remote);
    if let Some(ip) = connection.local_ip().filter(|_| local.ip().is_unspecified()) {
        local.set_ip(ip);
    }
    let address = |at| Address::Quic(HostPort::from(at));
    let mut binding = [0; 32];
    let exported = connection.export_keying_material(&mut binding, BINDING, &[]);
    exported.expect("the handshake has completed, and 32 bytes are not too many");
    PeerInfo { local: address(local), remote: address(remote), credentials: None, binding: Some(binding) }
}

const STRANGER: &str = "the peer has the right certificate and speaks QUIC, but not as pleach does";

/// Above every lane's, which is 0: control overtakes data.
const CONTROL_PRIORITY: i32 = 1;
