//! Handshakes over transports: who gets in, who is cut off, and when.

use bytes::BytesMut;
use pleach_patience::{patience, soon};
use pleach_wire::codec::{Codec, FrameBuf};
use pleach_wire::framed::Framed;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Key, Link, Msgpack, Settings};
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

fn config(name: &str, key: u8) -> HandshakeConfig {
    let own = Introduction {
        who: ActorId::new(name),
        incarnation: 1,
        features: 0,
        listening: Vec::new(),
        exports: Vec::new(),
    };
    let (deadline, max_frame) = (patience(), 1 << 20);
    HandshakeConfig { own, key: TreeKey::new([key; 32]), deadline, max_frame, lost: Arc::default() }
}

/// One whose deadline strikes in a test.
fn hasty(name: &str) -> HandshakeConfig {
    HandshakeConfig { deadline: soon(), ..config(name, 1) }
}

/// Two ends of a connection in memory, the dialer's first.
async fn pair() -> (Arc<dyn MsgTransport>, Arc<dyn MsgTransport>) {
    let registry = crate::transports::registry(false);
    let (kind, settings) = (registry.find(&Key::new("msgpack", "mem")).unwrap(), Settings::default());
    let mut listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
    let address = listener.local_address().clone();
    let (dialled, accepted) = tokio::join!(kind.dial(&address, &settings), listener.accept());
    (dialled.unwrap(), kind.wrap(accepted.unwrap()))
}

// S43
#[tokio::test]
async fn members_of_one_tree_find_each_other() {
    let (ours, theirs) = pair().await;
    let (dialer, listener) = (config("dialer", 1), config("listener", 1));
    let (dialled, accepted) = tokio::join!(dial(&*ours, &dialer), accept(&*theirs, &listener, &Open));
    assert_eq!(dialled.unwrap().member, listener.own);
    assert_eq!(accepted.unwrap().unwrap().member, dialer.own);
}

#[tokio::test]
async fn a_stranger_is_told_and_cut_off() {
    let (ours, theirs) = pair().await;
    let (stranger, listener) = (config("stranger", 9), config("listener", 1));
    let (dialled, accepted) = tokio::join!(dial(&*ours, &stranger), accept(&*theirs, &listener, &Open));
    assert!(dialled.unwrap_err().to_string().contains("does not know this tree's key"));
    assert!(accepted.unwrap_err().to_string().contains("does not know this tree's key"));
    assert!(!theirs.connected());
}

/// A man in the middle with a certificate of the tree, but not its key, relays between two members.
#[cfg(all(feature = "tls", feature = "quic"))]
// SEC-2
#[tokio::test]
async fn a_certificate_is_not_enough_to_stand_between_two_members() {
    let tls = Arc::new(pleach_tls::identity::generate().unwrap());
    let settings = Settings { tls: Some(tls), ..Settings::default() };
    for protocol in ["tls+tcp", "quic"] {
        let registry = crate::transports::registry(false);
        let kind = registry.find(&Key::new("msgpack", protocol)).unwrap();
        let bind =
            || async { kind.protocol().listen(&kind.protocol().any_address(&settings), &settings).await.unwrap() };
        let (mut listening, mut between) = (bind().await, bind().await);
        let (there, relay) = (listening.local_address().clone(), between.local_address().clone());
        let hand_on = async {
            let (onwards, dialled) = tokio::join!(kind.protocol().dial(&there, &settings), between.accept());
            let (mut onwards, mut dialled) = (onwards.unwrap(), dialled.unwrap());
            let there = tokio::io::copy(&mut dialled.reader, &mut onwards.writer);
            let back = tokio::io::copy(&mut onwards.reader, &mut dialled.writer);
            // How the two connections end is the members' affair.
            let _ = tokio::join!(there, back);
            std::future::pending::<()>().await
        };
        let (dialer, listener) = (config("dialer", 1), config("listener", 1));
        let members = async {
            let dials = async { dial(&*kind.dial(&relay, &settings).await.unwrap(), &dialer).await };
            let accepts = async { accept(&*kind.wrap(listening.accept().await.unwrap()), &listener, &Open).await };
            tokio::join!(dials, accepts)
        };
        let (dialled, accepted) = tokio::select! {
            ended = members => ended,
            () = hand_on => unreachable!("it never ends"),
        };
        let refused = accepted.unwrap_err().to_string();
        assert!(refused.contains("a man in the middle with a certificate"), "{protocol}: {refused}");
        dialled.unwrap_err();
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up_at_the_deadline() {
    let (_silent, theirs) = pair().await;
    let given_up = timeout(patience(), accept(&*theirs, &hasty("listener"), &Open)).await.unwrap();
    assert!(given_up.unwrap_err().to_string().contains("a hello did not come in time"));
    // The other way round: a listener that never answers.
    let (ours, _silent) = pair().await;
    let given_up = timeout(patience(), dial(&*ours, &hasty("dialer"))).await.unwrap();
    assert!(given_up.unwrap_err().to_string().contains("a challenge did not come in time"));
}

/// The listener's side of a connection in memory that holds `room` bytes, and the stranger's end of it.
fn listener_and_stranger(room: usize) -> (Framed<Msgpack>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    let (reader, writer) = tokio::io::split(ours);
    let address = Address::Mem("stranger".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    (Framed::new(Msgpack, Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends }), theirs)
}

/// A step as it crosses.
fn frame(step: &Step) -> Vec<u8> {
    let (mut body, mut parts) = (BytesMut::new(), Vec::new());
    let mut frame = FrameBuf { out: &mut body, parts: &mut parts };
    Msgpack.encode(&Outgoing::Hello { step }, &mut frame).unwrap();
    [&(body.len() as u32).to_le_bytes()[..], &body].concat()
}

fn hello(member: Option<Introduction>) -> Step {
    let (magic, codec) = (crate::proto::handshake::MAGIC.into(), "msgpack".into());
    Step::Hello(Hello { magic, versions: (1, 1), codec, member, nonce: [1; 32] })
}

// SEC-4
#[tokio::test(start_paused = true)]
async fn no_stage_outlasts_the_deadline() {
    let (listener, stranger) = (config("listener", 1), config("stranger", 9).own);
    let (member, probe) = (frame(&hello(Some(stranger))), frame(&hello(None)));
    let half = &member[..member.len() / 2];
    for (stage, said, room) in [
        ("silent after connect", &[][..], 1024),
        ("half a frame", half, 1024),
        ("silent after its hello", &member, 1024),
        ("a member's hello, and it does not read", &member, 16),
        ("a probe that does not read", &probe, 16),
    ] {
        let (transport, mut end) = listener_and_stranger(room);
        let started = Instant::now();
        let talk = async {
            end.write_all(said).await.unwrap();
            std::future::pending::<()>().await // it stays, and says no more
        };
        let refused = tokio::select! {
            refused = accept(&transport, &listener, &Open) => refused.unwrap_err(),
            () = talk => unreachable!("it never ends"),
        };
        assert!(matches!(refused, TransportError::Handshake(_)), "{stage}: {refused:?}");
        assert_eq!(started.elapsed(), listener.deadline, "{stage}");
    }
}

// SEC-4
#[tokio::test(start_paused = true)]
async fn a_byte_at_a_time_does_not_put_the_deadline_off() {
    let listener = config("listener", 1);
    let (transport, mut end) = listener_and_stranger(1024);
    let started = Instant::now();
    let dribble = async {
        for byte in frame(&hello(Some(config("stranger", 9).own))) {
            end.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(listener.deadline / 10).await; // the pace of the stranger, in virtual time
        }
    };
    let refused = tokio::select! {
        refused = accept(&transport, &listener, &Open) => refused.unwrap_err(),
        () = dribble => panic!("it was listened to until its end"),
    };
    assert!(refused.to_string().contains("a hello did not come in time"), "{refused}");
    assert_eq!(started.elapsed(), listener.deadline);
}

// SEC-4
#[tokio::test]
async fn frames_of_strangers_are_small_and_those_of_members_as_configured() {
    let listener = config("listener", 1);
    let large = hello(Some(Introduction { exports: vec![u64::MAX; 10_000], ..config("large", 9).own }));
    let (transport, mut end) = listener_and_stranger(1 << 20);
    end.write_all(&frame(&large)).await.unwrap();
    let refused = accept(&transport, &listener, &Open).await.unwrap_err();
    let limit = |error: &TransportError| match error {
        TransportError::FrameTooLarge { limit, .. } => *limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(&refused), MAX_HANDSHAKE_FRAME);
    let (ours, theirs) = pair().await;
    let dialer = config("dialer", 1);
    let (dialled, accepted) = tokio::join!(dial(&*ours, &dialer), accept(&*theirs, &listener, &Open));
    dialled.unwrap();
    accepted.unwrap().unwrap();
    let value = vec![0u8; listener.max_frame + 1];
    let too_large = ours.send(&[Outgoing::Return { cid: pleach_wire::Cid(1), value: &value }]).await.unwrap_err();
    assert_eq!(limit(&too_large), dialer.max_frame);
    let fits = vec![0u8; listener.max_frame - 100];
    let sent = async { ours.send(&[Outgoing::Return { cid: pleach_wire::Cid(1), value: &fits }]).await };
    let mut batch = Vec::new();
    let (sent, received) = tokio::join!(sent, theirs.recv(&mut batch));
    sent.unwrap();
    received.unwrap();
    assert!(matches!(batch[..], [Msg::Return { .. }]), "{batch:?}");
}

// SEC-1
#[tokio::test]
async fn what_is_no_handshake_ends_it() {
    for first in [Outgoing::Cancel { cid: pleach_wire::Cid(1) }, Outgoing::Value { value: &1u8 }] {
        let (ours, theirs) = pair().await;
        ours.send(std::slice::from_ref(&first)).await.unwrap();
        let refused = accept(&*theirs, &config("listener", 1), &Open).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("`{}` before it had proved itself", first.kind())));
    }
}
