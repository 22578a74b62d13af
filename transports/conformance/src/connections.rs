//! Connections that carry values of a user's own types, without actors.

use pleach_wire::{Blob, Connection, ConnectionListener, ConnectionReceiver, ConnectionSender, TransportError};
use serde::{Deserialize, Serialize};

use crate::subject::{Role, Subject};

/// Several kinds of messages, small and large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Parcel {
    Greeting(String),
    Number { n: u64 },
    Content(Blob),
    Last,
}

type Both = (Connection<Parcel>, Connection<Parcel>, ConnectionListener<Parcel>);

/// Connects, past the first value, which the dialer sends; the first end is the one in `role`.
async fn connected(subject: &Subject, role: Role) -> Both {
    let mut listener = ConnectionListener::new(subject.transport(), subject.listen().await);
    let address = listener.local_address().clone();
    let dial = async {
        let dialled = subject.transport().dial(&address, &subject.settings).await.expect("dials");
        let dialer = Connection::new(dialled);
        dialer.send(&Parcel::Greeting("from the dialer".into())).await.expect("sends the first value");
        dialer
    };
    let accept = async {
        let mut acceptor = listener.accept().await.expect("accepts");
        let first = acceptor.recv().await.expect("receives the first value");
        assert_eq!(first, Some(Parcel::Greeting("from the dialer".into())));
        acceptor
    };
    let (dialer, acceptor) = tokio::join!(dial, accept);
    match role {
        Role::Dialer => (dialer, acceptor, listener),
        Role::Listener => (acceptor, dialer, listener),
    }
}

/// Values of each kind and size arrive in the order in which they were sent, and behind them the end.
pub async fn values_arrive_in_order_and_then_the_end(subject: &Subject) {
    for role in Role::BOTH {
        let (near, mut far, _listener) = connected(subject, role).await;
        let content = |size: usize| Parcel::Content((0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>().into());
        let sent = [Parcel::Number { n: 1 }, content(1 << 20), Parcel::Number { n: 2 }, content(5000), Parcel::Last];
        let send = async {
            for parcel in &sent {
                near.feed(parcel).await.unwrap();
            }
            near.close().await.unwrap();
        };
        let receive = async {
            let mut received = Vec::new();
            while let Some(parcel) = far.recv().await.unwrap() {
                received.push(parcel);
            }
            assert!(received == sent, "the values changed on their way");
            // The other direction is still open.
            far.send(&Parcel::Last).await.unwrap();
            far.close().await.unwrap();
        };
        tokio::join!(send, receive);
        let mut near = near;
        assert_eq!(near.recv().await.unwrap(), Some(Parcel::Last));
        assert_eq!(near.recv().await.unwrap(), None);
    }
}

/// Both sides send without end in sight while another task receives: neither waits for the other.
pub async fn halves_flood_each_other(subject: &Subject) {
    let (near, far, _listener) = connected(subject, Role::Dialer).await;
    let send = async |sender: ConnectionSender<Parcel>| {
        for n in 0..COUNT {
            sender.send(&Parcel::Number { n }).await.unwrap();
        }
        sender.close().await.unwrap();
    };
    let receive = async |mut receiver: ConnectionReceiver<Parcel>| {
        for n in 0..COUNT {
            assert_eq!(receiver.recv().await.unwrap(), Some(Parcel::Number { n }));
        }
        assert_eq!(receiver.recv().await.unwrap(), None);
    };
    let ((near_out, near_in), (far_out, far_in)) = (near.split(), far.split());
    tokio::join!(send(near_out), send(far_out), receive(near_in), receive(far_in));
}

/// Everything that was sent before the close arrives, even if the connection is dropped right after it.
pub async fn a_closed_and_dropped_connection_delivers(subject: &Subject) {
    for role in Role::BOTH {
        let (near, mut far, _listener) = connected(subject, role).await;
        far.send(&Parcel::Number { n: 0 }).await.unwrap(); // nothing reads it
        let send = async move {
            for n in 0..COUNT {
                near.feed(&Parcel::Number { n }).await.unwrap();
            }
            near.close().await.unwrap();
        };
        let receive = async {
            for n in 0..COUNT {
                assert_eq!(far.recv().await.unwrap(), Some(Parcel::Number { n }));
            }
            assert_eq!(far.recv().await.unwrap(), None);
        };
        tokio::join!(send, receive);
    }
}

/// What a listener sets for connections is in force from the first byte.
pub async fn a_stranger_is_held_to_the_limit(subject: &Subject) {
    let mut listener: ConnectionListener<Blob> = ConnectionListener::new(subject.transport(), subject.listen().await);
    listener.set_max_frame(1000);
    let address = listener.local_address().clone();
    let dial = async {
        let dialer = Connection::<Blob>::new(subject.transport().dial(&address, &subject.settings).await.unwrap());
        // The listener ends the connection, sooner or later.
        let _ = dialer.send(&Blob::from(vec![1; 2000])).await;
        dialer
    };
    let accept = async {
        let mut acceptor = listener.accept().await.unwrap();
        let refused = acceptor.recv().await.unwrap_err();
        assert!(matches!(refused, TransportError::FrameTooLarge { limit: 1000, .. }), "{refused:?}");
    };
    tokio::join!(dial, accept);
}

/// More than a connection holds.
const COUNT: u64 = 3000;
