//! How this actor finds others, and is found: its registry, and its own entry there.

use std::sync::Arc;

use super::Runtime;
use crate::actor::ActorId;
use crate::error::{Error, Result};
use crate::proto::handshake::Endpoint;
use crate::registry::names::Names;
use crate::registry::table::Table;
use crate::registry::{Registered, RegistrarAddr};

impl Runtime {
    /// Returns how this actor finds others; nothing while it is still starting.
    pub(crate) fn names(&self) -> Option<&Names> {
        self.names.get()
    }

    /// Sets how this actor finds others.
    ///
    /// # Errors
    /// When that is settled already.
    pub(crate) fn set_names(&self, names: Names) -> Result<&Names> {
        let mut fresh = Some(names);
        let names = self.names.get_or_init(|| fresh.take().expect("it is asked for once, at most"));
        match fresh {
            None => Ok(names),
            Some(_) => Err(Error::Usage(format!("{} has joined a registry already", self.id()))),
        }
    }

    /// Returns this actor as others find it at these places.
    fn registered_at(&self, listening: Vec<Endpoint>) -> Registered {
        Registered { who: self.id().clone(), incarnation: self.identity.incarnation(), listening }
    }

    /// Returns the table of names, if this actor is the registrar.
    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        self.names()?.table()
    }

    /// Returns the registrars that this actor passes on to its children.
    pub(crate) async fn registrars(&self) -> Vec<RegistrarAddr> {
        match self.names().and_then(Names::registrars) {
            Some(registrars) => registrars.to_vec(),
            None => vec![RegistrarAddr { who: Some(self.id().clone()), at: self.endpoints().await }],
        }
    }

    /// Returns this actor as others are to find it.
    pub(crate) async fn registered(&self) -> Registered {
        self.registered_at(self.endpoints().await)
    }

    /// Notes in the table of a registrar where it listens itself.
    pub(crate) fn update_entry(&self, listening: Vec<Endpoint>) {
        if let Some(table) = self.table() {
            table.update(&self.registered_at(listening));
        }
    }

    /// Removes the entry of an actor whose process this one has seen end: it can't come back, in any incarnation. The
    /// registrar may not notice that from where it runs.
    pub(crate) async fn take_out_dead(&self, who: &ActorId) {
        let Some(names) = self.names().filter(|_| !self.lifecycle.end_requested()) else { return };
        let dead = Registered { who: who.clone(), incarnation: u64::MAX, listening: Vec::new() };
        let (registry, bound) = (names.registry(), self.config().deregister);
        let removed = tokio::time::timeout(bound, registry.remove(&dead)).await;
        match removed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(target: "pleach::runtime", actor = %who, %error, "dead, and still registered"),
            Err(_late) => debug!(target: "pleach::runtime", actor = %who, ?bound, "dead, and not removed in time"),
        }
    }

    /// Takes this actor's own entry out, and waits for that.
    pub(crate) async fn deregister(&self) {
        if let Some(names) = self.names()
            && let Err(error) = names.leave().await
        {
            debug!(target: "pleach::runtime", actor = %self.id(), %error, "not deregistered");
        }
    }
}

#[cfg(test)]
mod tests {
    use pleach_wire::{ByteStr, Key, Settings};

    use super::*;
    use crate::channel::handshake;
    use crate::config::Config;
    use crate::proto::membership::TreeKey;
    use crate::proto::transmit::Transmit;

    /// An actor that leaves waits for the end of its connection: it must not be found any more then.
    #[tokio::test]
    async fn a_peer_that_says_goodbye_is_out_of_the_table_before_its_connection_ends() {
        let config = Config { transport: "mem".into(), ..Config::default() };
        let key = TreeKey::new([1; 32]);
        let registrar = Runtime::root(config, crate::transports::registry(false), key).unwrap();
        let table = registrar.set_names(Names::of_registrar()).unwrap().table().unwrap().clone();
        let mem = Key::new("msgpack", "mem");
        let at = registrar.listen(&mem).await.unwrap().remove(0);
        let kind = registrar.registry().find(&mem).unwrap();
        let transport = kind.dial(&at.address.parse().unwrap(), &Settings::default()).await.unwrap();
        let mut config = registrar.handshake_config().await;
        config.own.who = ActorId::new("leaver");
        handshake::dial(&*transport, &config).await.unwrap();
        tokio::time::timeout(pleach_patience::patience(), table.wait_for("leaver")).await.expect("it is registered");

        // Its own direction of the connection stays open, so the registrar does not close the other one.
        let goodbye = Transmit::goodbye(ByteStr::from_static("goodbye"));
        transport.queue(goodbye.lane, &goodbye.msg).unwrap();
        transport.flush_now();
        let out = async {
            while !table.find("leaver").is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(pleach_patience::patience(), out).await.expect("it is out");
        assert_eq!(registrar.peers.all().len(), 1, "the connection is still there");
        drop(transport);
        registrar.shut_down().await;
    }
}
