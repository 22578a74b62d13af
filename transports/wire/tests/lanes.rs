//! Lanes over a link that has them, with streams in memory that can be stalled one by one.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use pleach_wire::framed::Framed;
use pleach_wire::transport::{AcceptLanes, Lane, Lanes, OpenLanes, PeerInfo};
use pleach_wire::{Address, Cid, Link, Msg, MsgTransport, MsgTransportExt, Msgpack, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::sync::mpsc;

/// The bytes an unread stream takes before it stalls.
const STREAM: usize = 4096;

/// Streams that wait for the acceptor; the test lets them through when it wants to.
type Held = Arc<Mutex<VecDeque<DuplexStream>>>;

struct Opener {
    streams: mpsc::Sender<DuplexStream>,
    held: Held,
    hold: Arc<AtomicUsize>,
}

impl OpenLanes for Opener {
    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<Box<dyn AsyncWrite + Send + Unpin>>> {
        let (near, far) = duplex(STREAM);
        if self.hold.load(Ordering::Relaxed) > 0 {
            self.hold.fetch_sub(1, Ordering::Relaxed);
            self.held.lock().unwrap().push_back(far);
        } else {
            self.streams.try_send(far).unwrap();
        }
        Poll::Ready(Ok(Box::new(near)))
    }
}

struct Acceptor(mpsc::Receiver<DuplexStream>);

impl AcceptLanes for Acceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
        self.0.poll_recv(cx).map(|stream| match stream {
            Some(stream) => Ok(Box::new(stream) as Box<dyn AsyncRead + Send + Unpin>),
            None => Err(std::io::ErrorKind::ConnectionReset.into()),
        })
    }
}

struct Pair {
    near: Arc<Framed<Msgpack>>,
    far: Arc<Framed<Msgpack>>,
    /// The next so many streams that `near` opens stay in `held`.
    hold: Arc<AtomicUsize>,
    held: Held,
    /// Hands a stream to `far`.
    streams: mpsc::Sender<DuplexStream>,
}

fn pair() -> Pair {
    let (control_near, control_far) = duplex(STREAM);
    let (to_far, from_near) = mpsc::channel(2048);
    let (to_near, from_far) = mpsc::channel(2048);
    let (hold, held) = (Arc::new(AtomicUsize::new(0)), Held::default());
    let opener = Opener { streams: to_far.clone(), held: held.clone(), hold: hold.clone() };
    let near = link(control_near, opener, from_far);
    let far = link(control_far, Opener { streams: to_near, held: Held::default(), hold: Arc::default() }, from_near);
    Pair { near, far, hold, held, streams: to_far }
}

fn link(
    control: DuplexStream,
    opener: impl OpenLanes + 'static,
    streams: mpsc::Receiver<DuplexStream>,
) -> Arc<Framed<Msgpack>> {
    let (reader, writer) = tokio::io::split(control);
    let lanes = Lanes { opener: Box::new(opener), acceptor: Box::new(Acceptor(streams)) };
    let address = Address::Mem("lanes".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    let link = Link { reader: Box::new(reader), writer: Box::new(writer), lanes: Some(lanes), ends };
    Arc::new(Framed::new(Msgpack, link))
}

impl Pair {
    fn queue(&self, lane: u64, number: u64) -> Result<usize, TransportError> {
        self.near.queue(Lane(lane), &Msg::Cancel { cid: Cid(number) })
    }

    fn queue_big(&self, lane: u64, bytes: usize) -> usize {
        self.near.queue(Lane(lane), &Msg::Return { cid: Cid(lane), value: &"x".repeat(bytes) }).unwrap()
    }

    /// Receives until `count` messages have arrived, while `near` writes.
    async fn receive(&self, count: usize) -> Vec<u64> {
        let mut batch = Vec::new();
        let near = self.near.clone();
        let flusher = async move {
            near.flush().await.unwrap();
            std::future::pending::<()>().await;
        };
        let receiver = async {
            while batch.len() < count {
                self.far.recv(&mut batch).await.unwrap();
            }
        };
        tokio::select! {
            () = receiver => {}
            () = flusher => {}
        }
        batch.iter().map(cid).collect()
    }
}

fn cid(msg: &Msg) -> u64 {
    match msg {
        Msg::Cancel { cid } | Msg::Return { cid, .. } => cid.0,
        other => panic!("{other:?} was not sent"),
    }
}

#[tokio::test]
async fn every_lane_keeps_its_order_and_all_arrive() {
    let pair = pair();
    for number in 0..300 {
        pair.queue(number % 3, number).unwrap();
    }
    let got = pair.receive(300).await;
    for lane in 0..3 {
        let of_lane: Vec<u64> = got.iter().copied().filter(|number| number % 3 == lane).collect();
        assert!(of_lane.is_sorted(), "lane {lane} came out of order");
        assert_eq!(of_lane.len(), 100);
    }
}

#[tokio::test]
async fn a_stalled_lane_holds_up_no_other() {
    let pair = pair();
    pair.hold.store(1, Ordering::Relaxed);
    pair.queue_big(7, 100 * STREAM);
    pair.near.flush_now();
    assert_eq!(pair.held.lock().unwrap().len(), 1, "the stalled stream was not opened");
    for number in 1..=100 {
        pair.queue(number % 2 * 9, number).unwrap(); // the control lane and lane 9
    }
    assert_eq!(pair.receive(100).await.len(), 100);

    // The stalled lane has no room, the others have; it goes on once its peer takes bytes again.
    let room = |lane| {
        let transport = pair.near.clone();
        async move { std::future::poll_fn(|cx| transport.poll_lane_room(Lane(lane), cx)).await.unwrap() }
    };
    room(0).await;
    room(9).await;
    let mut stalled = std::pin::pin!(room(7));
    assert!(poll_once(stalled.as_mut()).is_pending());
    let stream = pair.held.lock().unwrap().pop_front().unwrap();
    pair.streams.try_send(stream).unwrap();
    assert_eq!(pair.receive(1).await, [7]);
    stalled.await;
}

#[tokio::test]
async fn a_lane_that_ends_frees_its_place_and_ends_nothing_else() {
    let pair = pair();
    for lane in 1..=5000 {
        pair.queue(lane, lane).unwrap();
        pair.near.close_lane(Lane(lane));
        assert_eq!(pair.receive(1).await, [lane]);
        pair.near.flush().await.unwrap();
    }
    assert!(pair.near.connected() && pair.far.connected());
    pair.queue(0, 1).unwrap();
    assert_eq!(pair.receive(1).await, [1]);
}

#[tokio::test]
async fn too_many_lanes_are_an_error_of_the_message_only() {
    let pair = pair();
    let opened = (1..).take_while(|&lane| pair.queue(lane, lane).is_ok()).count();
    assert_eq!(opened, 1024);
    let error = pair.queue(9999, 1).unwrap_err();
    assert!(error.to_string().contains("1024 lanes are open"), "{error}");
    pair.queue(1, 1).unwrap();
    assert_eq!(pair.receive(opened + 1).await.len(), opened + 1);
}

#[tokio::test]
async fn close_delivers_every_lane_before_the_end() {
    let pair = pair();
    for lane in 0..20 {
        pair.queue_big(lane, 3 * STREAM);
    }
    let mut batch = Vec::new();
    let (closed, drained) = tokio::join!(pair.near.close(), pair.far.drain(&mut batch));
    closed.unwrap();
    drained.unwrap();
    let mut lanes: Vec<u64> = batch.iter().map(cid).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, Vec::from_iter(0..20));
}

#[tokio::test]
async fn a_lane_cut_inside_a_frame_is_a_fault() {
    let pair = pair();
    pair.hold.store(1, Ordering::Relaxed);
    pair.queue_big(7, 100 * STREAM);
    pair.near.flush_now();
    let stream = pair.held.lock().unwrap().pop_front().unwrap();
    pair.streams.try_send(stream).unwrap();
    pair.near.abort();
    let error = pair.far.recv(&mut Vec::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::Truncated { .. }), "{error}");
}

#[tokio::test]
async fn a_stream_that_claims_to_be_the_control_lane_is_refused() {
    let pair = pair();
    let (mut forged, far) = duplex(64);
    tokio::io::AsyncWriteExt::write_all(&mut forged, &0u64.to_le_bytes()).await.unwrap();
    pair.streams.try_send(far).unwrap();
    let error = pair.far.recv(&mut Vec::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::Decode { .. }), "{error}");
}

/// All streams of a connection share what may be under way, and messages wait for each other as on one stream.
#[tokio::test]
async fn messages_of_many_megabytes_wait_for_each_other_on_all_lanes() {
    let pair = pair();
    pair.hold.store(1, Ordering::Relaxed);
    for lane in [7, 8, 0] {
        pair.queue_big(lane, 5 << 20);
        pair.near.flush_now();
    }
    for lane in 20..40 {
        pair.queue_big(lane, 1 << 20);
    }
    // The first one's peer takes nothing yet.
    let smaller = pair.receive(20).await;
    assert!(smaller.iter().all(|lane| *lane >= 20), "{smaller:?}");
    pair.queue(0, 5).unwrap();
    assert_eq!(pair.receive(1).await, [5], "small ones wait for nothing");
    let stream = pair.held.lock().unwrap().pop_front().unwrap();
    pair.streams.try_send(stream).unwrap();
    let mut large = pair.receive(3).await;
    assert_eq!(large.remove(0), 7);
    assert!(large.contains(&0) && large.contains(&8), "{large:?}");
}

/// The smaller ones have 32 MiB together, over all lanes.
#[tokio::test]
async fn messages_of_some_megabytes_wait_for_each_other_on_many_lanes() {
    let pair = pair();
    pair.hold.store(10, Ordering::Relaxed);
    for lane in 1..=10 {
        pair.queue_big(lane, 4_000_000);
        pair.near.flush_now();
    }
    let mut begun = Vec::new();
    for stream in pair.held.lock().unwrap().iter_mut() {
        let mut bytes = Vec::with_capacity(STREAM);
        let read = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, &mut bytes));
        begun.push(poll_once(read).map(Result::unwrap));
    }
    let (taken, id) = (Poll::Ready(STREAM), Poll::Ready(8));
    assert_eq!(begun, [[taken; 8].as_slice(), &[id; 2]].concat());
}

// SEC-15
#[tokio::test]
async fn a_peer_that_completes_no_message_on_any_lane_is_refused() {
    let pair = pair();
    pair.far.set_max_frame(1 << 20);
    let mut open = Vec::new();
    for lane in 1u64..=40 {
        let (mut near, far) = duplex(2 << 20);
        let header = [(1 << 30) | ((1 << 20) - 1), 1, 1 << 20].map(u32::to_le_bytes).concat();
        let all_but_one = [&lane.to_le_bytes()[..], &header, &vec![7; (1 << 20) - 1]].concat();
        tokio::io::AsyncWriteExt::write_all(&mut near, &all_but_one).await.unwrap();
        open.push(near);
        pair.streams.try_send(far).unwrap();
    }
    let error = pair.far.recv(&mut Vec::new()).await.unwrap_err();
    assert!(
        error.to_string().contains("of messages that are not complete, on 40 lanes; the limit is 35651584"),
        "{error}"
    );
}

#[tokio::test]
async fn abort_wakes_who_waits_for_room_on_a_lane() {
    let pair = pair();
    pair.hold.store(1, Ordering::Relaxed);
    pair.queue_big(7, 100 * STREAM);
    pair.near.flush_now();
    let waiter = pair.near.clone();
    let mut waiting = Box::pin(async move { std::future::poll_fn(|cx| waiter.poll_lane_room(Lane(7), cx)).await });
    assert!(poll_once(waiting.as_mut()).is_pending());
    pair.near.abort();
    assert!(waiting.await.is_err());
}

/// Polls once.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

/// A stream that takes everything and wakes its writer all the same.
struct Restless;

impl AsyncWrite for Restless {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct OpenRestless;

impl OpenLanes for OpenRestless {
    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<Box<dyn AsyncWrite + Send + Unpin>>> {
        Poll::Ready(Ok(Box::new(Restless)))
    }
}

#[tokio::test]
async fn a_lane_that_is_woken_without_need_is_not_finished_twice() {
    let (near, _far) = duplex(STREAM);
    let near = link(near, OpenRestless, mpsc::channel(1).1);
    for number in 0..3 {
        near.queue(Lane(7), &Msg::Cancel { cid: Cid(number) }).unwrap();
        near.flush().await.unwrap();
        near.flush().await.unwrap(); // it was woken, and has nothing to write
    }
    near.close_lane(Lane(7));
    near.flush().await.unwrap();
}
