//! What only TCP promises: where it binds, what it sets, and what a reset looks like.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use pleach_tcp::Tcp;
use pleach_wire::address::HostPort;
use pleach_wire::framed::Framed;
use pleach_wire::{Address, Listener, MsgTransportExt, Msgpack, Protocol, Settings, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn listen(host: &str) -> Box<dyn Listener> {
    let address = Address::Tcp(HostPort::new(host, 0));
    Tcp::default().listen(&address, &Settings::default()).await.unwrap()
}

fn port_of(listener: &dyn Listener) -> u16 {
    let Address::Tcp(at) = listener.local_address() else { panic!("no TCP address") };
    at.port
}

// SEC-10
#[tokio::test]
async fn an_address_that_others_reach_is_refused_unless_allowed() {
    let address = Address::Tcp(HostPort::new("0.0.0.0", 0));
    match Tcp::default().listen(&address, &Settings::default()).await {
        Err(error @ TransportError::Listen { .. }) => {
            assert!(error.to_string().contains("allow_non_loopback: true"), "{error}");
        }
        other => panic!("expected Listen and got {:?}", other.map(|_| "a listener")),
    }
    let open = Tcp { allow_non_loopback: true }.listen(&address, &Settings::default()).await.unwrap();
    assert_ne!(port_of(&*open), 0, "the real port is known");
}

#[tokio::test]
async fn host_names_and_both_families_work() {
    for host in ["127.0.0.1", "localhost", "::1"] {
        let has_family = host != "::1" || std::net::TcpListener::bind("[::1]:0").is_ok();
        if !has_family {
            continue;
        }
        let mut listener = listen(host).await;
        let address = Address::Tcp(HostPort::new(host, port_of(&*listener)));
        let (tcp, settings) = (Tcp::default(), Settings::default());
        let (dialled, accepted) = tokio::join!(tcp.dial(&address, &settings), listener.accept());
        assert_eq!(dialled.unwrap().ends.local, accepted.unwrap().ends.remote);
    }
}

#[tokio::test]
async fn a_host_name_without_address_is_a_dial_error() {
    let address = Address::Tcp(HostPort::new("no-such-host.invalid", 1));
    let dialled = Tcp::default().dial(&address, &Settings::default()).await;
    assert!(matches!(dialled, Err(TransportError::Dial { .. })), "{dialled:?}");
}

/// A peer that writes `bytes` and then resets the connection.
async fn end_after_reset(bytes: &[u8]) -> (usize, TransportError) {
    let mut listener = listen("127.0.0.1").await;
    let address = ("127.0.0.1", port_of(&*listener));
    let (peer, link) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut peer, transport) = (peer.unwrap(), Framed::new(Msgpack, link.unwrap()));
    peer.write_all(bytes).await.unwrap();
    let mut batch = Vec::new();
    if bytes.len() > 4 {
        transport.recv(&mut batch).await.unwrap();
    }
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let end = transport.recv(&mut batch).await.unwrap_err();
    (batch.len(), end)
}

#[tokio::test]
async fn a_reset_is_graceful_between_frames_and_a_fault_inside_one() {
    let whole = [3, 0, 0, 0, 0x92, 5, 7]; // cancel #7
    let (arrived, end) = end_after_reset(&whole).await;
    assert!(arrived == 1 && end.is_closed(), "{end:?}");
    let and_a_half = [&whole[..], &[9, 0]].concat();
    let (arrived, end) = end_after_reset(&and_a_half).await;
    assert!(arrived == 1 && matches!(end, TransportError::Reset(_)), "{end:?}");
}

/// A close used to be lost when the socket's queue was long and bytes of the peer were unread: the
/// kernel resets such a connection and drops what it has not sent.
#[tokio::test]
async fn closing_with_unread_bytes_and_a_long_queue_takes_nothing_back() {
    let mut listener = listen("127.0.0.1").await;
    let address = ("127.0.0.1", port_of(&*listener));
    let (peer, link) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut peer, mut link) = (peer.unwrap(), link.unwrap());
    peer.write_all(b"never read").await.unwrap();
    let close = async move {
        link.writer.write_all(&vec![7; 3 << 20]).await.unwrap();
        link.writer.shutdown().await.unwrap();
        drop(link);
    };
    let read = async {
        let mut received = Vec::new();
        // After the last byte there may be a reset instead of an end of file.
        let _ = peer.read_to_end(&mut received).await;
        received.len()
    };
    let ((), total) = tokio::join!(close, read);
    assert_eq!(total, 3 << 20);
}
