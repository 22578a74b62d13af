//! Connections: accepting them, and the common part of accepted and dialled ones.
//!
//! Each accepted connection gets a task that shakes hands and then drives it to its end.
//!
//! # Invariants
//! 1. Strangers are talked to as the [`admission`](super::admission) of their listener allows.
//! 2. A peer is entered among the peers only after it has proved that it belongs to the tree.

use std::sync::{Arc, Mutex};

use pleach_wire::{EndReason, Link, Listener, MsgTransport, TransportClosed, TransportError, TransportType};

use super::Runtime;
use super::admission::{Admission, Slot};
use super::dispatch::Service;
use super::failure_policy::NETWORK_SILENCE;
use super::peers::{Announced, Permit};
use super::processes::unless_process_ends;
use crate::actor::ActorId;
use crate::channel::drain::Drain;
use crate::channel::driver;
#[cfg(feature = "testing")]
use crate::channel::faults::Delay;
use crate::channel::handshake::{self, Accepted, Gate, HandshakeConfig};
use crate::channel::{Channel, Terms};
use crate::log::Limit;
use crate::proto::failure_detector::Relation;
use crate::proto::handshake::{Introduction, LASTS, REGISTRAR};
use crate::proto::session::Role;
use crate::registry::Registered;
use crate::sync::lock;

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
        permit: Option<Permit>,
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
            max_arguments: self.config.max_arguments,
            max_answers: self.config.max_answers,
            // One message of any size that is allowed may always wait.
            max_backlog: self.config.max_backlog.saturating_add(self.config.max_frame),
            silence: NETWORK_SILENCE,
            end_request: self.lifecycle.end_request().clone(),
            stream_window: self.config.stream_window(),
            lasts,
            began,
            detector: relation.map(|relation| (relation, self.detector_config())),
        };
        let channel = Channel::new(transport, terms);
        #[cfg(feature = "testing")]
        if let Some(seed) = self.tasks.tree().next_seed() {
            channel.delay(Delay::of_schedule(seed));
        }
        channel.note_opened(role == Role::Dialer);
        let number = self.peers.insert(channel.clone(), permit);
        // A peer of a registrar is registered as long as its connection lasts, or until it says goodbye.
        let table = self.table().filter(|_| role == Role::Listener);
        let entry = table.and_then(|table| table.enter(Registered { who, incarnation, listening }));
        let process = self.process_to_watch(&channel);
        let (runtime, driven) = (self.clone(), channel.clone());
        let service = Arc::new(Service::new(self.clone(), entry));
        let drive = async move {
            let drain = Drain { stalled: runtime.config.drain, total: runtime.config.peers };
            // Boxed: what waits for it, and what waits for that, would each have room for it.
            let serve = Box::pin(driver::run(driven.clone(), service, early, drain));
            unless_process_ends(&driven, serve, process).await;
            runtime.note_end(&driven, incarnation);
            runtime.peers.remove(number);
            driven.note_closed();
        };
        if is_other_program && let Some(count) = OTHER_PROGRAM.count() {
            info!(target: "pleach::runtime", peer = %channel.peer(), incarnation, count, "the peer runs another program: its functions differ");
        }
        (channel, drive)
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
        let gate = Entrance { runtime: &self, slot: &slot, permit: Mutex::default() };
        let shaken = tokio::select! {
            biased;
            // Boxed: the room for it is not needed as long as the connection.
            shaken = Box::pin(handshake::accept(&*transport, &config, &gate)) => shaken,
            () = slot.evicted() => Err(TransportError::Handshake("evicted in favour of a newer connection".into())),
            // A silent stranger must not delay this actor's end.
            () = self.tasks.until_listeners_end() => Err(TransportClosed::by_us(EndReason::ShuttingDown).into()),
        };
        let permit = lock(&gate.permit).take();
        drop(slot);
        match shaken {
            Ok(Some(accepted)) => self.serve_member(transport, accepted, permit).await,
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

    /// Drives the connection of a member to its end.
    async fn serve_member(
        self: Arc<Self>,
        transport: Arc<dyn MsgTransport>,
        accepted: Accepted,
        permit: Option<Permit>,
    ) {
        let member = &accepted.member;
        let lasts = member.features & LASTS != 0;
        let (waiter, heartbeats, permit) = match self.peers.take_pending(member.who.uuid()) {
            Some(Announced { connected, heartbeats, permit }) => (Some(connected), heartbeats, Some(permit)),
            None => (None, false, permit),
        };
        if permit.is_none() {
            debug!(target: "pleach::transport", peer = %member.who, "a child has connected whose start was given up");
            return transport.abort();
        }
        let relation = self.relation(&member.who, heartbeats);
        let (channel, drive) = self.open_channel(transport, Role::Listener, accepted, lasts, relation, permit);
        if waiter.is_some_and(|waiter| waiter.send(channel.clone()).is_err()) {
            channel.request_close(EndReason::Unused); // the waiter has left, and will kill it
        }
        if let Some(count) = CONNECTED.count() {
            debug!(target: "pleach::transport", peer = %channel.peer(), count, "connected");
        }
        drive.await;
    }
}

/// What this actor says in the handshake with a dialer, and the permit that the dialer got.
struct Entrance<'a> {
    runtime: &'a Runtime,
    /// The dialer's slot, while it is a stranger.
    slot: &'a Slot,
    permit: Mutex<Option<Permit>>,
}

#[async_trait::async_trait]
impl Gate for Entrance<'_> {
    fn hear(&self, claimed: &ActorId) {
        // Not proved yet, but only the child itself knows its id before it has connected.
        if self.runtime.peers.is_pending(claimed.uuid()) {
            self.slot.keep();
        }
    }

    async fn admit(&self, member: &Introduction) -> Result<(), String> {
        let Runtime { peers, config, .. } = self.runtime;
        if peers.is_pending(member.who.uuid()) {
            return Ok(()); // it has a permit already
        }
        // Well within the handshake's deadline, so that the dialer learns why.
        let bound = config.drain.min(config.handshake / 2);
        let permit = peers.permit_within(bound).await.ok_or_else(|| {
            let limit = config.max_connections;
            format!("it has {limit} connections, as many as its `max_connections` allows")
        })?;
        *lock(&self.permit) = Some(permit);
        Ok(())
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
                runtime.keep(runtime.clone().serve_connection(kind.wrap(link), admission.clone(), slot));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use pleach_wire::{Key, MsgTransportExt as _, Settings};
    use tokio::time::timeout;

    use super::*;
    use crate::config::Config;
    use crate::proto::membership::TreeKey;

    /// An actor that may have two connections, and how long one may take to end.
    fn small(drain: Duration) -> Arc<Runtime> {
        let handshake = pleach_patience::patience() * 3;
        let config = Config { transport: "mem".into(), max_connections: 2, drain, handshake, ..Config::default() };
        Runtime::root(config, crate::transports::registry(false), TreeKey::new([1; 32])).unwrap()
    }

    /// Connects a member to it.
    async fn join(actor: &Runtime, name: &str) -> Result<Arc<dyn MsgTransport>, TransportError> {
        let at = actor.endpoints().await.remove(0);
        let kind = actor.registry().find(&Key::new("msgpack", "mem")).unwrap();
        let transport = kind.dial(&at.address.parse().unwrap(), &Settings::default()).await?;
        let mut config = actor.handshake_config().await;
        config.own.who = ActorId::new(name);
        handshake::dial(&*transport, &config).await?;
        Ok(transport)
    }

    // SEC-15
    #[tokio::test]
    async fn members_that_come_at_once_get_no_more_than_max_connections() {
        let actor = small(Duration::from_millis(10));
        actor.listen(&Key::new("msgpack", "mem")).await.unwrap();
        let joined = join_all((0..10).map(|_| join(&actor, "member"))).await;
        let (inside, refused): (Vec<_>, Vec<_>) = joined.into_iter().partition(Result::is_ok);
        assert_eq!((inside.len(), refused.len()), (2, 8));
        for error in refused.into_iter().filter_map(Result::err) {
            assert!(error.to_string().contains("the listener refuses: it has 2 connections"), "{error}");
        }
        drop(inside);
        actor.shut_down().await;
    }

    #[tokio::test]
    async fn a_member_waits_for_a_connection_that_is_ending() {
        let actor = small(pleach_patience::patience());
        actor.listen(&Key::new("msgpack", "mem")).await.unwrap();
        let (first, second) = (join(&actor, "first").await.unwrap(), join(&actor, "second").await.unwrap());
        let (third, closed) = tokio::join!(
            join(&actor, "third"),
            timeout(pleach_patience::patience(), async {
                // Long enough for the third one to be refused, if it is.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                first.close().await
            })
        );
        closed.expect("it closes").unwrap();
        assert!(third.is_ok(), "{:?}", third.err());
        drop((first, second, third));
        actor.shut_down().await;
    }
}
