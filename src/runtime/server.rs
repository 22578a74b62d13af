//! Connections: accepting them, and the common part of accepted and dialled ones.
//!
//! Each accepted connection gets a task that shakes hands and then drives it to its end.
//!
//! # Invariants
//! 1. Strangers are talked to as the [`admission`](super::admission) of their listener allows.
//! 2. A peer is entered among the peers only after it has proved that it belongs to the tree.

use std::sync::Arc;

use pleach_wire::{EndReason, Link, Listener, MsgTransport, TransportClosed, TransportError, TransportType};

use super::Runtime;
use super::admission::{Admission, Slot};
use super::dispatch::Service;
use super::processes::unless_process_ends;
use crate::actor::ActorId;
use crate::channel::drain::Drain;
use crate::channel::driver;
use crate::channel::handshake::{self, Accepted, HandshakeConfig};
use crate::channel::{Channel, Terms};
use crate::log::Limit;
use crate::proto::failure_detector::Relation;
use crate::proto::handshake::{Introduction, LASTS, REGISTRAR};
use crate::proto::session::Role;
use crate::registry::Registered;

impl Runtime {
    /// What this actor brings into its handshakes.
    pub(super) async fn handshake_config(&self) -> HandshakeConfig {
        let (who, exports) = (self.id().clone(), crate::rpc::export::fingerprints().to_vec());
        let listening = self.endpoints().await;
        let incarnation = self.identity.incarnation();
        let features = if self.table().is_some() { REGISTRAR } else { 0 };
        HandshakeConfig {
            own: Introduction { who, incarnation, features, listening, exports },
            key: self.identity.tree_key().clone(),
            deadline: self.config.handshake,
            max_frame: self.config.max_frame,
            lost: self.peers.fenced(),
        }
    }

    /// Makes a channel of a connection after its handshake, and the loop that drives it.
    pub(super) fn open_channel(
        self: &Arc<Self>,
        transport: Arc<dyn MsgTransport>,
        role: Role,
        accepted: Accepted,
        lasts: bool,
        relation: Option<Relation>,
    ) -> (Channel, impl Future<Output = ()> + Send + use<>) {
        let Accepted { member, early, began } = accepted;
        let Introduction { who, incarnation, listening, exports, .. } = member;
        let is_other_program = exports != crate::rpc::export::fingerprints();
        let terms = Terms {
            role,
            here: self.id().clone(),
            peer: who.clone(),
            cancel_ack: self.config.cancel_ack,
            max_tasks: self.config.max_tasks,
            // One message of any size that is allowed may always wait.
            max_backlog: self.config.max_backlog.saturating_add(self.config.max_frame),
            silence: self.config.lease,
            end_request: self.lifecycle.end_request().clone(),
            stream_buffer: self.config.stream_buffer,
            lasts,
            began,
            detector: relation.map(|relation| (relation, self.detector_config())),
        };
        let channel = Channel::new(transport, terms);
        let number = self.peers.insert(channel.clone());
        // A peer of a registrar is registered as long as its connection lasts, or until it says goodbye.
        let table = self.table().filter(|_| role == Role::Listener);
        let entry = table.and_then(|table| table.enter(Registered { who, incarnation, listening }));
        let process = self.process_to_watch(&channel);
        let (runtime, driven) = (self.clone(), channel.clone());
        let service = Arc::new(Service::new(self.clone(), entry));
        let drive = async move {
            let drain = Drain { stalled: runtime.config.drain, total: runtime.config.peers };
            let serve = driver::run(driven.clone(), service, early, drain);
            unless_process_ends(&driven, serve, process).await;
            runtime.note_end(&driven, incarnation);
            runtime.peers.remove(number);
        };
        if is_other_program && let Some(count) = OTHER_PROGRAM.count() {
            info!(target: "pleach::runtime", peer = %channel.peer(), incarnation, count, "the peer runs another program: its functions differ");
        }
        (channel, drive)
    }

    /// Tells a peer that the limit is reached. `_place` bounds how many are told at once.
    async fn turn_away(self: Arc<Self>, transport: Arc<dyn MsgTransport>, _place: Slot) {
        let (remote, limit) = (&transport.ends().remote, self.config.max_connections);
        let why = format!("it has {limit} connections, as many as its `max_connections` allows");
        let told = handshake::turn_away(&*transport, why).await;
        transport.abort();
        if let Some(count) = TURNED_AWAY.count() {
            let unheard = told.err().map(tracing::field::display);
            warn!(target: "pleach::transport", %remote, limit, count, unheard, "too many connections (`max_connections`): turned one away");
        }
    }

    /// Shakes hands and drives the connection to its end. `slot` is held while the peer is a stranger.
    async fn serve_connection(
        self: Arc<Self>,
        transport: Arc<dyn MsgTransport>,
        admission: Arc<Admission>,
        slot: Slot,
    ) {
        let remote = transport.ends().remote.clone();
        let config = self.handshake_config().await;
        // Not proved yet, but only the child itself knows its id before it has connected.
        let heard = |claimed: &ActorId| {
            if self.peers.is_pending(claimed.uuid()) {
                slot.keep();
            }
        };
        let shaken = tokio::select! {
            biased;
            shaken = handshake::accept(&*transport, &config, &heard) => shaken,
            () = slot.evicted() => Err(TransportError::Handshake("evicted in favour of a newer connection".into())),
            // A silent stranger must not delay this actor's end.
            () = self.tasks.until_listeners_end() => Err(TransportClosed::by_us(EndReason::ShuttingDown).into()),
        };
        drop(slot);
        match shaken {
            Ok(Some(accepted)) => {
                let uuid = accepted.member.who.uuid();
                let waiting = self.peers.take_pending(uuid);
                let lasts = accepted.member.features & LASTS != 0;
                let relation =
                    self.relation(&accepted.member.who, waiting.as_ref().is_some_and(|pending| pending.heartbeats));
                let (channel, drive) = self.open_channel(transport, Role::Listener, accepted, lasts, relation);
                if let Some(waiting) = waiting
                    && waiting.connected.send(channel.clone()).is_err()
                {
                    channel.request_close(EndReason::Unused); // the waiter has left, and will kill it
                }
                if let Some(count) = CONNECTED.count() {
                    debug!(target: "pleach::transport", peer = %channel.peer(), count, "connected");
                }
                drive.await;
            }
            Ok(None) => admission.note_probe(&remote),
            Err(TransportError::Closed(end)) => {
                transport.abort();
                admission.note_silence(&remote, &end);
            }
            Err(error) => {
                transport.abort();
                admission.note_refusal(&remote, &error);
            }
        }
    }
}

pub(super) async fn accept_loop(runtime: Arc<Runtime>, kind: TransportType, mut listener: Box<dyn Listener>) {
    let admission = Admission::new(&runtime.config);
    let address = listener.local_address().clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = runtime.tasks.until_listeners_end() => break,
            accepted = accept_one(&runtime, &admission, &mut *listener) => accepted,
        };
        match accepted {
            Ok((link, slot)) => {
                runtime.refused.note_accepted();
                let full = runtime.peers.count() >= runtime.config.max_connections;
                let (transport, peer) = (kind.wrap(link), runtime.clone());
                match full {
                    true => runtime.keep(peer.turn_away(transport, slot)),
                    false => runtime.keep(peer.serve_connection(transport, admission.clone(), slot)),
                }
            }
            Err(error) => {
                runtime.refused.note(&error);
                admission.note_failure(&error);
            }
        }
    }
    admission.close();
    listener.close().await;
    debug!(target: "pleach::transport", %address, "stopped listening");
}

static OTHER_PROGRAM: Limit = Limit::new();
static TURNED_AWAY: Limit = Limit::new();
static CONNECTED: Limit = Limit::new();

/// Accepts the next connection that the admission admits.
async fn accept_one(
    runtime: &Runtime,
    admission: &Arc<Admission>,
    listener: &mut dyn Listener,
) -> Result<(Link, Slot), TransportError> {
    loop {
        let link = listener.accept().await?;
        // Those that come too fast are closed by dropping them, without reading or writing.
        if admission.admits(&link.ends, runtime.peers.count_pending()) {
            let slot = admission.slot(&link.ends).await;
            return Ok((link, slot));
        }
        drop(link);
        // In a flood the next one is there already; members' messages have their turn first.
        tokio::task::yield_now().await;
    }
}
