//! The links of this process to keepers on other hosts: what asks for the actors there goes through them.
//!
//! An engine that has started a keeper opens the link, and takes the connections that are to be passed on.
//!
//! # Invariants
//! 1. At most [`MAX_WAITING`] connections wait to be taken; a further one is turned away.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Reply;
use super::transfer::Transfer;
use crate::sync::lock;

/// A link of a process to another host, where it has started an actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostLink {
    /// Its number in the process.
    pub number: u64,
    /// The host, as the start named it: `ssh:node2`.
    pub host: String,
}

/// The engine's end of a link. Dropping it closes the link, and turns away what waits for it.
#[derive(Debug)]
pub(crate) struct Link {
    number: u64,
    asked: mpsc::Receiver<UnixStream>,
}

impl Link {
    /// Opens one to a host.
    pub(crate) fn open(host: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (ask, asked) = mpsc::channel(MAX_WAITING);
        lock(&LINKS).insert(number, (host.to_owned(), ask));
        Self { number, asked }
    }

    /// Waits for the next connection that is to be passed on.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> UnixStream {
        match self.asked.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await, // the other end is in the table as long as this one exists
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&LINKS).remove(&self.number);
    }
}

/// Returns the links of this process.
pub(crate) fn all() -> Vec<HostLink> {
    lock(&LINKS).iter().map(|(number, (host, _))| HostLink { number: *number, host: host.clone() }).collect()
}

/// Passes a connection on over a link, and says first whether that is there.
///
/// # Errors
/// When the other end has left, or too many wait.
pub(super) fn pass(number: u64, mut transfer: Transfer) -> io::Result<()> {
    let Some(ask) = lock(&LINKS).get(&number).map(|(_, ask)| ask.clone()) else {
        return transfer.send(&Reply::NotThere);
    };
    transfer.send(&Reply::Passed)?;
    ask.try_send(transfer.into_connection()).map_err(|_| io::ErrorKind::ResourceBusy.into())
}

static LINKS: Mutex<BTreeMap<u64, (String, mpsc::Sender<UnixStream>)>> = Mutex::new(BTreeMap::new());

/// How many connections may wait for a link at once.
const MAX_WAITING: usize = 64;
