//! A transport from outside: `tokio::io::duplex` under a name of its own carries a tree of actors.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::transport::{Link, Listener, PeerInfo, Protocol, Reach, Settings};
use pleach::wire::{Address, Msgpack, TransportError, TransportType};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::support::{in_root, over, test_fn};

#[derive(Debug)]
pub(crate) struct Toy;

struct ToyListener(Address, Receiver<DuplexStream>);

static BOUND: LazyLock<Mutex<HashMap<Address, Sender<DuplexStream>>>> = LazyLock::new(Mutex::default);

fn link(local: &Address, remote: &Address, stream: DuplexStream) -> Link {
    let (reader, writer) = tokio::io::split(stream);
    let ends = PeerInfo { local: local.clone(), remote: remote.clone(), credentials: None, binding: None };
    Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends }
}

/// It has asked for them, whatever its name.
fn has_certificates(settings: &Settings) -> Result<(), TransportError> {
    let build_has_them = cfg!(any(feature = "tls", feature = "quic"));
    if settings.tls.is_none() && build_has_them {
        Err(TransportError::Tls("no certificates came".into()))
    } else {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Protocol for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn reach(&self) -> Reach {
        Reach::Process
    }

    fn needs_tls(&self) -> bool {
        true
    }

    fn any_address(&self, _: &Settings) -> Address {
        format!("toy://{}", uuid::Uuid::new_v4()).parse().expect("a uuid is a valid name")
    }

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        has_certificates(settings)?;
        let bound = BOUND.lock().unwrap().get(address).cloned();
        let refused = || TransportError::dial(address, std::io::ErrorKind::ConnectionRefused.into());
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        bound.ok_or_else(refused)?.send(theirs).await.map_err(|_| refused())?;
        Ok(link(address, address, ours))
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        has_certificates(settings)?;
        let (sender, receiver) = channel(16);
        BOUND.lock().unwrap().insert(address.clone(), sender);
        Ok(Box::new(ToyListener(address.clone(), receiver)))
    }
}

#[async_trait::async_trait]
impl Listener for ToyListener {
    fn local_address(&self) -> &Address {
        &self.0
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let stream = self.1.recv().await.expect("the table holds a sender");
        Ok(link(&self.0, &self.0, stream))
    }

    async fn close(self: Box<Self>) {
        BOUND.lock().unwrap().remove(&self.0);
    }
}

/// Admits no peer: its listener panics, and dialers wait for ever.
#[derive(Debug)]
struct Brittle;

struct BrittleListener(Address);

#[async_trait::async_trait]
impl Protocol for Brittle {
    fn name(&self) -> &'static str {
        "brittle"
    }

    fn reach(&self) -> Reach {
        Reach::Process
    }

    fn any_address(&self, _: &Settings) -> Address {
        Address::Mem("brittle".into())
    }

    async fn dial(&self, _: &Address, _: &Settings) -> Result<Link, TransportError> {
        std::future::pending().await
    }

    async fn listen(&self, address: &Address, _: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(BrittleListener(address.clone())))
    }
}

#[async_trait::async_trait]
impl Listener for BrittleListener {
    fn local_address(&self) -> &Address {
        &self.0
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        panic!("the listener broke")
    }

    async fn close(self: Box<Self>) {}
}

pub(crate) fn register() {
    pleach::transports::register(TransportType::framed(Msgpack, Arc::new(Toy))).unwrap();
    pleach::transports::register(TransportType::framed(Msgpack, Arc::new(Brittle))).unwrap();
}

#[pleach::rpc]
async fn sum_below(levels: u32) -> Result<u32> {
    if levels == 0 {
        return Ok(1);
    }
    pleach::open_nursery(async |n| {
        let left = n.run_in_actor(sum_below(levels - 1)).await?;
        let right = n.run_in_actor(sum_below(levels - 1)).await?;
        Ok(left.result().await? + right.result().await?)
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(a_transport_from_outside_carries_a_tree), test_fn(its_name_is_taken_now)]
}

async fn a_transport_from_outside_carries_a_tree() {
    in_root(over("toy"), async |_| {
        assert_eq!(sum_below(3).await?, 8);
        Ok(())
    })
    .await
    .unwrap();
}

async fn its_name_is_taken_now() {
    let again = pleach::transports::register(TransportType::framed(Msgpack, Arc::new(Toy)));
    assert!(again.unwrap_err().to_string().contains("msgpack+toy"));
    let known = pleach::transports::known();
    assert!(pleach::transports::register_codec(Msgpack).unwrap_err().to_string().contains("msgpack+mem"));
    assert_eq!(pleach::transports::known(), known);
}
