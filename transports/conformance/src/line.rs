//! A slow line in front of a listener: a relay on this host that carries so many bytes a second, each way.
//!
//! It holds little, as a good router does. What a sender's own system holds is what the checks are about.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesUnordered;
use pleach_wire::Address;
use pleach_wire::address::{HostPort, UdsName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A slow line. It carries while [`carry`](Self::carry) is polled, and ends with it.
pub struct Line {
    /// Where its near end is dialled.
    pub address: Address,
    /// Bytes carried to the listener, and from it.
    carried: Arc<[AtomicU64; 2]>,
    carrying: BoxFuture<'static, io::Result<()>>,
}

impl Line {
    /// A line to the listener at `to`, which need not be there yet; `rate` is in bytes per second. Nothing, if the
    /// protocol is none that a relay can be built for.
    pub async fn to(to: &Address, rate: u64) -> Option<Self> {
        let carried = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let paces = || [0, 1].map(|way| Arc::new(Pace::new(rate, carried.clone(), way)));
        let (address, carrying): (_, BoxFuture<'static, io::Result<()>>) = match to {
            Address::Tcp(at) | Address::TlsTcp(at) => {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(HELD).unwrap();
                socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
                let near = socket.listen(16).unwrap();
                let address = to.clone().at(near.local_addr().unwrap().into());
                let (far, paces) = ((at.host.clone(), at.port), paces());
                let meet = async move |_| Ok((near.accept().await?.0, TcpStream::connect(&far).await?));
                (address, Box::pin(relay(meet, paces)))
            }
            Address::Uds(UdsName::Path(far)) => {
                let path = far.with_extension("line");
                let (near, far, paces) = (UnixListener::bind(&path).unwrap(), far.clone(), paces());
                let file = Removed(path.clone());
                let meet = async move |_| {
                    let _file = &file;
                    Ok((near.accept().await?.0, UnixStream::connect(&far).await?))
                };
                (Address::Uds(UdsName::Path(path)), Box::pin(relay(meet, paces)))
            }
            Address::Quic(at) => {
                let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let address = to.clone().at(HostPort::from(near.local_addr().unwrap()));
                let far = tokio::net::lookup_host((&*at.host, at.port)).await.unwrap().next().unwrap();
                (address, Box::pin(relay_datagrams(near, far, paces())))
            }
            _ => return None,
        };
        Some(Self { address, carried, carrying })
    }

    /// Returns the bytes that it has carried to the listener and from it, to be read while it is in use.
    pub fn meter(&self) -> impl Fn() -> [u64; 2] + Send + Sync + use<> {
        let carried = self.carried.clone();
        move || [0, 1].map(|way| carried[way].load(Ordering::Relaxed))
    }

    /// Carries what comes while `work` is done.
    pub async fn carry<T>(self, work: impl Future<Output = T>) -> T {
        match select(std::pin::pin!(work), self.carrying).await {
            Either::Left((done, _line)) => done,
            Either::Right((broken, _work)) => panic!("the line broke: {broken:?}"),
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.address)
    }
}

/// When the next bytes of one direction may go.
struct Pace {
    rate: u64,
    free_at: Mutex<Instant>,
    carried: Arc<[AtomicU64; 2]>,
    way: usize,
}

impl Pace {
    fn new(rate: u64, carried: Arc<[AtomicU64; 2]>, way: usize) -> Self {
        Self { rate, free_at: Mutex::new(Instant::now()), carried, way }
    }

    /// Takes the line for so many bytes; returns when they have passed, or nothing if more wait than `held`.
    fn take(&self, bytes: usize, held: Duration) -> Option<Instant> {
        let (now, mut free_at) = (Instant::now(), self.free_at.lock().unwrap());
        if *free_at > now + held {
            return None;
        }
        *free_at = now.max(*free_at) + self.time(bytes);
        Some(*free_at)
    }

    fn time(&self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.rate)
    }

    fn note(&self, bytes: usize) {
        self.carried[self.way].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Carries the streams of all connections that `meet` makes.
async fn relay<S: AsyncRead + AsyncWrite + Send + 'static>(
    meet: impl AsyncFn(()) -> io::Result<(S, S)>,
    [there, back]: [Arc<Pace>; 2],
) -> io::Result<()> {
    let mut lines = FuturesUnordered::new();
    loop {
        tokio::select! {
            met = meet(()) => {
                // A missing listener refuses dials through the line.
                let Ok((near, far)) = met else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (tokio::io::split(near), tokio::io::split(far));
                let (there, back) = (there.clone(), back.clone());
                lines.push(async move { tokio::join!(carry(near_in, far_out, &there), carry(far_in, near_out, &back)) });
            }
            Some(_ended) = lines.next() => {}
        }
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, pace: &Pace) -> io::Result<()> {
    let mut portion = [0; PORTION];
    loop {
        let read = from.read(&mut portion).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        if let Some(passed) = pace.take(read, Duration::MAX / 4) {
            sleep_until(passed).await;
        }
        to.write_all(&portion[..read]).await?;
        pace.note(read);
    }
}

/// Carries datagrams; those that would wait behind more than it holds are lost.
async fn relay_datagrams(near: UdpSocket, far: SocketAddr, [there, back]: [Arc<Pace>; 2]) -> io::Result<()> {
    let near = Arc::new(near);
    let mut dialers: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let (outwards, out_queue) = mpsc::channel::<Datagram>(QUEUE);
    let (inwards, in_queue) = mpsc::channel::<Datagram>(QUEUE);
    let mut works: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    works.push(Box::pin(deliver(out_queue, there.clone())));
    works.push(Box::pin(deliver(in_queue, back.clone())));
    let mut datagram = vec![0; 1 << 16];
    loop {
        tokio::select! {
            received = near.recv_from(&mut datagram) => {
                let (len, dialer) = received?;
                if let Entry::Vacant(new) = dialers.entry(dialer) {
                    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
                    socket.connect(far).await?;
                    works.push(Box::pin(take_in(socket.clone(), near.clone(), dialer, inwards.clone(), back.clone())));
                    new.insert(socket);
                }
                send(&outwards, &there, &datagram[..len], dialers[&dialer].clone(), None);
            }
            Some(()) = works.next() => {}
        }
    }
}

/// What is under way: when it has passed, what it is, and where it leaves.
type Datagram = (Instant, Vec<u8>, Arc<UdpSocket>, Option<SocketAddr>);

fn send(queue: &mpsc::Sender<Datagram>, pace: &Pace, datagram: &[u8], from: Arc<UdpSocket>, to: Option<SocketAddr>) {
    if let Some(passed) = pace.take(datagram.len(), pace.time(HELD as usize)) {
        let _ = queue.try_send((passed, datagram.to_vec(), from, to)); // full: it is lost, as datagrams may be
    }
}

async fn take_in(
    socket: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    dialer: SocketAddr,
    queue: mpsc::Sender<Datagram>,
    pace: Arc<Pace>,
) {
    let mut datagram = vec![0; 1 << 16];
    loop {
        // An error says that there was no listener for an earlier one.
        let Ok(len) = socket.recv(&mut datagram).await else { continue };
        send(&queue, &pace, &datagram[..len], near.clone(), Some(dialer));
    }
}

async fn deliver(mut queue: mpsc::Receiver<Datagram>, pace: Arc<Pace>) {
    while let Some((passed, datagram, from, to)) = queue.recv().await {
        sleep_until(passed).await;
        let sent = match to {
            Some(to) => from.send_to(&datagram, to).await,
            None => from.send(&datagram).await,
        };
        let _ = sent; // the receiver has left
        pace.note(datagram.len());
    }
}

/// A socket file, removed when the line ends.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // its directory may have gone first
    }
}

/// Bytes that the line holds in each direction, about.
const HELD: u32 = 64 << 10;

/// What one read from a stream carries.
const PORTION: usize = 4 << 10;

/// Datagrams that may be under way.
const QUEUE: usize = 1024;
