//! The in-memory transport: connections inside one process, `mem://name`.
//!
//! It dials and listens, and nothing else; frames and messages are `pleach-wire`'s. Names live in one
//! table per process, so only runtimes of the same process reach each other.
//!
//! # Invariants
//! 1. A name is in the table exactly as long as its listener lives.
//! 2. The table's lock is never held across a wait.
//! 3. A connection buffers at most [`PIPE`] bytes per direction; a listener queues at most [`BACKLOG`] dials.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use pleach_wire::sync::lock;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// The protocol of connections inside this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mem;

#[async_trait::async_trait]
impl Protocol for Mem {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn reach(&self) -> Reach {
        Reach::Process
    }

    fn any_address(&self, _settings: &Settings) -> Address {
        Address::Mem(format!("any-{}", next_number()))
    }

    async fn dial(&self, address: &Address, _settings: &Settings) -> Result<Link, TransportError> {
        let refused = || TransportError::dial(address, io::Error::from(io::ErrorKind::ConnectionRefused));
        let name = name_of(address).map_err(|error| TransportError::dial(address, error))?;
        let dials = listeners().get(name).cloned().ok_or_else(refused)?;
        let local = Address::Mem(format!("dialer-{}", next_number()));
        let (near, far) = tokio::io::duplex(PIPE);
        dials.send(Dialled { stream: far, from: local.clone() }).await.map_err(|_| refused())?;
        Ok(link(near, local, address.clone()))
    }

    async fn listen(&self, address: &Address, _settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let name = name_of(address).map_err(|error| TransportError::listen(address, error))?;
        let (sender, dials) = mpsc::channel(BACKLOG);
        match listeners().entry(name.to_owned()) {
            Entry::Occupied(_) => Err(TransportError::listen(address, io::ErrorKind::AddrInUse.into())),
            Entry::Vacant(free) => {
                free.insert(sender);
                Ok(Box::new(MemListener { address: address.clone(), name: Name(name.to_owned()), dials }))
            }
        }
    }
}

/// A name with a listener. Dropping it frees the name; dials that were not accepted see their end.
#[derive(Debug)]
struct MemListener {
    address: Address,
    // Dropped before `dials`: first the name is freed, then the queued dials are refused.
    name: Name,
    dials: mpsc::Receiver<Dialled>,
}

#[async_trait::async_trait]
impl Listener for MemListener {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let dialled = self.dials.recv().await;
        // Invariant 1: the table holds a sender for as long as we live.
        let Dialled { stream, from } = dialled.expect("the name is in the table while its listener lives");
        Ok(link(stream, self.address.clone(), from))
    }

    async fn close(self: Box<Self>) {
        drop(self.name);
    }
}

/// An entry of the table, removed when it is dropped.
#[derive(Debug)]
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        listeners().remove(&self.0);
    }
}

/// One connection on its way to a listener.
#[derive(Debug)]
struct Dialled {
    stream: DuplexStream,
    from: Address,
}

fn link(stream: DuplexStream, local: Address, remote: Address) -> Link {
    let (reader, writer) = tokio::io::split(stream);
    Link {
        reader: Box::new(reader),
        writer: Box::new(writer),
        lanes: None,
        ends: PeerInfo { local, remote, credentials: None, binding: None },
    }
}

fn name_of(address: &Address) -> io::Result<&str> {
    match address {
        Address::Mem(name) => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a mem:// address")),
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn listeners() -> MutexGuard<'static, BTreeMap<String, mpsc::Sender<Dialled>>> {
    lock(&LISTENERS)
}

static LISTENERS: Mutex<BTreeMap<String, mpsc::Sender<Dialled>>> = Mutex::new(BTreeMap::new());

/// Bytes that one direction of a connection holds before its writer waits: as much as a pipe.
pub const PIPE: usize = 64 << 10;

/// Dials that may wait for `accept`; one beyond them waits in `dial`.
pub const BACKLOG: usize = 128;
