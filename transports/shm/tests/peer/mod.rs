//! A peer that is played by hand.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use pleach_shm::Shm;
use pleach_shm_memory::Memory;
use pleach_wire::{Address, Link, Listener, Protocol, Settings};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A listener in a directory of its own.
pub(crate) struct Place {
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn listening() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.shm");
        let address: Address = format!("shm://{}", path.display()).parse().unwrap();
        let listener = Shm.listen(&address, &Settings::default()).await.unwrap();
        Self { listener, path, _directory: directory }
    }
}

/// A dialer, with a ring of 64 KiB.
pub(crate) struct Peer {
    socket: UnixStream,
    pub(crate) memory: Memory,
    /// The other side's memory, and the events that it waits for.
    pub(crate) theirs: Vec<OwnedFd>,
}

impl Peer {
    /// Connects, and says nothing.
    pub(crate) async fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).await.unwrap();
        Self { socket, memory: Memory::create(4096 + 65536).unwrap().0, theirs: Vec::new() }
    }

    /// Connects, and does what it must.
    pub(crate) async fn open(path: &Path) -> Self {
        let (memory, fd) = Memory::create(4096 + 65536).unwrap();
        let mut peer = Self { memory, ..Self::connect(path).await };
        peer.hand_over(&[1], &[fd, event(), event()]);
        peer.theirs = peer.socket.async_io(Interest::READABLE, || Ok(receive(&peer.socket)?)).await.unwrap();
        peer
    }

    pub(crate) fn hand_over(&self, greeting: &[u8], fds: &[OwnedFd]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        sendmsg(&self.socket, &[IoSlice::new(greeting)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    pub(crate) fn write_to_socket(&self, bytes: &[u8]) {
        rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL).unwrap();
    }

    /// Signals both events of the other side.
    pub(crate) fn signal(&self) {
        for event in &self.theirs[1..] {
            rustix::io::write(event, &1u64.to_ne_bytes()).unwrap();
        }
    }
}

/// A hostile peer, and the link that its victim has.
pub(crate) async fn opened() -> (Peer, Link) {
    let mut place = Place::listening().await;
    let (peer, link) = tokio::join!(Peer::open(&place.path), place.listener.accept());
    (peer, link.unwrap())
}

fn receive(socket: &UnixStream) -> rustix::io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(fds)
}

pub(crate) fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

pub(crate) fn memfd(len: u64, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, len).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

pub(crate) const SEALED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);

/// Where a memory has its numbers.
pub(crate) const WRITTEN: usize = 64;
pub(crate) const READ: usize = 128;
pub(crate) const ENDED: usize = 320;
