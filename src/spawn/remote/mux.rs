//! Connections between two hosts, over one link: those of the processes that ask what actors do.
//!
//! ```text
//! a connection here ──► tunnel ──┐                      ┌──► tunnel ──► a connection there
//! a connection here ◄── tunnel ◄─┴─ frames, any link ───┴─── tunnel ◄── a connection there
//! ```
//! It neither carries the frames nor knows what is said in the tunnels: the two sides of [`remote`](super) do.
//!
//! # Invariants
//! 1. A tunnel holds at most [`WINDOW`] bytes that were not taken: the sender waits for that. One that sends more is ended.
//! 2. There are at most [`MAX_TUNNELS`]: a further one is ended at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::frame::{Frame, MAX_PIECE};
use crate::sync::{Notify, lock};

/// One side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Starter,
    Keeper,
}

/// What becomes of a tunnel that the other side has begun.
pub(super) type Accept = Box<dyn Fn(u32, Tunnel) -> BoxFuture<'static, ()> + Send>;

/// Serves a tunnel that begins here.
pub(super) type Serve = Box<dyn FnOnce(Tunnel) -> BoxFuture<'static, ()> + Send>;

/// The tunnels of one side. Dropping it ends them.
pub(super) struct Mux {
    /// Each side counts on from a number of its own, in steps of two.
    next: u32,
    accept: Accept,
    /// The connections of this side, each with what serves its tunnel.
    arrivals: BoxStream<'static, Serve>,
    tunnels: BTreeMap<u32, Arc<State>>,
    /// Each returns its number.
    running: FuturesUnordered<BoxFuture<'static, u32>>,
    refused: VecDeque<u32>,
    send: mpsc::Sender<Frame>,
    sent: mpsc::Receiver<Frame>,
}

/// A tunnel, which leads to a connection at the other side.
pub(super) struct Tunnel {
    id: u32,
    state: Arc<State>,
    send: mpsc::Sender<Frame>,
}

#[derive(Debug)]
struct State {
    now: Mutex<Now>,
    changed: Notify,
}

#[derive(Debug)]
struct Now {
    /// What has come, and waits for the connection here.
    come: BytesMut,
    /// How many bytes may be sent.
    room: usize,
    has_ended: bool,
}

impl Mux {
    pub(super) fn new(side: Side, accept: Accept, arrivals: BoxStream<'static, Serve>) -> Self {
        let (send, sent) = mpsc::channel(MAX_FRAMES);
        let (tunnels, running, refused) = (BTreeMap::new(), FuturesUnordered::new(), VecDeque::new());
        Self { next: u32::from(side == Side::Keeper), accept, arrivals, tunnels, running, refused, send, sent }
    }

    /// Begins a tunnel, and serves it; beyond [`MAX_TUNNELS`], drops what would serve it.
    fn begin(&mut self, serve: Serve) {
        let id = self.next;
        self.next = self.next.wrapping_add(2);
        if let Some(tunnel) = self.add(id) {
            self.run(id, serve(tunnel));
        }
    }

    /// Takes a frame of the other side.
    pub(super) fn take(&mut self, encoded: &[u8]) {
        match Frame::decode(encoded) {
            Some(Frame::Open { id, to }) => match self.add(id) {
                Some(tunnel) => {
                    let served = (self.accept)(to, tunnel);
                    self.run(id, served);
                }
                None if self.refused.len() < MAX_TUNNELS => self.refused.push_back(id),
                None => {}
            },
            Some(Frame::Data { id, piece }) => self.change(id, |now| {
                let fits = now.come.len() + piece.len() <= WINDOW;
                now.has_ended |= !fits; // invariant 1
                if fits {
                    now.come.extend_from_slice(&piece);
                }
            }),
            Some(Frame::Taken { id, bytes }) => {
                self.change(id, |now| now.room = (now.room + bytes as usize).min(WINDOW));
            }
            Some(Frame::Close { id }) => self.change(id, |now| now.has_ended = true),
            None => debug!(target: "pleach::runtime", "an unknown frame from another host"),
        }
    }

    /// Serves the tunnels, and begins one for each connection that arrives, until there is something to send.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        loop {
            if let Some(id) = self.refused.pop_front() {
                return Frame::Close { id }.encode();
            }
            tokio::select! {
                biased;
                // This side has a sender: it is never closed.
                Some(frame) = self.sent.recv() => return frame.encode(),
                Some(ended) = self.running.next() => drop(self.tunnels.remove(&ended)),
                Some(serve) = self.arrivals.next() => self.begin(serve),
                else => std::future::pending().await,
            }
        }
    }

    fn add(&mut self, id: u32) -> Option<Tunnel> {
        if self.tunnels.len() >= MAX_TUNNELS || self.tunnels.contains_key(&id) {
            return None;
        }
        let now = Mutex::new(Now { come: BytesMut::new(), room: WINDOW, has_ended: false });
        let state = Arc::new(State { now, changed: Notify::new() });
        self.tunnels.insert(id, state.clone());
        Some(Tunnel { id, state, send: self.send.clone() })
    }

    fn run(&self, id: u32, serve: impl Future<Output = ()> + Send + 'static) {
        let send = self.send.clone();
        self.running.push(Box::pin(async move {
            serve.await;
            let _ = send.send(Frame::Close { id }).await; // closed: so is the link
            id
        }));
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut Now)) {
        // One that is not there has ended here, as the other side will hear.
        if let Some(state) = self.tunnels.get(&id) {
            change(&mut lock(&state.now));
            state.changed.notify_waiters(); // each waits from before it looked
        }
    }
}

impl Tunnel {
    /// Has the other side make its connection.
    pub(super) async fn open(&self, to: u32) {
        self.transmit(Frame::Open { id: self.id, to }).await;
    }

    /// Connects it with a connection here, until either ends.
    pub(super) async fn carry(&self, connection: impl AsyncRead + AsyncWrite) {
        let (from, to) = io::split(connection);
        let (mut from, mut to) = (std::pin::pin!(from), std::pin::pin!(to));
        tokio::select! {
            biased;
            _ended = self.hand_over(&mut to) => {}
            _ended = self.read_all(&mut from) => {}
        }
        let _ = to.shutdown().await; // it may have ended
    }

    /// Writes what comes until the other side has ended the tunnel.
    async fn hand_over(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while let Some(piece) = self.come().await {
            to.write_all(&piece).await?;
            self.transmit(Frame::Taken { id: self.id, bytes: piece.len() as u32 }).await;
        }
        Ok(())
    }

    /// Waits for the next piece; `None` at the end.
    async fn come(&self) -> Option<Bytes> {
        loop {
            let changed = {
                let mut now = lock(&self.state.now);
                if !now.come.is_empty() {
                    let len = now.come.len().min(MAX_PIECE);
                    return Some(now.come.split_to(len).freeze());
                }
                if now.has_ended {
                    return None;
                }
                self.state.changed.notified()
            };
            changed.await;
        }
    }

    /// Sends what the connection says, until its end.
    async fn read_all(&self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let mut buffer = vec![0; MAX_PIECE];
        loop {
            let room = self.room().await;
            let read = from.read(&mut buffer[..room.min(MAX_PIECE)]).await?;
            if read == 0 {
                return Ok(());
            }
            lock(&self.state.now).room -= read;
            self.transmit(Frame::Data { id: self.id, piece: Bytes::copy_from_slice(&buffer[..read]) }).await;
        }
    }

    async fn room(&self) -> usize {
        loop {
            let changed = {
                let now = lock(&self.state.now);
                if now.room > 0 {
                    return now.room;
                }
                self.state.changed.notified()
            };
            changed.await;
        }
    }

    async fn transmit(&self, frame: Frame) {
        let _ = self.send.send(frame).await; // closed: so is the link
    }
}

/// How many bytes of a tunnel may be on their way.
const WINDOW: usize = 64 << 10;

/// How many tunnels there are at once: as many actors may wait for the debugger, each with its ancestors.
const MAX_TUNNELS: usize = 512;

/// How many frames wait to be sent.
const MAX_FRAMES: usize = 16;

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Two sides with a link between them; the second answers each tunnel with what `accept` makes of it.
    async fn linked<T>(accept: Accept, body: impl AsyncFnOnce(mpsc::Sender<DuplexStream>) -> T) -> T {
        let (begin, begun) = mpsc::channel::<DuplexStream>(4);
        let arrivals = stream::unfold(begun, async |mut begun| {
            let connection = begun.recv().await?;
            let serve: Serve = Box::new(|tunnel| {
                Box::pin(async move {
                    tunnel.open(7).await;
                    tunnel.carry(connection).await;
                })
            });
            Some((serve, begun))
        });
        let mut here = Mux::new(Side::Starter, Box::new(|_, _| Box::pin(async {})), arrivals.boxed());
        let mut there = Mux::new(Side::Keeper, accept, stream::pending().boxed());
        let run = async {
            loop {
                tokio::select! {
                    frame = here.next() => there.take(&frame),
                    frame = there.next() => here.take(&frame),
                }
            }
        };
        tokio::select! {
            done = body(begin) => done,
            never = run => never,
        }
    }

    fn echo() -> Accept {
        Box::new(|to, tunnel| {
            Box::pin(async move {
                assert_eq!(to, 7);
                let (near, far) = duplex(1000);
                let (mut read, mut write) = io::split(far);
                tokio::join!(tunnel.carry(near), async {
                    let _ = io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            })
        })
    }

    #[tokio::test]
    async fn much_comes_back_as_it_was_over_each_of_several_tunnels() {
        let much: Vec<u8> = (0..10 * WINDOW).map(|number| (number % 251) as u8).collect();
        linked(echo(), async |begin| {
            let exchange = async || {
                let (mut near, far) = duplex(3000);
                begin.send(far).await.unwrap();
                let mut back = vec![0; much.len()];
                let (mut read, mut write) = io::split(&mut near);
                let (_, _) = tokio::join!(async { write.write_all(&much).await.unwrap() }, async {
                    read.read_exact(&mut back).await.unwrap();
                });
                assert_eq!(back, much);
            };
            tokio::join!(exchange(), exchange(), exchange());
        })
        .await;
    }

    /// Invariant 1, and no tunnel waits for another.
    #[tokio::test]
    async fn a_tunnel_that_is_not_read_holds_up_no_other_one() {
        linked(echo(), async |begin| {
            let (mut stalled, far) = duplex(1 << 20);
            begin.send(far).await.unwrap();
            stalled.write_all(&vec![1; 1 << 20]).await.unwrap();
            let (mut near, far) = duplex(100);
            begin.send(far).await.unwrap();
            near.write_all(b"hello").await.unwrap();
            let mut back = [0; 5];
            near.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"hello");
        })
        .await;
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_that_of_the_other_one() {
        let ends: Accept = Box::new(|_, tunnel| {
            Box::pin(async move {
                let (near, mut far) = duplex(100);
                tokio::join!(tunnel.carry(near), async {
                    let mut word = [0; 3];
                    far.read_exact(&mut word).await.unwrap();
                    far.write_all(b"bye").await.unwrap();
                    drop(far);
                });
            })
        });
        linked(ends, async |begin| {
            let (mut near, far) = duplex(100);
            begin.send(far).await.unwrap();
            near.write_all(b"end").await.unwrap();
            let mut said = Vec::new();
            near.read_to_end(&mut said).await.unwrap();
            assert_eq!(said, b"bye");
        })
        .await;
    }

    // SEC-30
    /// Invariants 1 and 2: whatever the other side sends.
    #[tokio::test]
    async fn what_the_other_side_makes_of_a_tunnel_is_bounded() {
        let mut mux = Mux::new(
            Side::Starter,
            Box::new(|_, tunnel| {
                Box::pin(async move {
                    let (near, _stalled) = duplex(1);
                    tunnel.carry(near).await;
                })
            }),
            stream::pending().boxed(),
        );
        let last = MAX_TUNNELS as u32 * 2 + 1;
        (0..=MAX_TUNNELS as u32).for_each(|number| mux.take(&Frame::Open { id: 2 * number + 1, to: 0 }.encode()));
        assert_eq!(mux.next().await, Frame::Close { id: last }.encode());
        let piece = Bytes::from(vec![0; MAX_PIECE]);
        (0..10).for_each(|_| mux.take(&Frame::Data { id: 1, piece: piece.clone() }.encode()));
        let held = lock(&mux.tunnels[&1].now).come.len();
        assert!(held <= WINDOW, "{held}");
        [&b""[..], b"o", b"x1234", b"t1234", b"d123"].iter().for_each(|strange| mux.take(strange));
    }
}
