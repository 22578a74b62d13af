//! Processes of peers on this host: a connection ends when the process behind it has, whatever carries it.
//!
//! Most transports see to that themselves, as the system ends the connections of a dead process. Over UDP nothing
//! does. There the process is watched: as long as an actor lives, its number belongs to it, so the end of that
//! process, and of no other, is the actor's. Peers on other hosts exchange heartbeats.

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::pin::pin;

#[cfg(target_os = "linux")]
use tokio::io::Interest;
#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;

use super::Runtime;
use crate::channel::Channel;
use crate::channel::drain::PeerGone;

/// A process that is watched.
#[cfg(target_os = "linux")]
pub(super) type Process = AsyncFd<OwnedFd>;

/// Other systems have no such handles: a silent connection there ends when its peer is missed.
#[cfg(not(target_os = "linux"))]
pub(super) type Process = std::convert::Infallible;

impl Runtime {
    /// Returns the process at the other end, if the connection does not end with it by itself, and it can be watched.
    pub(super) fn process_to_watch(&self, channel: &Channel) -> Option<Process> {
        let (peer, transport) = (channel.peer(), channel.transport());
        let key = pleach_wire::Key::new(transport.format().name(), transport.ends().remote.protocol());
        let ends_by_itself = self.registry.find(&key).is_ok_and(|kind| kind.protocol().ends_with_process());
        if ends_by_itself || !peer.is_at_place_of(self.id()) || peer.pid() == self.id().pid() {
            return None;
        }
        open(channel)
    }
}

#[cfg(target_os = "linux")]
fn open(channel: &Channel) -> Option<Process> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let peer = channel.peer();
    let pid = Pid::from_raw(i32::try_from(peer.pid()).ok()?)?;
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(process) => register(process)
            .inspect_err(|error| debug!(target: "pleach::runtime", %peer, %error, "its process can't be watched"))
            .ok(),
        Err(rustix::io::Errno::SRCH) => {
            channel.note_peer_gone(PeerGone::Killed);
            None
        }
        Err(error) => {
            debug!(target: "pleach::runtime", %peer, %error, "its process can't be watched");
            None
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "tokio can't know that a type keeps its descriptor")]
fn register(process: OwnedFd) -> std::io::Result<Process> {
    // SAFETY: an `OwnedFd` owns its descriptor, which is open until it is dropped, and never another one.
    let registered = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) };
    registered.map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn open(_channel: &Channel) -> Option<Process> {
    None
}

/// Serves a connection to its end, which comes soon after that of the `process` at the other end.
pub(super) async fn unless_process_ends(channel: &Channel, serve: impl Future<Output = ()>, process: Option<Process>) {
    let Some(process) = process else { return serve.await };
    let mut serve = pin!(serve);
    tokio::select! {
        // Received messages go first.
        biased;
        () = &mut serve => return,
        () = ended(&process) => channel.note_peer_gone(PeerGone::Killed),
    }
    serve.await;
}

#[cfg(target_os = "linux")]
async fn ended(process: &Process) {
    if process.readable().await.is_err() {
        std::future::pending::<()>().await; // the runtime is ending
    }
}

#[cfg(not(target_os = "linux"))]
async fn ended(process: &Process) {
    match *process {}
}
