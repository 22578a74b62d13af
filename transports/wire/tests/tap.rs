//! What a tap sees of a connection: each message that is queued or has come whole, with its size, and no other.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::{Arc, Mutex};

use pleach_wire::framed::Framed;
use pleach_wire::tap::{Tap, set_watched};
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Blob, Cid, Link, Msg, MsgTransport, MsgTransportExt, Msgpack, Outgoing};
use tokio::io::{DuplexStream, duplex};

/// The kinds and sizes of the messages that were seen.
#[derive(Default)]
struct Seen(Mutex<Vec<(&'static str, usize)>>);

impl Tap for Seen {
    fn sent(&self, msg: &Outgoing<'_>, bytes: usize) {
        self.0.lock().unwrap().push((msg.kind(), bytes));
    }

    fn received(&self, msg: &Msg, bytes: usize) {
        self.0.lock().unwrap().push((msg.kind(), bytes));
    }
}

fn tapped(stream: DuplexStream) -> (Framed<Msgpack>, Arc<Seen>) {
    let address = Address::Mem("tap".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    let (reader, writer) = tokio::io::split(stream);
    let framed = Framed::new(Msgpack, Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends });
    let seen = Arc::new(Seen::default());
    framed.set_tap(seen.clone());
    (framed, seen)
}

fn item(value: &Blob) -> Outgoing<'_> {
    Msg::Yield { cid: Cid(1), value }
}

// One test: the flag belongs to the process.
#[tokio::test]
async fn both_sides_see_the_same_messages_while_they_are_watched() {
    let (near, far) = duplex(1 << 20);
    let ((near, sent), (far, received)) = (tapped(near), tapped(far));
    let [small, large, too_large] = [10, 100_000, 300_000].map(|size| Blob::from(vec![0; size]));
    let mut batch = Vec::new();
    near.send(&[item(&small)]).await.unwrap();
    far.recv(&mut batch).await.unwrap();
    set_watched(true);
    near.set_max_frame(200_000);
    assert!(near.send(&[item(&too_large)]).await.is_err());
    near.send(&[item(&small), Msg::Cancel { cid: Cid(1) }, item(&large), Msg::Ping { n: 3 }]).await.unwrap();
    while batch.len() < 5 {
        far.recv(&mut batch).await.unwrap();
    }
    set_watched(false);
    near.send(&[item(&small)]).await.unwrap();
    far.recv(&mut batch).await.unwrap();
    let [mut sent, mut received] = [sent, received].map(|seen| seen.0.lock().unwrap().clone());
    sent.sort_unstable(); // small ones overtake large ones
    received.sort_unstable();
    assert_eq!(sent, received);
    let kinds: Vec<_> = sent.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["cancel", "ping", "yield", "yield"]);
    assert!(sent[3].1 > 100_000 && sent[3].1 < 100_100 && sent[2].1 < 100, "{sent:?}");
}
