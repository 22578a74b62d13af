//! The shared-memory transport: `shm:///run/a.shm` and `shm://@abstract`, between the processes of one Linux host.
//!
//! Peers meet at a Unix socket of `pleach-uds`. Each hands over a memory that it alone can write, with the bytes that it
//! sends, and two events, for what it waits for. The socket stays open, and says when the peer has ended.
//!
//! | file | station |
//! |---|---|
//! | `open` | hands over this side's memory and events, and takes the peer's |
//! | `ring` | the memory of one side: what lies where in it, and copies round its end |
//! | `shared` | what both halves of a link need of the other side |
//! | `reader`, `writer` | the two halves |
//! | `nap` | sleeping and waking, without a lost wake |
//! | `spin` | looking at the ring for a while before sleeping |
//!
//! # What must stay true
//! 1. Each memory has one writer. All that a peer wrote is checked before it is used, so a hostile one causes errors and
//!    wrong bytes, and nothing else.
//! 2. A process that has ended, in whatever way, is noticed by both halves of the other side.
//! 3. Nothing has a name in a file system but the socket. Memory is gone with the last of the two processes.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("shared memory needs Linux: memfd_create and eventfd");

mod nap;
mod open;
mod reader;
mod ring;
mod shared;
mod spin;
mod writer;

use std::io;

use pleach_uds::socket;
use pleach_wire::address::UdsName;
use pleach_wire::pending::{Pending, Source};
use pleach_wire::transport::{Credentials, PeerInfo};
use pleach_wire::{Address, EndReason, Link, Listener, Protocol, Reach, Settings, TransportClosed, TransportError};
use tokio::net::UnixStream;

use self::open::Opening;

/// The protocol of connections over shared memory.
///
/// A dial waits for the listener's [`accept`](Listener::accept).
#[derive(Clone, Copy, Debug, Default)]
pub struct Shm;

#[async_trait::async_trait]
impl Protocol for Shm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn reach(&self) -> Reach {
        Reach::Host
    }

    fn any_address(&self, settings: &Settings) -> Address {
        address_of(&socket::any_name(&settings.socket_dir, NAME))
    }

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        let connected = async {
            let opening = Opening::with(settings)?;
            let (stream, peer) = socket::connect(&name_of(address)?).await?;
            link(stream, opening, dialer(Some(std::process::id())), address.clone(), peer).await
        };
        connected.await.map_err(|error| TransportError::dial(address, error))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = async {
            let opening = Opening::with(settings)?;
            Opening::try_here()?;
            Ok((opening, socket::Bound::bind(&name_of(address)?, &settings.socket_dir).await?))
        };
        let (opening, bound) = bound.await.map_err(|error| TransportError::listen(address, error))?;
        Ok(Box::new(ShmListener { bound, opening, pending: Pending::default(), address: address.clone() }))
    }
}

/// A bound socket. Dropping it removes its file; connections that were not accepted see their end.
struct ShmListener {
    bound: socket::Bound,
    opening: Opening,
    /// Peers that have connected, and not yet handed over what they must.
    pending: Pending,
    address: Address,
}

#[async_trait::async_trait]
impl Listener for ShmListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let room = self.pending.room();
            let next = async {
                room.await;
                self.bound.accept().await
            };
            // Completed ones first, then new ones.
            tokio::select! {
                biased;
                opened = self.pending.next() => match opened {
                    // It only looked whether there is a listener.
                    Err(error) if error.is_closed() => {}
                    opened => return opened,
                },
                accepted = next => match accepted {
                    Ok((stream, peer)) => {
                        let opened = open(stream, self.opening, self.address.clone(), peer);
                        self.pending.begin(Source::Process(peer.pid), opened);
                    }
                    Err(error) => return Err(TransportError::listen(&self.address, error)),
                },
            }
        }
    }

    async fn close(self: Box<Self>) {}
}

/// Opens an accepted connection.
async fn open(stream: UnixStream, opening: Opening, local: Address, peer: Credentials) -> Result<Link, TransportError> {
    let opened = link(stream, opening, local, dialer(peer.pid), peer).await;
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            TransportClosed::by_peer(EndReason::EndOfFile).into()
        }
        _ => TransportError::Handshake(format!("a dialer's shared memory: {error}")),
    })
}

async fn link(
    stream: UnixStream,
    opening: Opening,
    local: Address,
    remote: Address,
    peer: Credentials,
) -> io::Result<Link> {
    let (reader, writer) = opening.open(stream).await?;
    let ends = PeerInfo { local, remote, credentials: Some(peer), binding: None };
    Ok(Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
}

/// The address of a dialer's end.
fn dialer(pid: Option<u32>) -> Address {
    address_of(&socket::dialer(pid))
}

fn address_of(name: &UdsName) -> Address {
    Address::Other { protocol: NAME.into(), rest: name.to_string() }
}

fn name_of(address: &Address) -> io::Result<UdsName> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    match address {
        Address::Other { protocol, rest } if protocol == NAME => rest
            .parse()
            .map_err(|_| invalid(format!("`{rest}` is not a socket's name; write shm:///run/a.shm, or shm://@name"))),
        _ => Err(invalid("it is not a shm:// address".into())),
    }
}

const NAME: &str = "shm";
