//! The registry, and a codec from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pleach_wire::codec::{CustomFormat, FrameBuf};
use pleach_wire::transport::PeerInfo;
use pleach_wire::{
    Address, Cid, Codec, Format, Json, Key, Link, Listener, Msg, MsgTransportExt, Msgpack, Outgoing, Payload, Protocol,
    Reach, Registry, Settings, TransportError, TransportType,
};

/// A codec from outside: a cid and a value in JSON; it knows one kind of message.
#[derive(Clone, Copy, Debug)]
struct Terse;

impl Codec for Terse {
    fn name(&self) -> &'static str {
        "terse"
    }

    fn format(&self) -> Format {
        Format::Custom(&Terse)
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        let Msg::Return { cid, value } = msg else {
            return Err(TransportError::Encode { codec: "terse", why: format!("no word for {}", msg.kind()) });
        };
        frame.out.put_u64(cid.0);
        value.encode(self.format(), frame.out)
    }

    fn decode(&self, mut body: Bytes) -> Result<Msg, TransportError> {
        let cid = body.try_get_u64().map_err(|why| TransportError::Decode { codec: "terse", why: why.to_string() })?;
        Ok(Msg::Return { cid: Cid(cid), value: Payload::new(self.format(), body, Bytes::new()) })
    }
}

impl CustomFormat for Terse {
    fn name(&self) -> &'static str {
        "terse"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String> {
        serde_json::to_writer(out.writer(), value).map_err(|error| error.to_string())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(|error| error.to_string())
    }
}

/// A protocol that reaches only itself: written bytes come back.
#[derive(Debug)]
struct Echo;

#[async_trait::async_trait]
impl Protocol for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn reach(&self) -> Reach {
        Reach::Process
    }

    fn any_address(&self, _: &Settings) -> Address {
        Address::Other { protocol: "echo".into(), rest: "wall".into() }
    }

    async fn dial(&self, address: &Address, _: &Settings) -> Result<Link, TransportError> {
        if *address == "echo://silence".parse().unwrap() {
            std::future::pending::<()>().await;
        }
        let (writer, reader) = tokio::io::duplex(1024);
        let ends = PeerInfo { local: address.clone(), remote: address.clone(), credentials: None, binding: None };
        Ok(Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
    }

    async fn listen(&self, address: &Address, _: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        Err(TransportError::listen(address, std::io::ErrorKind::Unsupported.into()))
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(TransportType::framed(Msgpack, Arc::new(Echo))).unwrap();
    registry.add(TransportType::framed(Json, Arc::new(Echo))).unwrap();
    registry.add(TransportType::framed(Terse, Arc::new(Echo))).unwrap();
    registry
}

#[test]
fn a_key_is_taken_once() {
    let mut registry = registry();
    let refused = registry.add(TransportType::framed(Json, Arc::new(Echo))).unwrap_err();
    assert_eq!(refused.0, Key::new("json", "echo"));
    assert_eq!(
        refused.to_string(),
        "there is a transport for json+echo already; give yours another codec or protocol name"
    );
    assert_eq!(registry.keys().count(), 3);
}

// S42
#[test]
fn an_unknown_key_lists_what_there_is() {
    let error = registry().find(&Key::new("msgpack", "pigeon")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`msgpack` over `pigeon`"), "{text}");
    assert!(text.ends_with("json+echo, msgpack+echo, terse+echo"), "{text}");
}

// S48
#[tokio::test]
async fn a_codec_from_outside_carries_values() {
    let registry = registry();
    let terse = registry.find(&Key::new("terse", "echo")).unwrap();
    let settings = Settings::default();
    let transport = terse.dial(&terse.protocol().any_address(&settings), &settings).await.unwrap();
    assert_eq!(transport.format().name(), "terse");
    let value = vec![("leaf".to_owned(), 3u8)];
    transport.send(&[Msg::Return { cid: Cid(4), value: &value }]).await.unwrap();
    let mut batch = Vec::new();
    transport.recv(&mut batch).await.unwrap();
    let [Msg::Return { cid: Cid(4), value: read }] = &batch[..] else { panic!("{batch:?}") };
    assert_eq!(read.decode::<Vec<(String, u8)>>().unwrap(), value);
    assert!(matches!(read.decode::<u64>(), Err(TransportError::Value { codec: "terse", .. })));
    let refused = transport.send(&[Msg::Cancel { cid: Cid(4) }]).await;
    assert!(matches!(refused, Err(TransportError::Encode { codec: "terse", .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_dial_ends_with_the_dial_timeout() {
    let registry = registry();
    let transport = registry.find(&Key::new("json", "echo")).unwrap();
    let refused = transport.dial(&"echo://silence".parse().unwrap(), &Settings::default()).await.err();
    match refused {
        Some(TransportError::Dial { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("expected Dial and got {other:?}"),
    }
}
