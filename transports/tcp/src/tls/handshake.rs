//! From a socket to a link, at either end.
//!
//! # What must stay true
//! 1. A refused peer gets the alert: closing a socket with unread bytes resets the connection and discards the peer's
//!    unread data, so a refusal waits for the peer's end, within a bound.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pleach_tls::config::{ALPN, BINDING, server_name};
use pleach_tls::refusal::Refusal;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Link, Settings, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, Error, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::halves::{self, Io};

/// Finishes the dialer's side.
///
/// # Errors
/// [`TransportError::Tls`] when either side refused, [`TransportError::Dial`] when the connection failed.
///
/// # Cancel safety
/// If dropped before it resolves, the connection is closed.
pub(super) async fn dial(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    address: &Address,
    settings: &Settings,
) -> Result<Link, TransportError> {
    let failed = |error| failure(error, address, settings).unwrap_or_else(|error| TransportError::dial(address, error));
    let ends = ends(&stream).map_err(failed)?;
    let connecting = TlsConnector::from(config).connect(server_name(), halves::io(stream)).into_fallible();
    let mut stream = match connecting.await {
        Ok(stream) => TlsStream::Client(stream),
        Err((error, socket)) => {
            let_alert_arrive(socket).await;
            return Err(failed(error));
        }
    };
    check_protocol(&stream)?;
    let ends = bound(ends, &stream)?;
    match stream.read_u8().await {
        Ok(LET_IN) => Ok(halves::link(stream, ends)),
        Ok(_) => Err(TransportError::Handshake(STRANGER.into())),
        Err(error) => Err(failed(error)),
    }
}

/// Finishes the listener's side.
///
/// # Errors
/// [`TransportError::Tls`] when either side refused, [`TransportError::Handshake`] when the connection failed;
/// both concern this connection only.
///
/// # Cancel safety
/// If dropped before it resolves, the connection is closed.
pub(super) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    settings: &Settings,
) -> Result<Link, TransportError> {
    let lost = |error: io::Error| TransportError::Handshake(format!("a dialer was lost before it was let in: {error}"));
    let ends = ends(&stream).map_err(lost)?;
    let failed = |error| failure(error, &ends.remote, settings).unwrap_or_else(lost);
    let mut stream = match TlsAcceptor::from(config).accept(halves::io(stream)).into_fallible().await {
        Ok(stream) => TlsStream::Server(stream),
        Err((error, socket)) => {
            let_alert_arrive(socket).await;
            return Err(failed(error));
        }
    };
    check_protocol(&stream)?;
    stream.write_u8(LET_IN).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let ends = bound(ends, &stream)?;
    Ok(halves::link(stream, ends))
}

/// rustls lets a peer pass that names no protocol at all.
fn check_protocol(stream: &TlsStream<Io>) -> Result<(), TransportError> {
    match stream.get_ref().1.alpn_protocol() {
        Some(ALPN) => Ok(()),
        _ => Err(TransportError::Handshake(STRANGER.into())),
    }
}

/// The meaning of a failed handshake with `peer`, if TLS was the cause; the error of the network otherwise.
fn failure(error: io::Error, peer: &dyn fmt::Display, settings: &Settings) -> Result<TransportError, io::Error> {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Err(error) };
    Ok(match Refusal::of(tls) {
        Some(refusal) => refusal.error(peer, settings),
        None => TransportError::Handshake(format!("{peer} does not speak TLS as pleach does: {tls}")),
    })
}

async fn let_alert_arrive(mut socket: Io) {
    let farewell = async {
        socket.shutdown().await?;
        let mut unread = [0; 4096];
        for _ in 0..UNREAD {
            if socket.read(&mut unread).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // The connection has ended, whether the peer got the reason or not.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// The ends of a connection whose handshake is not over.
fn ends(stream: &TcpStream) -> io::Result<PeerInfo> {
    Ok(PeerInfo {
        local: Address::TlsTcp(stream.local_addr()?.into()),
        remote: Address::TlsTcp(stream.peer_addr()?.into()),
        credentials: None,
        binding: None,
    })
}

/// The same, tied to the handshake that has just ended.
fn bound(ends: PeerInfo, stream: &TlsStream<Io>) -> Result<PeerInfo, TransportError> {
    let exported = match stream {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material([0; 32], BINDING, Some(&[])),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material([0; 32], BINDING, Some(&[])),
    };
    let exported = exported.map_err(|error| {
        TransportError::Handshake(format!("TLS can't bind the handshake to the connection: {error}"))
    })?;
    Ok(PeerInfo { binding: Some(exported), ..ends })
}

/// The listener's verdict on the dialer's certificate.
const LET_IN: u8 = 0;

const STRANGER: &str = "the peer has the right certificate and speaks TLS, but not as pleach does";

/// How long a refused peer may take to get the reason; a round trip is enough.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many reads of a peer that was refused are thrown away; a handshake takes a few.
const UNREAD: usize = 32;
