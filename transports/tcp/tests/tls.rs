//! What only TLS over TCP promises: who gets in, how ends are told apart, and that no dialer holds up another.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use pleach_patience::patience;
use pleach_tcp::TlsTcp;
use pleach_tls::identity;
use pleach_tls::refusal::Refusal;
use pleach_wire::address::HostPort;
use pleach_wire::framed::Framed;
use pleach_wire::pending::MOST;
use pleach_wire::{Address, Link, Listener, MsgTransportExt, Msgpack, Protocol, Settings, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

fn tree() -> Settings {
    Settings { tls: Some(Arc::new(identity::generate().unwrap())), ..Settings::default() }
}

async fn listen(settings: &Settings) -> (Box<dyn Listener>, Address) {
    let listener = TlsTcp.listen(&TlsTcp.any_address(settings), settings).await.unwrap();
    let address = listener.local_address().clone();
    (listener, address)
}

async fn pair(listener: &mut Box<dyn Listener>, settings: &Settings) -> (Link, Link) {
    let address = listener.local_address().clone();
    let (dialled, accepted) = tokio::join!(TlsTcp.dial(&address, settings), listener.accept());
    (dialled.unwrap(), accepted.unwrap())
}

async fn plain(address: &Address) -> TcpStream {
    let Address::TlsTcp(at) = address else { panic!("{address} is not a tls+tcp address") };
    TcpStream::connect((at.host.as_str(), at.port)).await.unwrap()
}

/// A client that believes in the tree, with `change`.
async fn stranger(
    address: &Address,
    settings: &Settings,
    change: impl FnOnce(&mut ClientConfig),
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(settings.tls.as_ref().unwrap().authorities[0].clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"pleach/1".to_vec()];
    change(&mut config);
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(pleach_tls::config::server_name(), plain(address).await).await.unwrap()
}

// SEC-9
#[tokio::test]
async fn a_dialer_without_a_certificate_is_refused_and_hears_it() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let dial = async {
        let mut stream = stranger(&address, &settings, |_| {}).await;
        stream.read_u8().await.unwrap_err()
    };
    let (heard, accepted) = tokio::join!(dial, listener.accept());
    let refused = accepted.unwrap_err();
    assert!(matches!(&refused, TransportError::Tls(why) if why.contains("presented no certificate")), "{refused}");
    let alert = Refusal::of(heard.get_ref().unwrap().downcast_ref().unwrap()).unwrap();
    let heard = alert.error(&address, &Settings::default()).to_string();
    assert!(heard.contains("refused this side") && heard.contains("presented no certificate"), "{heard}");
}

#[tokio::test]
async fn without_certificates_dials_and_listens_fail() {
    let none = Settings::default();
    for refused in [
        TlsTcp.listen(&TlsTcp.any_address(&none), &none).await.err(),
        TlsTcp.dial(&"tls+tcp://127.0.0.1:1".parse().unwrap(), &none).await.err(),
    ] {
        assert!(matches!(&refused, Some(TransportError::Tls(why)) if why.contains("Settings::tls")), "{refused:?}");
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_apart() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let speak = async {
        let mut stream = plain(&address).await;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream
    };
    let (_stream, accepted) = tokio::join!(speak, listener.accept());
    let refused = accepted.unwrap_err();
    assert!(matches!(&refused, TransportError::Handshake(why) if why.contains("does not speak TLS")), "{refused}");
}

#[tokio::test]
async fn any_address_may_be_bound() {
    let settings = tree();
    let address = Address::TlsTcp(HostPort::new("0.0.0.0", 0));
    let mut listener = TlsTcp.listen(&address, &settings).await.unwrap();
    let Address::TlsTcp(at) = listener.local_address() else { panic!("another protocol") };
    let dialled: Address = format!("tls+tcp://localhost:{}", at.port).parse().unwrap();
    let (dialled, accepted) = tokio::join!(TlsTcp.dial(&dialled, &settings), listener.accept());
    assert_eq!(dialled.unwrap().ends.local, accepted.unwrap().ends.remote);
}

/// The end of a connection on which the peer has sent `bytes` and then left: with a word, without one, by a reset.
async fn ends_after(bytes: &[u8]) -> [TransportError; 3] {
    let settings = tree();
    let mut ends = Vec::new();
    for how in 0..3 {
        let (mut listener, _) = listen(&settings).await;
        let (mut near, far) = pair(&mut listener, &settings).await;
        near.writer.write_all(bytes).await.unwrap();
        near.writer.flush().await.unwrap();
        let far = Framed::new(Msgpack, far);
        match how {
            0 => near.writer.shutdown().await.unwrap(),
            1 => {}
            // Closing with bytes unread resets.
            _ => {
                let noise = pleach_wire::Msg::Cancel { cid: pleach_wire::Cid(1) };
                far.send(&[noise]).await.unwrap();
                // It has arrived when a byte of it was read.
                near.reader.read_u8().await.unwrap();
                far.send(&[pleach_wire::Msg::Cancel { cid: pleach_wire::Cid(2) }]).await.unwrap();
            }
        }
        drop(near);
        ends.push(far.recv(&mut Vec::new()).await.unwrap_err());
    }
    ends.try_into().unwrap()
}

#[tokio::test]
async fn a_clean_end_and_a_cut_and_a_reset_are_told_apart() {
    let [clean, cut, reset] = ends_after(&[]).await;
    for end in [&clean, &cut, &reset] {
        assert!(end.is_closed(), "between two messages any end will do: {end:?}");
    }
    assert!(clean.to_string().contains("end of file"), "{clean}");
    assert!(cut.to_string().contains("close_notify"), "{cut}");

    let [clean, cut, reset] = ends_after(&[40, 0, 0, 0, b'[']).await;
    assert!(matches!(clean, TransportError::Truncated { received: 5, .. }), "{clean:?}");
    for end in [cut, reset] {
        assert!(matches!(&end, TransportError::Reset(why) if why.kind() == ErrorKind::ConnectionReset), "{end:?}");
    }
}

// SEC-7
#[tokio::test]
async fn a_handshake_that_stalls_delays_no_other() {
    let settings = tree();
    let (mut listener, address) = listen(&settings).await;
    let mut silent = Vec::new();
    for _ in 0..MOST + 20 {
        silent.push(plain(&address).await);
    }
    let start = Instant::now();
    let let_in = async {
        // Who made room is told as an error, and is not the end.
        while listener.accept().await.is_err() {}
    };
    let (dialled, ()) = tokio::join!(TlsTcp.dial(&address, &settings), let_in);
    dialled.unwrap();
    assert!(start.elapsed() < patience() / 4, "it waited for the silent ones");
    listener.close().await;
    TlsTcp.listen(&address, &settings).await.unwrap();
}
