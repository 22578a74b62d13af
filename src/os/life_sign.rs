//! The sign that the root of a tree is alive, or its keeper on another host.
//!
//! A socket bound to an abstract name that has the tree's [mark](super::mark) in it. The kernel shows such names to all
//! processes (`/proc/net/unix`), and takes them back when the process has ended, however that came about. Nothing
//! listens to it: a connection is refused.
//!
//! # Invariants
//! 1. It is shown before the first process of the tree is started, and until the last one has ended. So one that
//!    looks at the processes first, and then at the signs, takes no living tree for a dead one.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::abstract_sockets;
use super::mark::TreeMark;

/// A sign that is shown. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct LifeSign {
    _socket: OwnedFd,
}

impl LifeSign {
    /// Shows that the root of a tree is alive, which is this process.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub(crate) fn show(mark: TreeMark) -> rustix::io::Result<Self> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let name = format!("{PREFIX}{mark}-{}", std::process::id());
        bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        Ok(Self { _socket: socket })
    }
}

/// The trees whose signs are shown where one of these processes is: each may have a network of its own.
pub(crate) fn shown_to(processes: &BTreeSet<u32>) -> BTreeSet<String> {
    let lists = processes.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/net/unix")).ok());
    // Behind the prefix: the tree, `-`, the process.
    let trees = |list: String| -> Vec<String> {
        let names = abstract_sockets::names(&list, PREFIX);
        names.filter_map(|name| Some(name.split_once('-')?.0.to_owned())).collect()
    };
    lists.flat_map(trees).collect()
}

const PREFIX: &str = "pleach-tree-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_seen_as_long_as_it_is_shown() {
        let (mark, own) = (TreeMark::fresh().unwrap(), [std::process::id()].into());
        let is_seen = || shown_to(&own).contains(&mark.to_string());
        assert!(!is_seen());
        let sign = LifeSign::show(mark).unwrap();
        assert!(is_seen());
        drop(sign);
        assert!(!is_seen());
    }
}
