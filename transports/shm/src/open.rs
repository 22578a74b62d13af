//! The opening of a link: each side hands over its memory and its events, and takes the peer's.
//!
//! # Invariants
//! 1. Nothing of the peer is used before it was checked: its memory by `pleach-shm-memory`, its events here. Any other
//!    descriptor might hold this process up when it is written to.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use pleach_shm_memory::watch;
use pleach_wire::Settings;
use pleach_wire::transport::{RING_SIZES, is_ring_size};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::reader::Reader;
use crate::ring::Ring;
use crate::shared::{Shared, invalid};
use crate::spin::Spin;
use crate::writer::Writer;

/// How links are opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    ring: usize,
    spin: Duration,
}

impl Opening {
    /// Checks the settings.
    ///
    /// # Errors
    /// When no ring can have such a size.
    pub(crate) fn with(settings: &Settings) -> io::Result<Self> {
        let ring = settings.shm_ring;
        if !is_ring_size(ring) {
            let why = format!("a ring of {ring} bytes: `shm_ring` must be a power of two from 4 KiB to 64 MiB");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self { ring, spin: settings.shm_spin })
    }

    /// Tries whether this system can share memory.
    ///
    /// # Errors
    /// Says what it lacks.
    pub(crate) fn try_here() -> io::Result<()> {
        create(*RING_SIZES.start()).map(drop)
    }

    /// Opens a link over a connected socket.
    ///
    /// # Errors
    /// When the system is out of something, and when the peer hands over something else, or nothing.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing is left open.
    pub(crate) async fn open(self, socket: UnixStream) -> io::Result<(Reader, Writer)> {
        let (mine, memory) = create(self.ring)?;
        let (readable, writable) = (event()?, event()?);
        socket.async_io(Interest::WRITABLE, || send(&socket, [&memory, &readable, &writable])).await?;
        drop(memory);
        let [memory, their_reader, their_writer] = socket.async_io(Interest::READABLE, || receive(&socket)).await?;
        let theirs = Ring::adopt(memory.as_fd())?;
        [&their_reader, &their_writer].into_iter().try_for_each(check_event)?;
        let shared = Arc::new(Shared { mine, theirs, their_reader, their_writer, socket });
        let reader = Reader::new(shared.clone(), watch(readable)?, Spin::new(self.spin));
        Ok((reader, Writer::new(shared, watch(writable)?)))
    }
}

fn create(ring: usize) -> io::Result<(Ring, OwnedFd)> {
    Ring::create(ring).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            let why = format!("it needs memfd_create with seals, and Linux 5.14 or later ({error}); use `uds` here");
            io::Error::new(io::ErrorKind::Unsupported, why)
        }
        _ => error,
    })
}

fn event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

fn send(socket: &UnixStream, own: [&OwnedFd; 3]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = own.map(AsFd::as_fd);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(&[VERSION])], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

fn receive(socket: &UnixStream) -> io::Result<[OwnedFd; 3]> {
    let mut version = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut version)], &mut control, flags)?;
    if received.bytes == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the peer has ended before it handed over its memory",
        ));
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let fds = fds.try_into().map_err(|_| invalid("the peer has not handed over a memory and two events"));
    if version != [VERSION] {
        return Err(invalid("the peer has another version of this transport"));
    }
    fds
}

/// Invariant 1.
fn check_event(fd: &OwnedFd) -> io::Result<()> {
    let kind = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    match kind.to_str() == Some("anon_inode:[eventfd]") && rustix::fs::fcntl_getfl(fd)?.contains(OFlags::NONBLOCK) {
        true => Ok(()),
        false => Err(invalid("the peer's event is none, or would block")),
    }
}

/// Of what is in the memories, and of this file.
const VERSION: u8 = 1;
