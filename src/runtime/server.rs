//! Connections: listening and accepting, dialling.
//!
//! A listener is opened for each transport when a child first needs it. Each accepted connection
//! gets a task that shakes hands and then drives it to its end.
//!
//! # Invariants
//! 1. Strangers are talked to as the [`door`](super::door) of their listener allows.
//! 2. A peer is entered among the peers only after it has proved that it belongs to the tree.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pleach_wire::{Address, Key, Link, Listener, MsgTransport, TransportClosed, TransportError, TransportType};

use super::door::{Door, Place};
use super::{Runtime, lock};
use crate::actor::ActorId;
use crate::channel::driver;
use crate::channel::handshake::{self, Accepted, Identity};
use crate::channel::{Channel, Terms};
use crate::error::{Error, Result};
use crate::proto::handshake::Member;
use crate::proto::session::Role;

impl Runtime {
    /// Returns where this actor listens for `transport`; starts to listen if it does not yet.
    ///
    /// # Errors
    /// An unknown transport; an address that can't be bound.
    ///
    /// # Cancel safety
    /// If dropped, it may or may not listen already.
    pub(crate) async fn listen(self: &Arc<Self>, transport: &Key) -> Result<Address> {
        let mut listening = self.listening.lock().await;
        if let Some(address) = listening.get(transport) {
            return Ok(address.clone());
        }
        let kind = self.registry.find(transport)?.clone();
        let settings = self.settings(transport)?;
        let listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await?;
        let address = listener.local_address().clone();
        tracing::debug!(target: "pleach::transport", %address, "listening");
        self.keep_among(&self.listeners, accept_loop(self.clone(), kind, listener));
        listening.insert(transport.clone(), address.clone());
        Ok(address)
    }

    /// Returns all addresses at which this actor listens.
    pub(crate) async fn addresses(&self) -> Vec<Address> {
        self.listening.lock().await.values().cloned().collect()
    }

    /// Dials the parent and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or is not the one that the spec names.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn connect_to_parent(self: &Arc<Self>) -> Result<Channel> {
        let origin = self.origin.as_ref().ok_or_else(|| Error::Usage("the root of a tree has no parent".into()))?;
        self.dial(&origin.parent, &origin.transport, &origin.address).await
    }

    /// Dials an actor and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or is not who answers there.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(super) async fn dial(self: &Arc<Self>, who: &ActorId, transport: &Key, address: &str) -> Result<Channel> {
        let kind = self.registry.find(transport)?;
        let settings = self.settings(transport)?;
        let address: Address = address.parse().map_err(|error| Error::Config(format!("{error}")))?;
        let transport = kind.dial(&address, &settings).await?;
        let accepted = handshake::dial(&*transport, &self.identity()).await?;
        if accepted.member.who != *who {
            let found = format!("{} answers at {address} instead of {who}", accepted.member.who);
            return Err(TransportError::Handshake(found).into());
        }
        let (channel, loop_) = self.open_channel(transport, Role::Dialer, accepted);
        self.keep(loop_);
        Ok(channel)
    }

    pub(super) fn identity(&self) -> Identity {
        let (who, exports) = (self.id.clone(), crate::exports::fingerprints().to_vec());
        Identity {
            own: Member { who, incarnation: self.incarnation, features: 0, exports },
            key: self.tree_key.clone(),
            deadline: self.config.handshake,
            max_frame: self.config.max_frame,
        }
    }

    /// Makes a channel of a connection whose handshake is over, and the loop that drives it.
    pub(super) fn open_channel(
        self: &Arc<Self>,
        transport: Arc<dyn MsgTransport>,
        role: Role,
        accepted: Accepted,
    ) -> (Channel, impl Future<Output = ()> + Send + use<>) {
        let Accepted { member, early } = accepted;
        let Member { incarnation, exports, .. } = &member;
        if exports != crate::exports::fingerprints() {
            tracing::info!(target: "pleach::runtime", peer = %member.who, incarnation, "the peer runs another program: its functions differ");
        }
        let terms = Terms {
            role,
            here: self.id.clone(),
            peer: member.who,
            cancel_ack: self.config.cancel_ack,
            max_tasks: self.config.max_tasks,
            // One message of any size that is allowed may always wait.
            max_backlog: self.config.max_backlog.saturating_add(self.config.max_frame),
            ender: self.ender.clone(),
            stream_buffer: self.config.stream_buffer,
        };
        let channel = Channel::new(transport, terms);
        let number = self.next_peer.fetch_add(1, Ordering::Relaxed);
        lock(&self.peers).insert(number, channel.clone());
        let (runtime, driven) = (self.clone(), channel.clone());
        let drive = async move {
            driver::run(driven, Arc::new(runtime.clone()), early, runtime.config.drain).await;
            lock(&runtime.peers).remove(&number);
        };
        (channel, drive)
    }

    /// Tells a peer that there are too many already. `_place` bounds how many are told at once.
    async fn turn_away(self: Arc<Self>, transport: Arc<dyn MsgTransport>, _place: Place) {
        let (remote, limit) = (&transport.ends().remote, self.config.max_connections);
        tracing::warn!(target: "pleach::transport", %remote, limit, "too many connections (`max_connections`): turned one away");
        let why = format!("it has {limit} connections, as many as its `max_connections` allows");
        if let Err(error) = handshake::turn_away(&*transport, why).await {
            tracing::debug!(target: "pleach::transport", %remote, %error, "it left without hearing why");
        }
        transport.abort();
    }

    /// Shakes hands and drives the connection to its end. `place` is held while the peer is a stranger.
    async fn serve_connection(self: Arc<Self>, transport: Arc<dyn MsgTransport>, door: Arc<Door>, place: Place) {
        let remote = transport.ends().remote.clone();
        let identity = self.identity();
        // Not proved yet, but nobody else knows the id of a child that has not connected.
        let heard = |claimed: &ActorId| {
            if lock(&self.expected).contains_key(&claimed.uuid()) {
                place.keep();
            }
        };
        let shaken = tokio::select! {
            biased;
            shaken = handshake::accept(&*transport, &identity, &heard) => shaken,
            () = place.shown_out() => Err(TransportError::Handshake("others waited for its place".into())),
            // A silent stranger must not hold up whoever waits for the end of this actor.
            () = self.server.cancelled() => Err(TransportClosed::by_us("this actor is shutting down").into()),
        };
        drop(place);
        match shaken {
            Ok(Some(accepted)) => {
                let uuid = accepted.member.who.uuid();
                let waiting = lock(&self.expected).remove(&uuid);
                let (channel, drive) = self.open_channel(transport, Role::Listener, accepted);
                tracing::debug!(target: "pleach::transport", peer = %channel.peer(), "connected");
                if let Some(waiting) = waiting
                    && waiting.send(channel.clone()).is_err()
                {
                    channel.request_close(); // whoever waited has left, and will kill it
                }
                drive.await;
            }
            Ok(None) => tracing::debug!(target: "pleach::transport", %remote, "answered a probe"),
            Err(TransportError::Closed(end)) => {
                transport.abort();
                tracing::debug!(target: "pleach::transport", %remote, %end, "connected and left without a word");
            }
            Err(error) => {
                door.note_refusal(&remote, &error);
                transport.abort();
            }
        }
    }
}

async fn accept_loop(runtime: Arc<Runtime>, kind: TransportType, mut listener: Box<dyn Listener>) {
    let door = Door::new(&runtime.config);
    let address = listener.local_address().clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = runtime.server.cancelled() => break,
            accepted = accept_one(&runtime, &door, &mut *listener) => accepted,
        };
        match accepted {
            Ok((link, place)) => {
                let full = lock(&runtime.peers).len() >= runtime.config.max_connections;
                let (transport, peer) = (kind.wrap(link), runtime.clone());
                match full {
                    true => runtime.keep(peer.turn_away(transport, place)),
                    false => runtime.keep(peer.serve_connection(transport, door.clone(), place)),
                }
            }
            Err(error) => tracing::warn!(target: "pleach::transport", %error, "a connection could not be accepted"),
        }
    }
    door.close();
    listener.close().await;
    tracing::debug!(target: "pleach::transport", %address, "stopped listening");
}

/// Accepts the next connection that the door lets in.
async fn accept_one(
    runtime: &Runtime,
    door: &Arc<Door>,
    listener: &mut dyn Listener,
) -> Result<(Link, Place), TransportError> {
    loop {
        let link = listener.accept().await?;
        // Those that come too fast are closed by dropping them: nothing was read, and nothing is said.
        if door.lets_in(&link.ends, lock(&runtime.expected).len()) {
            let place = door.place(&link.ends).await;
            return Ok((link, place));
        }
        drop(link);
        // In a flood the next one is there already; members' messages have their turn first.
        tokio::task::yield_now().await;
    }
}
