//! Addresses, listeners, refusals and probes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::patience::{patience, soon};
use futures_util::future::join_all;
use pleach_wire::address::HostPort;
use pleach_wire::{Address, Listener, MsgTransportExt, TransportError};

use crate::say::{number, number_of, one};
use crate::subject::{Role, Subject};

/// Without a listener, a dial is an error, not long after the dial timeout at the latest.
pub async fn a_refused_dial_is_an_error_in_time(subject: &Subject) {
    let subject = subject.clone().with(|settings| settings.dial_timeout = soon());
    let listener = subject.listen().await;
    let address = listener.local_address().clone();
    listener.close().await;
    let transport = subject.transport();
    let dial = transport.dial(&address, &subject.settings);
    let refused = tokio::time::timeout(patience(), dial).await.expect("the dial timeout holds");
    match refused.err() {
        Some(TransportError::Dial { address: at, .. }) => assert_eq!(at, address),
        other => panic!("expected Dial and got {other:?}"),
    }
}

/// An address has one listener.
pub async fn listening_twice_is_refused(subject: &Subject) {
    let first = subject.listen().await;
    let address = first.local_address().clone();
    match subject.transport().listen(&address, &subject.settings).await {
        Err(TransportError::Listen { address: at, .. }) => assert_eq!(at, address),
        Err(other) => panic!("expected Listen and got {other:?}"),
        Ok(_) => panic!("two listeners share {address}"),
    }
    // The first one is as it was.
    meet(subject, first).await.close().await;
}

/// The name `localhost` is bound at all its addresses, at one port, and dialers at each of them get through.
pub async fn localhost_is_bound_at_all_its_addresses(subject: &Subject) {
    let Some(at) = subject.address().host_port().cloned() else { return };
    let named = |host: &str, port| subject.address().at(HostPort::new(host, port));
    let mut listener = subject.listen_on(&named("localhost", at.port)).await;
    let port = listener.local_address().host_port().unwrap().port;
    // Twice, so that none is forgotten once it has had its turn.
    for ip in loopback_addresses().into_iter().cycle().take(4) {
        let address = named(&ip.to_string(), port);
        let (dialer, acceptor) = tokio::join!(subject.dial(&address), subject.accept(&mut listener));
        acceptor.send(&[number(&1)]).await.unwrap();
        assert_eq!(number_of(&one(&dialer).await), 1);
    }
}

/// Those that this machine has.
fn loopback_addresses() -> Vec<IpAddr> {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    loopback.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect()
}

/// When `close` returns, the address can be bound again, connections of before notwithstanding.
pub async fn an_address_is_free_after_close(subject: &Subject) {
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    for _ in 0..5 {
        listener = meet(subject, listener).await;
        listener.close().await;
        listener = subject.listen_on(&address).await;
        assert_eq!(*listener.local_address(), address);
    }
}

/// A listener that was dropped frees its address, if maybe a moment later.
pub async fn an_address_is_free_soon_after_drop(subject: &Subject) {
    let listener = subject.listen().await;
    let address = listener.local_address().clone();
    drop(listener);
    let again = async {
        loop {
            match subject.transport().listen(&address, &subject.settings).await {
                Ok(again) => return again,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    meet(subject, again.await).await;
}

/// Accepted connections live on when their listener is closed.
pub async fn connections_outlive_their_listener(subject: &Subject) {
    let pair = subject.pair(Role::Dialer).await;
    pair.listener.close().await;
    for (from, to) in [(&pair.near, &pair.far), (&pair.far, &pair.near)] {
        from.send(&[number(&1)]).await.unwrap();
        assert_eq!(number_of(&one(to).await), 1);
    }
}

/// Many who dial at the same moment are all accepted, and their connections are not mixed up.
pub async fn many_dialers_at_once_all_get_through(subject: &Subject) {
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    let dialers = join_all((0..DIALERS).map(|n| {
        let address = &address;
        async move {
            let dialer = subject.dial(address).await;
            dialer.send(&[number(&n)]).await.unwrap();
            assert_eq!(number_of(&one(&dialer).await), n + 1000);
        }
    }));
    let accepts = async {
        let mut seen = Vec::new();
        for _ in 0..DIALERS {
            let acceptor = subject.transport().wrap(listener.accept().await.unwrap());
            let mut inbox = crate::say::Inbox::new(&acceptor);
            assert_eq!(inbox.next().await.unwrap().kind(), "hello");
            let n = number_of(&inbox.next().await.unwrap());
            acceptor.send(&[number(&(n + 1000))]).await.unwrap();
            acceptor.close().await.unwrap();
            seen.push((n, acceptor));
        }
        seen.sort_by_key(|(n, _)| *n);
        assert!(seen.iter().map(|(n, _)| *n).eq(0..DIALERS));
        seen
    };
    tokio::join!(dialers, accepts);
}

/// A listener's address survives being written down, and both ends agree on it.
pub async fn addresses_round_trip_through_text(subject: &Subject) {
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    let read: Address = address.to_string().parse().expect("an address parses from what it prints");
    assert_eq!(read, address);
    assert_eq!(read.protocol(), subject.transport().protocol().name());
    let (dialer, acceptor) = tokio::join!(subject.dial(&read), subject.accept(&mut listener));
    assert_eq!(dialer.ends().remote, address);
    assert_eq!(acceptor.ends().local, address);
    assert_eq!(dialer.ends().local.protocol(), address.protocol());
    assert_eq!(acceptor.ends().remote.protocol(), address.protocol());
}

/// Addresses that the protocol chooses do not collide.
pub async fn chosen_addresses_are_fresh(subject: &Subject) {
    let (first, second) = (subject.listen().await, subject.listen().await);
    assert_ne!(first.local_address(), second.local_address());
    tokio::join!(meet(subject, first), meet(subject, second));
}

/// An address of another protocol is refused with an error.
pub async fn an_address_of_another_protocol_is_an_error(subject: &Subject) {
    let foreign = Address::Other { protocol: "pigeon".into(), rest: "loft".into() };
    let transport = subject.transport();
    let dialled = transport.dial(&foreign, &subject.settings).await.err();
    assert!(matches!(dialled, Some(TransportError::Dial { .. })), "{dialled:?}");
    let bound = transport.listen(&foreign, &subject.settings).await.err();
    assert!(matches!(bound, Some(TransportError::Listen { .. })), "{bound:?}");
}

/// A thousand peers that connect and go at once leave nothing open, and the next one is served.
pub async fn a_thousand_probes_cost_nothing(subject: &Subject) {
    let before = open_files();
    let mut listener = subject.listen().await;
    let address = listener.local_address().clone();
    let transport = subject.transport();
    let dial = async {
        for _ in 0..1000 {
            drop(transport.dial(&address, &subject.settings).await.expect("a probe connects"));
        }
        subject.dial(&address).await
    };
    let accept = subject.accept_past_probes(&mut listener);
    let (dialer, acceptor) = tokio::join!(dial, accept);
    acceptor.send(&[number(&1)]).await.unwrap();
    assert_eq!(number_of(&one(&dialer).await), 1);
    // The bound of the check is the deadline. Other checks of this process have some files open too.
    while let (Some(before), Some(now)) = (before, open_files())
        && now > before + OTHERS
    {
        tokio::task::yield_now().await;
    }
}

/// One dialer comes, is served and goes.
async fn meet(subject: &Subject, mut listener: Box<dyn Listener>) -> Box<dyn Listener> {
    let address = listener.local_address().clone();
    let (dialer, acceptor) = tokio::join!(subject.dial(&address), subject.accept(&mut listener));
    acceptor.send(&[number(&1)]).await.unwrap();
    assert_eq!(number_of(&one(&dialer).await), 1);
    listener
}

/// Open files of this process, where the system tells.
fn open_files() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

const DIALERS: u64 = 60;

/// Files that checks running at the same time may have open, far below what the probes would leak.
const OTHERS: usize = 500;
