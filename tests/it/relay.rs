//! A line that can be cut: it carries what two actors say to each other over TCP or UDP, and stops to do so, in
//! one direction or both, without closing anything. Each connection that it carries is a line of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pleach::Config;
use pleach_patience::patience;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::free_address::free_address;

/// What is said from the dialer, a child, to the listener, its parent; and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToParent,
    ToChild,
}

pub(crate) const BOTH: [Way; 2] = [Way::ToParent, Way::ToChild];

/// Whether a line is open, to the parent and to the child.
type Gates = [watch::Sender<bool>; 2];

/// A relay in front of a parent. Dropping it closes all its lines.
pub(crate) struct Relay {
    /// What the parent has to be configured with, so that its children come through here.
    pub(crate) config: Config,
    lines: Arc<Mutex<Vec<Arc<Gates>>>>,
    _running: JoinSet<()>,
}

impl Relay {
    /// One that holds up everything for `delay`, each way.
    pub(crate) async fn start(protocol: &str, delay: Duration) -> Self {
        let lines = Arc::<Mutex<Vec<Arc<Gates>>>>::default();
        let mut running = JoinSet::new();
        let (parent, here) = if protocol == "tcp" {
            let parent = free_address();
            let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let here = front.local_addr().unwrap();
            running.spawn(carry_streams(front, parent, delay, lines.clone()));
            (parent, here)
        } else {
            let parent = free_address();
            let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let here = front.local_addr().unwrap();
            running.spawn(carry_datagrams(front, parent, delay, lines.clone()));
            (parent, here)
        };
        let at = |address: SocketAddr| vec![format!("{protocol}://{address}").parse().unwrap()];
        let patience = patience();
        let configured = Config {
            transport: protocol.into(),
            connect_back: patience,
            handshake: patience,
            dial: patience,
            ..Config::default()
        };
        let config = Config { listen: at(parent), advertise: at(here), ..configured };
        Self { config, lines, _running: running }
    }

    /// Carries nothing more that way, for all connections that there are.
    pub(crate) fn cut(&self, ways: &[Way]) {
        self.set(ways, false);
    }

    /// Carries everything again.
    pub(crate) fn mend(&self) {
        self.set(&BOTH, true);
    }

    fn set(&self, ways: &[Way], open: bool) {
        for line in self.lines.lock().unwrap().iter() {
            for way in ways {
                line[*way as usize].send_replace(open);
            }
        }
    }
}

fn new_line(lines: &Mutex<Vec<Arc<Gates>>>) -> Arc<Gates> {
    let line = Arc::new([watch::Sender::new(true), watch::Sender::new(true)]);
    lines.lock().unwrap().push(line.clone());
    line
}

async fn carry_streams(front: TcpListener, parent: SocketAddr, delay: Duration, lines: Arc<Mutex<Vec<Arc<Gates>>>>) {
    let mut pumps = JoinSet::new();
    loop {
        let (child, _) = front.accept().await.unwrap();
        let Ok(parent) = TcpStream::connect(parent).await else { continue };
        let line = new_line(&lines);
        let ((from_child, to_child), (from_parent, to_parent)) = (child.into_split(), parent.into_split());
        pumps.spawn(pump(from_child, to_parent, line[Way::ToParent as usize].subscribe(), delay));
        pumps.spawn(pump(from_parent, to_child, line[Way::ToChild as usize].subscribe(), delay));
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<bool>, delay: Duration) {
    let (on_the_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(1000);
    let read = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut bytes).await.unwrap_or(0); // a broken connection is an end, too
            let sent = on_the_way.send((Instant::now() + delay, bytes[..read].to_vec())).await;
            if read == 0 || sent.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    let write = async {
        while let Some((at, bytes)) = arriving.recv().await {
            sleep_until(at).await;
            // Nor does the end of it get through.
            if gate.wait_for(|open| *open).await.is_err() || bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

async fn carry_datagrams(front: UdpSocket, parent: SocketAddr, delay: Duration, lines: Arc<Mutex<Vec<Arc<Gates>>>>) {
    let front = Arc::new(front);
    let mut back = JoinSet::new();
    let mut children = HashMap::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        let Ok((read, child)) = front.recv_from(&mut bytes).await else { continue }; // of who has gone
        let (behind, line) = match children.entry(child) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let behind = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                behind.connect(parent).await.unwrap();
                let line = new_line(&lines);
                let gate = line[Way::ToChild as usize].subscribe();
                back.spawn(bring_back(behind.clone(), front.clone(), child, gate, delay));
                new.insert((behind, line))
            }
        };
        if *line[Way::ToParent as usize].borrow() {
            let (behind, datagram) = (behind.clone(), bytes[..read].to_vec());
            back.spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = behind.send(&datagram).await; // the parent has gone
            });
        }
    }
}

async fn bring_back(
    behind: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    child: SocketAddr,
    gate: watch::Receiver<bool>,
    delay: Duration,
) {
    let mut bytes = vec![0; 64 << 10];
    let mut on_the_way = JoinSet::new();
    loop {
        let Ok(read) = behind.recv(&mut bytes).await else { continue }; // of who has gone
        if *gate.borrow() {
            let (front, datagram) = (front.clone(), bytes[..read].to_vec());
            on_the_way.spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = front.send_to(&datagram, child).await; // the child has gone
            });
        }
    }
}
