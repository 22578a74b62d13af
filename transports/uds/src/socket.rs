//! Unix sockets, and who is at their other end. `pleach-shm` meets its peers at them, too.
//!
//! # Invariants
//! 1. Both ends know the other's user from the kernel; a socket is handed over only between processes of one user, or
//!    with root's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pleach_wire::address::UdsName;
use pleach_wire::record;
use pleach_wire::transport::Credentials;
use tokio::net::{UnixListener, UnixStream};

use crate::place::SocketFile;

/// A bound socket. Dropping it removes its file; connections that were not accepted see their end.
#[derive(Debug)]
pub struct Bound {
    // Dropped first: closing the socket before its file goes would let a dialer find a dead one.
    _file: Option<SocketFile>,
    listener: UnixListener,
    name: UdsName,
    /// Whether a refused peer has been reported already.
    warned: bool,
}

impl Bound {
    /// Binds a socket. The directory of its file is made and guarded if it is `socket_dir`.
    ///
    /// # Errors
    /// When the name is in use or too long, and when `socket_dir` is open to others.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was bound.
    pub async fn bind(name: &UdsName, socket_dir: &Path) -> io::Result<Self> {
        let path = socket_path(name)?;
        let (listener, file) = match name {
            UdsName::Path(path) => {
                let (listener, file) = SocketFile::bind(path, socket_dir).await?;
                (listener, Some(file))
            }
            UdsName::Abstract(_) => (UnixListener::bind(path)?, None),
        };
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { _file: file, listener, name: name.clone(), warned: false })
    }

    /// Waits for the next peer that is admitted. Others are closed, and the first of them is reported.
    ///
    /// # Errors
    /// When one connection could not be taken; the socket goes on and may be asked again. When the system is out of
    /// something, a little later, so that the caller does not spin.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no connection is lost.
    pub async fn accept(&mut self) -> io::Result<(UnixStream, Credentials)> {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // It stays in the queue, so the next accept would fail at once again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    return Err(error);
                }
            };
            match admitted(&stream) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.report(&error),
                checked => return Ok((stream, checked?)),
            }
        }
    }

    /// Reports a refused peer: the first one loudly, so that a hostile one can't fill the log.
    fn report(&mut self, refused: &io::Error) {
        let again = std::mem::replace(&mut self.warned, true);
        match again {
            true => record!(DEBUG, target: "pleach::transport", name = %self.name, "refused a connection: {refused}"),
            false => record!(WARN, target: "pleach::transport", name = %self.name, "refused a connection: {refused}"),
        }
    }
}

/// Connects; waits while the listener's queue is full, for which the kernel has no event.
///
/// # Errors
/// When there is no listener, and when it belongs to another user.
///
/// # Cancel safety
/// If dropped before it resolves, nothing is left open.
pub async fn connect(name: &UdsName) -> io::Result<(UnixStream, Credentials)> {
    let (path, mut pause) = (socket_path(name)?, Duration::from_millis(1));
    loop {
        match UnixStream::connect(&path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(pause).await,
            connected => {
                let stream = connected?;
                let peer = admitted(&stream)?;
                return Ok((stream, peer));
            }
        }
        pause = (pause * 2).min(MAX_DIAL_PAUSE);
    }
}

/// Returns a name that is not used yet, of a file in `socket_dir`.
pub fn any_name(socket_dir: &Path, extension: &str) -> UdsName {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // The process id distinguishes the members of a tree, which share one directory.
    UdsName::Path(socket_dir.join(format!("{:x}-{number:x}.{extension}", std::process::id())))
}

/// Returns the name of a dialer's end, which can't be dialled; the process id, if it is known.
pub fn dialer(pid: Option<u32>) -> UdsName {
    UdsName::Abstract(format!("dialer-{}", Pid(pid)))
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
fn socket_path(name: &UdsName) -> io::Result<PathBuf> {
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
