//! Dialling: every address that a name has, the first that answers wins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pleach_tls::config::ANY_HOST;
use pleach_wire::{Address, Link, Settings, TransportError};
use quinn::ClientConfig;

use crate::handshake::HalfOpen;
use crate::shared_socket::SharedSocket;
use crate::{host, resolve, tls, tuning};

/// Connects to `address`.
///
/// A closed UDP port does not refuse: such a dial lasts until its caller gives up. That is
/// also why addresses are not tried one after the other: the first may never answer.
///
/// # Cancel safety
/// If dropped before it resolves, all attempts are closed and their sockets are free.
pub(crate) async fn dial(address: &Address, settings: &Settings) -> Result<Link, TransportError> {
    let found = resolve(address).await.map_err(|error| TransportError::dial(address, error))?;
    let near = tls::client(settings, host(address), None)?;
    let far = tls::client(settings, host(address), Some(settings.silence))?;
    let mut waiting = found.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(peer) = waiting.next() {
            let config = if tuning::is_on_this_host(local_for(peer), peer.ip()) { &near } else { &far };
            attempts.push(attempt(address, peer, config.clone(), settings));
        }
        // Outcomes first; time only starts a further attempt.
        tokio::select! {
            biased;
            Some(outcome) = attempts.next() => match outcome {
                Ok(link) => return Ok(link),
                Err(error) => failure = Some(failure.unwrap_or(error)),
            },
            () = tokio::time::sleep(tuning::NEXT_ADDRESS), if waiting.len() > 0 => {}
        }
        if let Some(failure) = failure.take_if(|_| attempts.is_empty() && waiting.len() == 0) {
            return Err(failure);
        }
    }
}

/// The address of this host from which datagrams to `peer` go; nothing is sent to find out.
fn local_for(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

async fn attempt(
    address: &Address,
    peer: SocketAddr,
    config: ClientConfig,
    settings: &Settings,
) -> Result<Link, TransportError> {
    let socket = SharedSocket::bind_for(peer, settings.mtu).map_err(|error| TransportError::dial(address, error))?;
    let connecting = socket
        .endpoint
        .connect_with(config, peer, ANY_HOST)
        .map_err(|error| TransportError::dial(address, std::io::Error::other(error)))?;
    HalfOpen::new(connecting, Arc::new(socket)).dial().await.map_err(|failure| failure.dialling(address, settings))
}
