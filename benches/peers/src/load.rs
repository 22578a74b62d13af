//! The load: what each library does with values of [`item`](crate::item).

use std::fmt::Display;

use futures_util::future::LocalBoxFuture;
use tokio::task::JoinSet;

use crate::item::EARLIEST;
pub(crate) use crate::item::Item;

/// One kind of load. A step is what is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One call with a value of 64 bytes, which comes back.
    Call,
    /// 64 callers on one connection, [`CALLS_EACH`] calls each.
    Flight,
    /// [`ITEMS`] values one way, and one answer after the last.
    Items,
    /// [`BLOBS`] blobs of 1 MiB one way, and one answer after the last.
    Blobs,
    /// One value over an open stream, and back.
    Echo,
    /// [`CONNECTIONS`] new connections, one after the other, with one call over each.
    Connection,
}

impl Work {
    pub(crate) const ALL: [Self; 6] =
        [Self::Call, Self::Flight, Self::Items, Self::Blobs, Self::Echo, Self::Connection];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call, 64 B",
            Self::Flight => "64 calls in flight",
            Self::Items => "stream of 64 B",
            Self::Blobs => "stream of 1 MiB",
            Self::Echo => "echo on a stream, 64 B",
            Self::Connection => "connection and call",
        }
    }

    /// Calls or items in one step.
    pub(crate) fn in_a_step(self) -> usize {
        match self {
            Self::Flight => CALLERS * CALLS_EACH,
            Self::Items => ITEMS,
            Self::Blobs => BLOBS,
            Self::Connection => CONNECTIONS,
            Self::Call | Self::Echo => 1,
        }
    }
}

/// The sockets that a library is measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Uds,
    Tcp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Uds, Self::Tcp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uds => "uds",
            Self::Tcp => "tcp",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// The calling side of a library, connected to a server in another process.
pub(crate) trait Peer {
    /// Does one step; for [`Work::Connection`] only the call.
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()>;
}

/// A library under load.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    /// The bytes of an [`Item`] in its encoding.
    pub(crate) item_bytes: fn() -> usize,
    pub(crate) protocols: &'static [Protocol],
    /// What it has.
    pub(crate) works: &'static [Work],
    /// Serves until the process is killed: over `uds` at this path, over `tcp` at any free port of [`LOCALHOST`].
    /// Calls [`ready`] once it listens.
    pub(crate) serve: fn(Protocol, String) -> LocalBoxFuture<'static, ()>,
    /// Connects to such a server.
    pub(crate) connect: fn(Protocol, String) -> LocalBoxFuture<'static, Box<dyn Peer>>,
}

/// Tells the parent at which address this server can be connected to.
pub(crate) fn ready(address: impl Display) {
    println!("{READY}{address}");
}

/// Has so many callers make so many calls each, one after the other, as a task each.
pub(crate) async fn together<F, Fut>(callers: usize, each: usize, call: F)
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let call = call.clone();
        tasks.spawn(async move {
            for number in 0..each as u64 {
                call(number).await;
            }
        });
    }
    tasks.join_all().await;
}

impl Item {
    /// Its msgpack by position, for what has no encoding of its own.
    pub(crate) fn to_msgpack(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).expect("an item can be written")
    }

    /// The sum of the times of all items in a step, with which a stream is answered.
    pub(crate) fn sum() -> u64 {
        (0..ITEMS as u64).fold(0, |sum, number| sum.wrapping_add(EARLIEST + number))
    }

    pub(crate) fn from_msgpack(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).expect("an item was sent")
    }
}

pub(crate) const CALLERS: usize = 64;
pub(crate) const CALLS_EACH: usize = 8;
pub(crate) const ITEMS: usize = 64 * 320;
pub(crate) const BLOBS: usize = 32;
pub(crate) const BLOB: usize = 1 << 20;
pub(crate) const CONNECTIONS: usize = 16;

/// An address with a port that the system chooses.
pub(crate) const LOCALHOST: &str = "127.0.0.1:0";

/// What a server prints before its address.
pub(crate) const READY: &str = "ready ";
