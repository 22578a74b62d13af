//! Failure policy: which peers exchange heartbeats, and the fencing of those declared dead.
//!
//! An actor that was declared dead can't rejoin as the same incarnation ([`crate::proto::fencing`]); and an actor that may
//! have been declared dead itself goes on as a newer incarnation.

use std::time::Duration;

use super::Runtime;
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::proto::failure_detector::{DetectorConfig, Relation};

impl Runtime {
    /// A peer's relation to this actor, if they exchange heartbeats: a child started as if on another host, and any
    /// actor at another [place](ActorId::is_at_place_of), whatever its host name.
    pub(super) fn relation(&self, peer: &ActorId, child_has_heartbeats: bool) -> Option<Relation> {
        let origin = self.identity.origin().filter(|origin| origin.parent == *peer);
        let is_elsewhere = !peer.is_at_place_of(self.id());
        match origin {
            Some(origin) => (origin.heartbeats || is_elsewhere).then_some(Relation::Parent),
            None if child_has_heartbeats => Some(Relation::Child),
            None => is_elsewhere.then_some(Relation::Other),
        }
    }

    pub(super) fn detector_config(&self) -> DetectorConfig {
        let config = &self.config;
        DetectorConfig {
            heartbeat: config.heartbeat,
            lease: config.lease,
            suspect_after: config.suspect_after,
            dead_after: config.dead_after,
        }
    }

    /// Draws the conclusions from the end of a connection with a peer of this incarnation.
    pub(super) fn note_end(&self, channel: &Channel, incarnation: u64) {
        if channel.fell_silent() {
            self.peers.fence(channel.peer().uuid(), incarnation);
        }
        // The peer may have given this actor up, and may not have been able to say so.
        if channel.is_watched() && !channel.ended_in_order() {
            self.identity.renew();
        }
    }
}

/// How long the network itself may leave a peer on another host without an answer. The heartbeats find out much sooner;
/// they wait for an actor that stands still under the debugger, which the network's own timers can't be told.
pub(super) const NETWORK_SILENCE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pleach_wire::{Key, Settings, TransportError};

    use super::super::dial::DialOptions;
    use super::*;
    use crate::channel::handshake::{self, Accepted, HandshakeConfig};
    use crate::config::Config;
    use crate::error::Error;
    use crate::proto::membership::TreeKey;

    /// The actor of a tree, with patience for half a second.
    fn actor(name: &str) -> Arc<Runtime> {
        let heartbeat = Duration::from_millis(50);
        let (transport, root_name) = ("mem".into(), name.into());
        let config = Config { transport, root_name, heartbeat, lease: heartbeat * 10, ..Config::default() };
        Runtime::root(config, crate::transports::registry(false), TreeKey::new([1; 32])).unwrap()
    }

    fn mem() -> Key {
        Key::new("msgpack", "mem")
    }

    /// The identity of an actor on another host, whose messages a test writes.
    async fn far_away(of: &Arc<Runtime>, incarnation: u64) -> HandshakeConfig {
        let mut config = of.handshake_config().await;
        config.own.who = config.own.who.on("far away");
        config.own.incarnation = incarnation;
        config
    }

    /// Ends the actors of a test.
    async fn over(actors: &[&Arc<Runtime>]) {
        for actor in actors {
            actor.shut_down().await;
        }
    }

    #[tokio::test]
    async fn a_peer_on_another_host_of_the_same_name_is_watched() {
        let (here, there) = (actor("here"), actor("there"));
        assert_eq!(here.relation(there.id(), false), None);
        let namesake = there.id().clone().at_place(1);
        assert_eq!(namesake.host(), here.id().host());
        assert_eq!(here.relation(&namesake, false), Some(Relation::Other));
        // And one of another name is not, if it is on this one: names of hosts may change.
        assert_eq!(here.relation(&there.id().clone().renamed("elsewhere"), false), None);
        over(&[&here, &there]).await;
    }

    #[tokio::test]
    async fn who_was_given_up_comes_back_only_as_a_newer_one() {
        let (here, there) = (actor("here"), actor("there"));
        let at = here.listen(&mem()).await.unwrap().remove(0);
        let (kind, settings) = (here.registry.find(&mem()).unwrap(), Settings::default());
        let first = here.identity.incarnation();
        let dial = async |incarnation: u64| {
            let transport = kind.dial(&at.address.parse().unwrap(), &settings).await.unwrap();
            let shaken = handshake::dial(&*transport, &far_away(&there, incarnation).await).await;
            shaken.map(|Accepted { member, .. }| (transport, member))
        };
        let (_silent, member) = dial(7).await.unwrap();
        assert_eq!(member.incarnation, first);
        let channel = here.peers.find(|_| true).unwrap();
        channel.ended().await;
        let Error::Disconnected { end: TransportError::Silent { .. }, .. } = channel.gone() else {
            panic!("{:?}", channel.gone())
        };
        let refused = dial(7).await.err().unwrap().to_string();
        assert!(refused.contains("was declared dead") && refused.contains("a higher one"), "{refused}");
        let (_silent, member) = dial(8).await.unwrap();
        assert_eq!(member.incarnation, first + 1, "it may have been declared dead itself");
        over(&[&here, &there]).await;
    }

    #[tokio::test]
    async fn who_lost_a_peer_to_silence_comes_back_to_it_as_a_newer_one() {
        let (here, there) = (actor("here"), actor("there"));
        let (kind, settings) = (here.registry.find(&mem()).unwrap(), Settings::default());
        let mut listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
        let config = far_away(&there, 7).await;
        let address = listener.local_address().clone();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (transport, accepted) = tokio::join!(kind.dial(&address, &settings), listener.accept());
            let transport = transport.unwrap();
            let options = DialOptions::to(&config.own.who);
            let introduced = here.introduce(&options, transport, &address);
            let (dialled, accepted) = tokio::join!(introduced, async {
                let transport = kind.wrap(accepted.unwrap());
                let accepted = handshake::accept(&*transport, &config, &handshake::Open).await.unwrap().unwrap();
                (transport, accepted.member)
            });
            seen.push(accepted.1.incarnation);
            dialled.unwrap().ended().await;
        }
        // A peer that it dials itself may rejoin, although it was declared dead.
        assert_eq!(seen[1], seen[0] + 1);
        over(&[&here, &there]).await;
    }
}
