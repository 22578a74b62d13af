//! The Unix-socket transport: `uds:///run/a.sock` and, on Linux, `uds://@abstract`.
//!
//! It dials and listens, and nothing else; frames and messages are `pleach-wire`'s. Files and
//! directories of sockets are the business of `place.rs`.
//!
//! # Invariants
//! 1. Both ends know the other's user from the kernel; a link exists only between processes of one
//!    user, or with root's.
//! 2. A socket file lives exactly as long as its listener, and a file that we did not make is never removed unless it
//!    is a socket without a listener.

#![deny(unsafe_code)]

mod halves;
mod place;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pleach_wire::address::UdsName;
use pleach_wire::transport::{Credentials, PeerInfo};
use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError, record};
use tokio::net::{UnixListener, UnixStream};

use self::place::SocketFile;

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
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The process id distinguishes the members of a tree, which share one directory.
        let file = format!("{:x}-{number:x}.sock", std::process::id());
        Address::Uds(UdsName::Path(settings.socket_dir.join(file)))
    }

    async fn dial(&self, address: &Address, _settings: &Settings) -> Result<Link, TransportError> {
        let connected = async { link_to(connect(&socket_path(address)?).await?, address) }.await;
        connected.map_err(|error| TransportError::dial(address, error))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = async {
            let path = socket_path(address)?;
            let (listener, file) = match address {
                Address::Uds(UdsName::Path(path)) => {
                    let (listener, file) = SocketFile::bind(path, &settings.socket_dir).await?;
                    (listener, Some(file))
                }
                _ => (UnixListener::bind(path)?, None),
            };
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(Bound { listener, file, address: address.clone(), warned: false })
        }
        .await;
        bound.map(|bound| Box::new(bound) as _).map_err(|error| TransportError::listen(address, error))
    }
}

/// A bound socket. Dropping it removes its file; connections that were not accepted see their end.
#[derive(Debug)]
struct Bound {
    // Dropped first: closing the socket before its file goes would let a dialer find a dead one.
    file: Option<SocketFile>,
    listener: UnixListener,
    address: Address,
    /// Whether a refused peer has been reported already.
    warned: bool,
}

#[async_trait::async_trait]
impl Listener for Bound {
    fn local_address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // It stays in the queue, so the next accept would fail at once again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    return Err(TransportError::listen(&self.address, error));
                }
            };
            match link_from(stream, &self.address) {
                Ok(link) => return Ok(link),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.report(&error),
                Err(error) => return Err(TransportError::listen(&self.address, error)),
            }
        }
    }

    async fn close(self: Box<Self>) {
        drop(self.file);
    }
}

impl Bound {
    /// Reports a refused peer: the first one loudly, so that a hostile one can't fill the log.
    fn report(&mut self, refused: &io::Error) {
        let again = std::mem::replace(&mut self.warned, true);
        match again {
            true => {
                record!(DEBUG, target: "pleach::transport", address = %self.address, "refused a connection: {refused}")
            }
            false => {
                record!(WARN, target: "pleach::transport", address = %self.address, "refused a connection: {refused}")
            }
        }
    }
}

/// Connects; waits while the listener's queue is full, for which the kernel has no event.
async fn connect(path: &PathBuf) -> io::Result<UnixStream> {
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause = (pause * 2).min(MAX_DIAL_PAUSE);
    }
}

fn link_to(stream: UnixStream, address: &Address) -> io::Result<Link> {
    let credentials = admitted(&stream)?;
    let dialer = Address::Uds(UdsName::Abstract(format!("dialer-{}", std::process::id())));
    link(stream, PeerInfo { local: dialer, remote: address.clone(), credentials: Some(credentials), binding: None })
}

fn link_from(stream: UnixStream, address: &Address) -> io::Result<Link> {
    let credentials = admitted(&stream)?;
    let dialer = Address::Uds(UdsName::Abstract(format!("dialer-{}", Pid(credentials.pid))));
    link(stream, PeerInfo { local: address.clone(), remote: dialer, credentials: Some(credentials), binding: None })
}

fn link(stream: UnixStream, ends: PeerInfo) -> io::Result<Link> {
    // Written bytes are in the peer's queue at once, so a plain shutdown keeps the promise of `Link::writer`.
    let (reader, writer) = halves::split(stream)?;
    Ok(Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
}

/// Asks the kernel for the peer's user. Invariant 1.
fn admitted(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = stream.peer_cred()?;
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    let credentials = Credentials { uid: peer.uid(), pid };
    let own = rustix::process::geteuid().as_raw();
    if admits(own, credentials.uid) {
        return Ok(credentials);
    }
    let why = format!("process {} runs as user {}, and this one as user {own}", Pid(pid), credentials.uid);
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Whether a process of user `own` talks to one of user `peer`; root may debug all users.
fn admits(own: u32, peer: u32) -> bool {
    peer == own || peer == ROOT
}

/// The path to give to the system, with a NUL in front for an abstract name.
fn socket_path(address: &Address) -> io::Result<PathBuf> {
    let Address::Uds(name) = address else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a uds:// address"));
    };
    let path = match name {
        UdsName::Path(path) => path.clone(),
        UdsName::Abstract(_) if !cfg!(target_os = "linux") => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract socket names; use a path"));
        }
        UdsName::Abstract(name) => PathBuf::from(format!("\0{name}")),
    };
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        let why = format!(
            "the name has {length} bytes, and a Unix socket's at most {MAX_PATH}; choose a shorter `socket_dir` or path"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(path)
}

struct Pid(Option<u32>);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "{pid}"),
            None => f.write_str("unknown"),
        }
    }
}

/// Bytes of a socket's name: `sun_path` has 108, one of which is a NUL.
const MAX_PATH: usize = 107;

/// Connections that may wait for `accept`.
const BACKLOG: i32 = 1024;

/// The longest pause between two attempts to get into a full queue.
const MAX_DIAL_PAUSE: Duration = Duration::from_millis(50);

/// How long `accept` waits before it reports that the process or system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_root_are_admitted() {
        assert!(admits(1000, 1000));
        assert!(admits(1000, ROOT));
        assert!(!admits(1000, 1001));
        assert!(!admits(ROOT, 1000));
    }
}
