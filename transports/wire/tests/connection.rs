//! Connections that carry a user's own types, over byte links in memory. Those over each transport are in the suite of
//! conformance.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::StreamExt;
use pleach_patience::patience;
use pleach_wire::framed::Framed;
use pleach_wire::transport::{Lane, PeerInfo};
use pleach_wire::{
    Address, Blob, Codec, Connection, ConnectionReceiver, ConnectionSender, Json, Link, Msg, MsgTransport,
    MsgTransportExt, Msgpack, Settings, TransportError,
};
use serde::{Deserialize, Serialize};
use tokio::io::{DuplexStream, duplex};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Buy { what: String, count: u32 },
    Picture(#[serde(with = "pleach_wire::blob")] Bytes),
    Quit,
}

fn framed<C: Codec>(codec: C, stream: DuplexStream) -> Arc<dyn MsgTransport> {
    let (reader, writer) = tokio::io::split(stream);
    let address = Address::Mem("connection".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    Arc::new(Framed::new(codec, Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends }))
}

fn transports<C: Codec + Clone>(codec: &C, capacity: usize) -> [Arc<dyn MsgTransport>; 2] {
    let (near, far) = duplex(capacity);
    [framed(codec.clone(), near), framed(codec.clone(), far)]
}

fn pair<S, R>(capacity: usize) -> (Connection<S, R>, Connection<R, S>) {
    let [near, far] = transports(&Msgpack, capacity);
    (Connection::new(near), Connection::new(far))
}

fn buy(count: u32) -> Order {
    Order::Buy { what: "pears".into(), count }
}

#[tokio::test]
async fn values_of_each_kind_arrive_in_order_whatever_their_size() {
    let picture = Order::Picture(vec![7; 1 << 20].into());
    let orders = [buy(1), picture, buy(2), Order::Picture(Bytes::new()), buy(3), Order::Quit];
    let both = async |near: Connection<Order, u64>, mut far: Connection<u64, Order>| {
        let send = async {
            for order in &orders {
                near.feed(order).await.unwrap();
            }
            near.close().await.unwrap();
        };
        let receive = async {
            let mut received = Vec::new();
            while let Some(order) = far.recv().await.unwrap() {
                received.push(order);
            }
            assert!(received == orders);
        };
        tokio::join!(send, receive);
    };
    let (near, far) = pair(64 << 10);
    both(near, far).await;
    let [near, far] = transports(&Json, 64 << 10);
    both(Connection::new(near), Connection::new(far)).await;
}

#[tokio::test]
async fn bytes_are_queued_without_a_copy() {
    let (near, mut far) = pair::<Blob, Blob>(64 << 10);
    let sent = Blob::from(vec![7; 1 << 20]);
    near.feed(&sent).await.unwrap();
    assert!(!sent.is_unique(), "the queue holds the very bytes");
    let (flushed, received) = tokio::join!(near.flush(), far.recv());
    flushed.unwrap();
    assert_eq!(received.unwrap(), Some(sent));
}

#[tokio::test]
async fn a_feed_goes_out_while_its_sender_waits_for_the_answer() {
    let (mut near, mut far) = pair::<u32, u64>(64 << 10);
    near.feed(&7).await.unwrap();
    let serve = async {
        let number = far.recv().await.unwrap().unwrap();
        far.send(&(u64::from(number) + 1)).await.unwrap();
    };
    let both = async { tokio::join!(near.recv(), serve) };
    let (answer, ()) = tokio::time::timeout(patience(), both).await.expect("the question was never written");
    assert_eq!(answer.unwrap(), Some(8));
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_that_names_it_and_ends_nothing() {
    let [near, far] = transports(&Msgpack, 64 << 10);
    let near: Connection<(u32, &str)> = Connection::new(near);
    let mut far: Connection<(u32, u32)> = Connection::new(far);
    near.send(&(1, "two")).await.unwrap();
    let error = far.recv().await.unwrap_err();
    assert!(matches!(&error, TransportError::Value { .. }), "{error}");
    assert!(error.to_string().contains("(u32, u32)[1]"), "{error}");
    far.send(&(3, 4)).await.unwrap();
    let [near, mut far] = [near.transport().clone(), far.transport().clone()].map(Connection::<(u32, u32)>::new);
    near.send(&(5, 6)).await.unwrap();
    assert_eq!(far.recv().await.unwrap(), Some((5, 6)));
}

#[tokio::test]
async fn an_actor_at_the_other_end_is_an_error_and_ends_the_connection() {
    let [near, far] = transports(&Msgpack, 64 << 10);
    near.queue(Lane::CONTROL, &Msg::Value { value: &1u32 }).unwrap();
    near.send(&[Msg::Hello { step: &1u8 }, Msg::Value { value: &2u32 }]).await.unwrap();
    let mut far: Connection<u32> = Connection::new(far);
    assert_eq!(far.recv().await.unwrap(), Some(1));
    let error = far.recv().await.unwrap_err();
    assert!(matches!(&error, TransportError::NotAValue { kind } if kind == "hello"), "{error}");
    assert!(!far.transport().connected() && far.send(&3).await.is_err());
    assert_eq!(far.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_ends_with_one_fault() {
    let (near, far) = duplex(64 << 10);
    let far: Connection<u32> = Connection::new(framed(Msgpack, far));
    let mut near = near;
    // A frame of 9 bytes, of which 5 come.
    tokio::io::AsyncWriteExt::write_all(&mut near, &[9, 0, 0, 0, 0x92]).await.unwrap();
    drop(near);
    let items: Vec<_> = far.collect().await;
    assert!(matches!(&items[..], [Err(TransportError::Truncated { .. })]), "{items:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_its_sender_wait() {
    let (near, mut far) = pair::<Vec<u8>, ()>(1 << 10);
    let value = vec![1; 1000];
    let mut sent = 0;
    let waits = |sending: Pin<&mut dyn Future<Output = _>>| sending.poll(&mut Context::from_waker(Waker::noop()));
    while let Poll::Ready(fed) = waits(pin!(near.feed(&value))) {
        let () = fed.unwrap();
        sent += 1;
        assert!(sent < 10_000, "10 MB were taken for a peer that reads nothing");
    }
    let receive = async {
        for _ in 0..=sent {
            assert_eq!(far.recv().await.unwrap().unwrap().len(), 1000);
        }
    };
    let (sent_last, ()) = tokio::join!(near.send(&value), receive);
    sent_last.unwrap();
}

#[tokio::test]
async fn halves_are_used_in_two_tasks_and_put_together_again() {
    let (near, far) = pair::<u64, u64>(1 << 10);
    let count = 10_000;
    let send = async |sender: ConnectionSender<u64>| {
        for n in 0..count {
            sender.send(&n).await.unwrap();
        }
        sender
    };
    let receive = async |mut receiver: ConnectionReceiver<u64>| {
        for n in 0..count {
            assert_eq!(receiver.recv().await.unwrap(), Some(n));
        }
        receiver
    };
    // Both flood each other: without two tasks, both would wait for room.
    let ((near_out, near_in), (far_out, far_in)) = (near.split(), far.split());
    let (near_out, near_in, far_out, far_in) =
        tokio::join!(send(near_out), receive(near_in), send(far_out), receive(far_in));
    let (near_out, far_in) = Connection::unsplit(near_out, far_in).unwrap_err();
    let near = Connection::unsplit(near_out, near_in).unwrap();
    let mut far = Connection::unsplit(far_out, far_in).unwrap();
    near.close().await.unwrap();
    assert_eq!(far.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_on_both_sides() {
    let (near, mut far) = pair::<Vec<u8>, ()>(64 << 10);
    near.set_max_frame(100);
    let refused = near.send(&vec![1; 200]).await.unwrap_err();
    assert!(matches!(refused, TransportError::FrameTooLarge { limit: 100, .. }), "{refused}");
    near.set_max_frame(1000);
    far.set_max_frame(100);
    near.send(&vec![1; 200]).await.unwrap();
    let refused = far.recv().await.unwrap_err();
    assert!(matches!(refused, TransportError::FrameTooLarge { limit: 100, .. }), "{refused}");
}

/// Compiles only if all futures can be spawned.
#[test]
fn all_futures_are_send() {
    fn send<T: Send>(_: T) {}
    let (mut near, far) = pair::<Order, Order>(1);
    send(near.send(&Order::Quit));
    send(near.feed(&Order::Quit));
    send(near.flush());
    send(near.close());
    send(near.recv());
    let (sender, mut receiver) = far.split();
    send(sender.send(&Order::Quit));
    send(sender.close());
    send(receiver.recv());
    send((sender, receiver));
    let (registry, settings) = (pleach_wire::Registry::new(), Settings::default());
    let address = Address::Mem("nowhere".into());
    send(registry.connect::<Order, Order>("msgpack", &address, &settings));
    let bound = async {
        let mut listener = registry.listen::<Order, Order>("msgpack", &address, &settings).await?;
        listener.accept().await?;
        listener.close().await;
        Ok::<_, TransportError>(())
    };
    send(bound);
    fn of_any<T: MsgTransport + ?Sized>(transport: &T) {
        send(transport.send(&[Msg::Hello { step: &std::cell::Cell::new(1) }]));
        send(transport.flush());
        send(transport.recv(&mut Vec::new()));
        send(transport.drain(&mut Vec::new()));
        send(transport.close());
    }
    of_any(&**near.transport());
}
