//! Connections for portals to actors that are not our children.
//!
//! Each child gets the root's identity and addresses from its parent; of others it learns from the registry. Some
//! connections always exist: to the parent, to children, to the registrar. Any other is opened on first use, shared by
//! all its users, and closed with the last of them. An actor talks to itself over a pair of links in memory, by the
//! same rules as to any other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, EndReason, Key, Link};
use serde::{Deserialize, Serialize};
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::Runtime;
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::channel::handshake::Accepted;
use crate::error::{Error, Result};
use crate::proto::handshake::Endpoint;
use crate::proto::session::Role;

/// An actor's identity and addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) who: ActorId,
    pub(crate) listening: Vec<Endpoint>,
}

/// The place of a connection that portals share, while one does.
pub(super) type SharedSlot = Arc<tokio::sync::Mutex<Weak<Connection>>>;

/// A connection as portals share it. Dropping the last handle closes it, if it was opened for them.
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    opened_for_portals: bool,
    end_requested: AtomicBool,
}

impl Connection {
    fn new(channel: Channel, opened_for_portals: bool) -> Arc<Self> {
        Arc::new(Self { channel, opened_for_portals, end_requested: AtomicBool::new(false) })
    }

    /// Remembers that the peer was asked from here to end itself.
    pub(crate) fn mark_end_requested(&self) {
        self.end_requested.store(true, Ordering::Release);
    }

    pub(crate) fn end_requested(&self) -> bool {
        self.end_requested.load(Ordering::Acquire)
    }

    /// Closes it, if it was opened for portals and this is the last handle, and waits for its end.
    ///
    /// # Errors
    /// When it broke instead.
    ///
    /// # Cancel safety
    /// If dropped, it is closed all the same.
    pub(crate) async fn close(self: Arc<Self>) -> Result<()> {
        let Some(last) = Arc::into_inner(self).filter(|last| last.opened_for_portals) else { return Ok(()) };
        let channel = last.channel.clone();
        drop(last);
        channel.ended().await;
        match channel.end() {
            Some(fault) if !fault.is_closed() => Err(channel.gone()),
            _ => Ok(()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.opened_for_portals {
            self.channel.request_close(EndReason::Unused);
        }
    }
}

impl Runtime {
    /// Returns the connection to the parent, while it lasts.
    pub(crate) fn parent_channel(&self) -> Option<Channel> {
        let parent = self.identity.parent()?;
        self.peers.find(|channel| channel.lasts() && channel.peer() == parent)
    }

    /// Returns the connection to the parent for portals; the root has none.
    pub(crate) fn parent_connection(self: &Arc<Self>) -> Option<Arc<Connection>> {
        Some(Connection::new(self.parent_channel()?, false))
    }

    /// Returns the root's contact, for this actor's children.
    pub(crate) async fn root_contact(&self) -> Contact {
        match self.identity.origin() {
            Some(origin) => origin.root.clone(),
            None => Contact { who: self.id().clone(), listening: self.endpoints().await },
        }
    }

    /// Connects to the root of the tree, or returns the connection that is there.
    ///
    /// # Errors
    /// When the root can't be reached.
    ///
    /// # Cancel safety
    /// If dropped, a connection that was just being opened is closed.
    pub(crate) async fn connect_to_root(self: &Arc<Self>) -> Result<Arc<Connection>> {
        let Some(origin) = self.identity.origin() else { return self.connect_to(self.id(), &[]).await };
        if origin.root.who == origin.parent {
            let ended = || Error::Usage(format!("the connection to {}, the root, has ended", origin.parent));
            return self.parent_connection().ok_or_else(ended);
        }
        self.connect_to(&origin.root.who, &origin.root.listening).await
    }

    /// Connects to the registrar, or returns the connection that is there.
    ///
    /// # Errors
    /// When the registrar can't be reached, or there is none.
    ///
    /// # Cancel safety
    /// If dropped, a connection that was just being opened is closed.
    pub(crate) async fn connect_to_registrar(self: &Arc<Self>) -> Result<Arc<Connection>> {
        if self.table().is_some() {
            return self.connect_to(self.id(), &[]).await;
        }
        let names = self.names().ok_or_else(|| Error::Usage(format!("{} is still starting", self.id())))?;
        Ok(Connection::new(names.registrar().await?, false))
    }

    /// Connects to an actor, or returns a connection that is there. It is shared by all portals to that
    /// actor, and ends with the last of them, unless it was there before.
    ///
    /// # Errors
    /// As [`dial_nearest`](Self::dial_nearest).
    ///
    /// # Cancel safety
    /// If dropped, a connection that was just being opened is closed.
    pub(crate) async fn connect_to(self: &Arc<Self>, who: &ActorId, at: &[Endpoint]) -> Result<Arc<Connection>> {
        let is_here = |channel: &Channel| channel.lasts() && channel.peer() == who && channel.end().is_none();
        if let Some(channel) = self.peers.find(is_here) {
            return Ok(Connection::new(channel, false));
        }
        let shared = self.peers.slot(who.uuid());
        // Held while dialling, so that of two concurrent callers only one dials.
        let mut shared = shared.lock().await;
        if let Some(open) = shared.upgrade().filter(|connection| connection.channel.end().is_none()) {
            return Ok(open);
        }
        let channel = match who == self.id() {
            true => self.connect_to_self().await?,
            false => self.dial_nearest(who, at).await?,
        };
        let opened = Connection::new(channel, true);
        *shared = Arc::downgrade(&opened);
        Ok(opened)
    }

    /// Connects this actor to itself, on the async runtime that polls this: its own may stand still.
    ///
    /// # Errors
    /// When the protocol in memory is missing.
    pub(crate) async fn connection_to_self(self: Arc<Self>) -> Result<Arc<Connection>> {
        Ok(Connection::new(self.connect_to_self().await?, true))
    }

    /// Connects this actor to itself: calls to it are served as those of any other.
    async fn connect_to_self(self: &Arc<Self>) -> Result<Channel> {
        let kind = self.registry.find(&Key::new("msgpack", "mem"))?;
        let own = self.handshake_config().await.own;
        let (dialled, accepted) = tokio::io::duplex(PIPE);
        let [channel, _accepted] = [(dialled, Role::Dialer), (accepted, Role::Listener)].map(|(half, role)| {
            let transport = kind.wrap(link_to_self(half));
            transport.set_max_frame(self.config.max_frame);
            // No handshake: both halves are this actor.
            let peer = Accepted { member: own.clone(), early: Vec::new(), began: Instant::now() };
            let (channel, drive) = self.open_channel(transport, role, peer, false, None, self.peers.take_permit());
            self.keep(drive);
            channel
        });
        Ok(channel)
    }
}

/// Whether a slot has a connection, or one is being dialled: its dialer holds it then.
pub(super) fn is_in_use(slot: &SharedSlot) -> bool {
    Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|shared| shared.strong_count() > 0)
}

fn link_to_self(half: DuplexStream) -> Link {
    let (reader, writer) = tokio::io::split(half);
    let ends = PeerInfo {
        local: Address::Mem("self".into()),
        remote: Address::Mem("self".into()),
        credentials: None,
        binding: None,
    };
    Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends }
}

/// Bytes that a connection to oneself holds in each direction: as much as a pipe.
const PIPE: usize = 64 << 10;
