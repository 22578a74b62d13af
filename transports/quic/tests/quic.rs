//! What only QUIC has to hold: certificates, UDP ports, datagrams of strangers, streams of one connection.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pleach_patience::patience;
use pleach_quic::Quic;
use pleach_tls::identity;
use pleach_wire::framed::Framed;
use pleach_wire::transport::Lane;
use pleach_wire::{
    Address, Cid, Link, Listener, Msg, MsgTransport, MsgTransportExt, Msgpack, Protocol, Settings, TlsIdentity,
    TransportError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn settings(identity: TlsIdentity) -> Settings {
    Settings { tls: Some(Arc::new(identity)), ..Settings::default() }
}

fn tree() -> Settings {
    settings(identity::generate().unwrap())
}

async fn listen(settings: &Settings) -> (Box<dyn Listener>, Address) {
    let listener = Quic.listen(&Quic.any_address(settings), settings).await.unwrap();
    let address = listener.local_address().clone();
    (listener, address)
}

/// A connected pair: the dialer's and the listener's end.
async fn pair(listener: &mut Box<dyn Listener>, settings: &Settings) -> (Link, Link) {
    let address = listener.local_address().clone();
    let (dialled, accepted) = tokio::join!(Quic.dial(&address, settings), listener.accept());
    (dialled.unwrap(), accepted.unwrap())
}

fn port(address: &Address) -> u16 {
    let Address::Quic(at) = address else { panic!("{address} is not a quic address") };
    at.port
}

/// Returns whether the UDP port on 127.0.0.1 is free.
fn port_is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
async fn without_certificates_dials_and_listens_fail() {
    let none = Settings::default();
    let refused = Quic.listen(&Quic.any_address(&none), &none).await.err().unwrap();
    assert!(matches!(&refused, TransportError::Tls(why) if why.contains("Settings::tls")), "{refused}");
    let refused = Quic.dial(&"quic://127.0.0.1:1".parse().unwrap(), &none).await.unwrap_err();
    assert!(matches!(&refused, TransportError::Tls(why) if why.contains("generate()")), "{refused}");
}

// SEC-9
#[tokio::test]
async fn a_dialer_without_a_certificate_is_refused() {
    let own = identity::generate().unwrap();
    let (mut listener, address) = listen(&settings(own.clone())).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.authorities[0].clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut crypto = builder.with_root_certificates(roots).with_no_client_auth();
    crypto.alpn_protocols = vec![b"pleach/1".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(crypto).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = format!("127.0.0.1:{}", port(&address)).parse().unwrap();
    let connecting = endpoint.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), at, "pleach").unwrap();
    let dial = async { connecting.await.unwrap().closed().await.to_string() };
    let (heard, accepted) = tokio::join!(dial, listener.accept());
    assert!(heard.contains("certificate"), "{heard}");
    let refused = accepted.unwrap_err();
    assert!(matches!(&refused, TransportError::Tls(why) if why.contains("presented no certificate")), "{refused}");
}

#[tokio::test]
async fn the_port_is_free_when_close_returns() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    for _ in 0..50 {
        let (dialled, accepted) = pair(&mut listener, &settings).await;
        drop((dialled, accepted));
        listener.close().await;
        listener = Quic.listen(&address, &settings).await.unwrap();
    }
}

#[tokio::test]
async fn the_port_is_free_when_the_last_accepted_link_is_dropped() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let (first, second) = (pair(&mut listener, &settings).await, pair(&mut listener, &settings).await);
    listener.close().await;
    drop(first);
    assert!(!port_is_free(port(&address)), "a link still uses it");
    let (mut dialled, mut accepted) = second;
    dialled.writer.write_all(b"still here").await.unwrap();
    let mut said = [0; 10];
    accepted.reader.read_exact(&mut said).await.unwrap();
    drop(accepted);
    assert!(port_is_free(port(&address)));
}

#[tokio::test]
async fn a_closed_listener_accepts_no_dial() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let _accepted = pair(&mut listener, &settings).await;
    listener.close().await;
    let late = tokio::time::timeout(Duration::from_millis(200), Quic.dial(&address, &settings)).await;
    assert!(!matches!(late, Ok(Ok(_))), "the dial was accepted");
}

#[tokio::test]
async fn dialers_that_wait_are_refused_when_the_listener_closes() {
    let settings = tree();
    let (listener, address) = listen(&settings).await;
    let close = async {
        // The dialer's first datagram is there once it has been polled a few times.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        listener.close().await;
    };
    let (dialled, ()) = tokio::join!(tokio::time::timeout(patience(), Quic.dial(&address, &settings)), close);
    let refused = dialled.expect("it is told").unwrap_err();
    assert!(refused.to_string().contains("refuse"), "{refused}");
}

/// Dials where `silent` listens and answers nothing, until something comes there; then the dial is dropped.
async fn first_datagram(
    silent: &tokio::net::UdpSocket,
    datagram: &mut [u8],
    address: &Address,
    settings: &Settings,
) -> (usize, SocketAddr) {
    tokio::select! {
        dialled = Quic.dial(address, settings) => panic!("got no answer: {:?}", dialled.map(drop)),
        came = silent.recv_from(datagram) => came.unwrap(),
    }
}

/// Quinn keeps a connection that it gave up, and its socket, for three seconds; see `driver`.
#[tokio::test]
async fn a_dropped_dial_closes_its_socket_at_once() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: Address = format!("quic://{}", silent.local_addr().unwrap()).parse().unwrap();
    let settings = tree();
    for _ in 0..10 {
        let (_, dialer) = first_datagram(&silent, &mut [0; 2000], &address, &settings).await;
        assert!(port_is_free(dialer.port()), "the socket of the dial is still open");
        while silent.try_recv(&mut [0; 2000]).is_ok() {} // what it had sent besides
    }
}

#[test]
fn the_peer_is_told_even_if_the_runtime_ends_right_after_the_drop() {
    let settings = tree();
    let start = Instant::now();
    let (address, told) = std::sync::mpsc::sync_channel(1);
    let listening = settings.clone();
    let listener = std::thread::spawn(move || {
        block_on(async {
            let (mut listener, at) = listen(&listening).await;
            address.send(at).unwrap();
            let mut link = listener.accept().await.unwrap();
            let mut arrived = Vec::new();
            let end = link.reader.read_to_end(&mut arrived).await;
            (arrived, end.map_err(|error| error.kind()))
        })
    });
    let address = told.recv().unwrap();
    block_on(async {
        let mut link = Quic.dial(&address, &settings).await.unwrap();
        link.writer.write_all(b"last words").await.unwrap();
    });
    let (arrived, _) = listener.join().unwrap();
    assert_eq!(arrived, b"last words");
    assert!(start.elapsed() < patience() / 4, "only the idle time-out told the peer");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_link_may_outlive_its_runtime() {
    let settings = tree();
    let links = block_on(async {
        let (mut listener, _) = listen(&settings).await;
        pair(&mut listener, &settings).await
    });
    drop(links);
}

#[tokio::test]
async fn datagrams_of_strangers_are_ignored() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = ("127.0.0.1", port(&address));
    for size in [0, 1, 20, 1200, 1472, 60_000] {
        for first in [0x00u8, 0x40, 0xc0, 0xff] {
            let mut datagram = vec![0x5a; size];
            datagram.iter_mut().take(1).for_each(|byte| *byte = first);
            stranger.send_to(&datagram, at).unwrap();
        }
    }
    pair(&mut listener, &settings).await;
}

#[tokio::test]
async fn a_handshake_that_stalls_delays_no_other() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    // First datagrams of real dials, replayed by a sender that never reads the answers.
    let recorder = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stalled: Address = format!("quic://{}", recorder.local_addr().unwrap()).parse().unwrap();
    let mut first = vec![0; 2000];
    let silent: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &silent {
        let (size, _) = first_datagram(&recorder, &mut first, &stalled, &settings).await;
        socket.send_to(&first[..size], ("127.0.0.1", port(&address))).unwrap();
        while recorder.try_recv(&mut first).is_ok() {} // what it had sent besides
    }
    let start = Instant::now();
    pair(&mut listener, &settings).await;
    assert!(start.elapsed() < patience() / 4, "it waited for the silent ones");
    listener.close().await;
    assert!(port_is_free(port(&address)), "a handshake under way keeps the port");
}

#[tokio::test]
async fn a_name_with_several_addresses_finds_the_one_that_answers() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let by_name: Address = format!("quic://localhost:{}", port(&address)).parse().unwrap();
    let (dialled, accepted) = tokio::join!(Quic.dial(&by_name, &settings), listener.accept());
    dialled.unwrap();
    accepted.unwrap();
}

#[tokio::test]
async fn sides_that_differ_in_datagram_size_use_the_smaller() {
    let identity = identity::generate().unwrap();
    let with = |mtu| Settings { mtu, ..settings(identity.clone()) };
    for (dialer, listener) in
        [(None, Some(65_000)), (Some(65_000), None), (Some(9000), Some(65_535)), (Some(100), None)]
    {
        let (mut listening, address) = listen(&with(listener)).await;
        let dialer = with(dialer);
        let (dialled, accepted) = tokio::join!(Quic.dial(&address, &dialer), listening.accept());
        let (mut near, mut far) = (dialled.unwrap(), accepted.unwrap());
        let sent = vec![7; 1 << 20];
        let mut received = Vec::new();
        let send = async {
            near.writer.write_all(&sent).await.unwrap();
            near.writer.shutdown().await.unwrap();
        };
        tokio::join!(send, async { far.reader.read_to_end(&mut received).await.unwrap() });
        assert!(received == sent);
    }
}

#[tokio::test]
async fn lanes_travel_on_streams_of_their_own() {
    let settings = tree();
    let (mut listener, _) = listen(&settings).await;
    let (near, far) = pair(&mut listener, &settings).await;
    let (near, far) = (Framed::new(Msgpack, near), Framed::new(Msgpack, far));
    for round in 0..3 {
        for lane in 0..200 {
            near.queue(Lane(round * 1000 + lane), &Msg::Cancel { cid: Cid(lane) }).unwrap();
            near.close_lane(Lane(round * 1000 + lane));
        }
        let mut batch = Vec::new();
        let receive = async {
            while batch.len() < 200 {
                far.recv(&mut batch).await.unwrap();
            }
        };
        let (flushed, ()) = tokio::join!(near.flush(), receive);
        flushed.unwrap();
    }
    let mut batch = Vec::new();
    for lane in 0..50 {
        far.queue(Lane(lane), &Msg::Return { cid: Cid(lane), value: &"x".repeat(50_000) }).unwrap();
    }
    let (closed, drained) = tokio::join!(far.close(), near.drain(&mut batch));
    closed.unwrap();
    drained.unwrap();
    assert_eq!(batch.len(), 50);
}
