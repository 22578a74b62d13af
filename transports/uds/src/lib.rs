//! The Unix-socket transport: `uds:///run/a.sock` and, on Linux, `uds://@abstract`.
//!
//! It dials and listens, and nothing else; frames and messages are `pleach-wire`'s. Sockets and who may use them are the
//! business of [`socket`], files and directories of sockets that of `place.rs`.
//!
//! # Invariants
//! 1. A link exists only between processes of one user, or with root's.
//! 2. A socket file lives exactly as long as its listener, and a file that we did not make is never removed unless it
//!    is a socket without a listener.

#![deny(unsafe_code)]

mod halves;
mod place;
pub mod socket;

use std::io;

use pleach_wire::address::UdsName;
use pleach_wire::transport::{Credentials, PeerInfo};
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
use tokio::net::UnixStream;

/// The protocol of connections over Unix sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uds;

#[async_trait::async_trait]
impl Protocol for Uds {
    fn name(&self) -> &'static str {
        "uds"
    }

    fn reach(&self) -> Reach {
        Reach::Host
    }

    fn any_address(&self, settings: &Settings) -> Address {
        Address::Uds(socket::any_name(&settings.socket_dir, "sock"))
    }

    async fn dial(&self, address: &Address, _settings: &Settings) -> Result<Link, TransportError> {
        let connected = async {
            let (stream, peer) = socket::connect(name_of(address)?).await?;
            link(stream, Address::Uds(socket::dialer(Some(std::process::id()))), address.clone(), peer)
        };
        connected.await.map_err(|error| TransportError::dial(address, error))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = async { socket::Bound::bind(name_of(address)?, &settings.socket_dir).await }.await;
        let bound = bound.map_err(|error| TransportError::listen(address, error))?;
        Ok(Box::new(UdsListener { bound, address: address.clone() }))
    }
}

/// Dropping it removes the socket's file.
#[derive(Debug)]
struct UdsListener {
    bound: socket::Bound,
    address: Address,
}

#[async_trait::async_trait]
impl Listener for UdsListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let accepted = self.bound.accept().await.and_then(|(stream, peer)| {
            link(stream, self.address.clone(), Address::Uds(socket::dialer(peer.pid)), peer)
        });
        accepted.map_err(|error| TransportError::listen(&self.address, error))
    }

    async fn close(self: Box<Self>) {}
}

fn link(stream: UnixStream, local: Address, remote: Address, peer: Credentials) -> io::Result<Link> {
    // Written bytes are in the peer's queue at once, so a plain shutdown keeps the promise of `Link::writer`.
    let (reader, writer) = halves::split(stream)?;
    let ends = PeerInfo { local, remote, credentials: Some(peer), binding: None };
    Ok(Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
}

fn name_of(address: &Address) -> io::Result<&UdsName> {
    match address {
        Address::Uds(name) => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a uds:// address")),
    }
}
