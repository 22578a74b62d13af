//! The order of messages that share a stream: control before data, large ones in chunks.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use pleach_wire::framed::Framed;
use pleach_wire::transport::{Lane, PeerInfo};
use pleach_wire::{Address, Blob, ByteStr, Cid, Link, Msg, MsgTransport, MsgTransportExt, Msgpack, TransportError};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;

/// One direction of a connection, which moves as many bytes as the test tells it to.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Everything that was ever written.
    log: Vec<u8>,
    /// Bytes that the next writes take, and the next reads bring, before they have to wait.
    writable: usize,
    readable: usize,
    closed: bool,
}

impl Pipe {
    fn let_write(&self, bytes: usize) {
        self.0.lock().unwrap().writable = bytes;
    }

    fn let_read(&self, bytes: usize) {
        self.0.lock().unwrap().readable = bytes;
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.lock().unwrap();
        let before = state.writable;
        for slice in slices {
            let len = slice.len().min(state.writable);
            state.bytes.extend(&slice[..len]);
            state.log.extend(&slice[..len]);
            state.writable -= len;
        }
        if before == 0 { Poll::Pending } else { Poll::Ready(Ok(before - state.writable)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().closed = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.lock().unwrap();
        let len = state.bytes.len().min(state.readable).min(buf.remaining());
        if len == 0 && !(state.closed && state.bytes.is_empty()) {
            return Poll::Pending;
        }
        state.readable -= len;
        let bytes: Vec<u8> = state.bytes.drain(..len).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

/// Two ends and what lies between them; one writes, the other reads.
struct Pair {
    near: Framed<Msgpack>,
    far: Framed<Msgpack>,
    pipe: Pipe,
    received: Vec<Msg>,
}

fn over(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Framed<Msgpack> {
    let address = Address::Mem("interleaving".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    Framed::new(Msgpack, Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
}

fn pair() -> Pair {
    let pipe = Pipe::default();
    let (near, far) = (over(tokio::io::empty(), pipe.clone()), over(pipe.clone(), tokio::io::sink()));
    Pair { near, far, pipe, received: Vec::new() }
}

impl Pair {
    /// Queues a message whose value is `number` and as many bytes as asked for.
    fn queue(&self, lane: Lane, cid: u64, number: u64, bytes: usize) {
        let value = (lane.0, number, Blob::from(vec![number as u8; bytes]));
        self.near.queue(lane, &Msg::Yield { cid: Cid(cid), value: &value }).unwrap();
    }

    fn write(&self, bytes: usize) {
        self.pipe.let_write(bytes);
        self.near.flush_now();
    }

    fn read(&mut self, bytes: usize) -> Poll<Result<(), TransportError>> {
        self.pipe.let_read(bytes);
        read_all(&self.far, &mut self.received)
    }

    fn close(&self) {
        self.pipe.let_write(usize::MAX);
        let turns = Arc::new(Turns::default());
        let waker = Waker::from(turns.clone());
        while self.near.poll_close(&mut Context::from_waker(&waker)).map(Result::unwrap).is_pending() {
            assert!(turns.0.swap(0, Ordering::Relaxed) > 0, "the link takes everything");
        }
    }

    /// Writes and reads all that is queued, and returns the numbers in the order of their arrival.
    fn arrived(&mut self) -> Vec<u64> {
        self.write(usize::MAX);
        assert!(self.read(usize::MAX).is_pending(), "{:?}", self.received);
        self.numbers()
    }

    fn numbers(&self) -> Vec<u64> {
        self.received.iter().map(|msg| parts(msg).1).collect()
    }

    /// Takes all frames that were ever written, read as documented.
    fn frames(&self) -> Vec<Frame> {
        let log = std::mem::take(&mut self.pipe.0.lock().unwrap().log);
        let (mut rest, mut frames) = (&log[..], Vec::new());
        let word = |bytes: &mut &[u8]| u32::from_le_bytes(*bytes.split_off(..4).unwrap().first_chunk().unwrap());
        while !rest.is_empty() {
            let first = word(&mut rest);
            let (kind, len) = (first >> 30, first & 0x3fff_ffff);
            let id = if kind > 0 { word(&mut rest) } else { 0 };
            let size = if kind == 1 { word(&mut rest) } else { 0 };
            frames.push(Frame { kind, len, id, size });
            rest = &rest[len as usize..];
        }
        frames
    }

    fn has_room(&self, lane: Lane) -> bool {
        self.near.poll_lane_room(lane, &mut Context::from_waker(Waker::noop())).is_ready()
    }
}

/// What the header of a frame says: the last two, where its kind has them.
struct Frame {
    kind: u32,
    len: u32,
    id: u32,
    size: u32,
}

/// Reads until nothing more comes, also where that takes several turns.
fn read_all(far: &Framed<Msgpack>, received: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
    let turns = Arc::new(Turns::default());
    let waker = Waker::from(turns.clone());
    loop {
        match far.poll_recv(&mut Context::from_waker(&waker), received) {
            Poll::Pending if turns.0.swap(0, Ordering::Relaxed) == 0 => return Poll::Pending,
            Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
            Poll::Pending | Poll::Ready(Ok(())) => {}
        }
    }
}

/// Counts wake-ups.
#[derive(Default)]
struct Turns(AtomicUsize);

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The content of a message of [`Pair::queue`]: lane, number, how many bytes.
fn parts(msg: &Msg) -> (u64, u64, usize) {
    let (lane, number, bytes): (u64, u64, Blob) = msg.payload().unwrap().decode().unwrap();
    assert!(*bytes == vec![number as u8; bytes.len()], "message {number} has changed");
    (lane, number, bytes.len())
}

const CONTROL: Lane = Lane::CONTROL;
const DATA: Lane = Lane(5);
const OTHER: Lane = Lane(6);

#[test]
fn control_overtakes_data_at_the_next_frame() {
    let mut pair = pair();
    for number in 0..10 {
        pair.queue(DATA, 5, number, 200);
    }
    pair.write(700); // three frames of a little more than 200 bytes, and a part of the fourth
    pair.queue(CONTROL, 1, 99, 10);
    assert_eq!(pair.arrived(), [0, 1, 2, 3, 99, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn control_and_small_data_overtake_what_is_large_at_the_next_chunk() {
    let mut pair = pair();
    pair.queue(DATA, 5, 0, 1 << 20);
    pair.write(100);
    pair.queue(OTHER, 6, 1, 10);
    pair.queue(CONTROL, 1, 2, 10);
    pair.write(66_000); // the rest of the chunk, and the small ones
    assert!(pair.read(usize::MAX).is_pending());
    assert_eq!(pair.numbers(), [2, 1]);
    assert_eq!(pair.arrived(), [2, 1, 0]);
}

#[test]
fn large_messages_take_turns() {
    let mut pair = pair();
    pair.queue(DATA, 5, 0, 2 << 20);
    pair.queue(CONTROL, 1, 1, 1 << 20);
    pair.queue(OTHER, 6, 2, 100 << 10);
    assert_eq!(pair.arrived(), [2, 1, 0]);
}

/// The largest of the messages have to wait for each other, or a receiver would have to hold them all in parts.
// SEC-15
#[test]
fn one_message_of_many_megabytes_is_under_way_at_a_time() {
    let mut pair = pair();
    for cid in 0..4 {
        pair.queue(DATA, cid, cid, 5 << 20);
        pair.queue(OTHER, 10 + cid, 10 + cid, 1 << 20);
    }
    pair.queue(DATA, 0, 20, 2 << 20); // behind one of five
    pair.queue(DATA, 0, 21, 5 << 20);
    let arrived = pair.arrived();
    let (mut large, mut most) = (BTreeMap::new(), 0);
    for frame in pair.frames() {
        if frame.size > 4 << 20 {
            large.insert(frame.id, frame.size);
        }
        most = most.max(large.len());
        if let Some(left) = large.get_mut(&frame.id) {
            *left -= frame.len;
        }
        large.retain(|_, left| *left > 0);
    }
    assert_eq!(most, 1);
    assert_eq!(arrived[..5], [10, 11, 12, 13, 0], "those of one megabyte wait for none of five");
    assert_eq!(
        arrived.iter().filter(|number| [0, 1, 2, 3, 21].contains(number)).collect::<Vec<_>>(),
        [&0, &1, &2, &3, &21]
    );
    assert_eq!(arrived.len(), 10);
}

/// A sender that puts one large message behind the other, in one line, writes many chunks at a time.
#[test]
fn messages_of_one_dialog_grow_and_shrink() {
    let mut pair = pair();
    let sizes = [5 << 20, 5 << 20, 100 << 10, 200 << 10, 10, 70 << 10, 6 << 20, 10];
    for (number, size) in sizes.into_iter().enumerate() {
        pair.queue(DATA, 5, number as u64, size);
    }
    assert_eq!(pair.arrived(), Vec::from_iter(0..8));
}

#[test]
fn messages_of_one_dialog_and_lane_do_not_overtake_each_other() {
    let mut pair = pair();
    pair.queue(DATA, 5, 0, 10);
    pair.queue(DATA, 5, 1, 1 << 20);
    pair.queue(DATA, 5, 2, 10);
    pair.queue(DATA, 5, 3, 100 << 10);
    pair.queue(DATA, 7, 4, 10); // of another dialog
    pair.queue(CONTROL, 5, 5, 10); // on another lane
    assert_eq!(pair.arrived(), [5, 0, 4, 1, 2, 3]);
}

/// Large messages have turns while there is still data, but only those that were queued before it.
#[test]
fn a_large_message_overtakes_no_small_one_that_was_queued_before_it() {
    let mut pair = pair();
    pair.queue(OTHER, 6, 101, 200 << 10);
    for number in 0..100 {
        pair.queue(DATA, 7, number, 4000);
    }
    pair.queue(DATA, 5, 102, 70 << 10);
    for _ in 0..100 {
        pair.write(10_000);
    }
    let arrived = pair.arrived();
    assert_eq!(arrived.last(), Some(&102));
    assert_ne!(arrived[100], 101, "it had no turn");
}

#[test]
fn a_good_bye_is_the_last() {
    let mut pair = pair();
    pair.queue(DATA, 5, 0, 1 << 20);
    pair.near.queue(CONTROL, &Msg::Bye { why: ByteStr::from_static("done") }).unwrap();
    pair.write(1000);
    pair.queue(CONTROL, 1, 1, 10);
    pair.queue(CONTROL, 2, 2, 100 << 10);
    pair.close();
    assert!(matches!(pair.read(usize::MAX), Poll::Ready(Err(TransportError::Closed(_)))));
    assert_eq!(pair.received.pop().unwrap().kind(), "bye");
    assert_eq!(pair.received.len(), 3);
}

/// Control never ceases, and the link takes little at a time.
#[test]
fn no_task_waits_for_ever() {
    let mut pair = pair();
    pair.queue(DATA, 5, 1, 300 << 10);
    pair.queue(OTHER, 6, 2, 10);
    let mut awaited = vec![1, 2];
    for _ in 0..300 {
        for lane in [CONTROL, OTHER] {
            while pair.has_room(lane) {
                pair.queue(lane, 100, 0, 60_000);
            }
        }
        pair.write(50_000);
        assert!(pair.read(usize::MAX).is_pending());
        let arrived: Vec<u64> = pair.received.drain(..).map(|msg| parts(&msg).1).collect();
        awaited.retain(|number| !arrived.contains(number));
    }
    assert!(awaited.is_empty(), "{awaited:?} was never written");
}

#[test]
fn control_has_room_whatever_waits_as_data() {
    let pair = pair();
    for number in 0..100 {
        pair.queue(DATA, 5, number, 3000);
    }
    pair.queue(OTHER, 6, 0, 10 << 20);
    assert!(!pair.has_room(DATA) && !pair.has_room(OTHER) && !pair.has_room(Lane(7)), "small data counts for all");
    assert!(pair.has_room(CONTROL));
    for number in 0..100 {
        pair.queue(CONTROL, 5, number, 3000);
    }
    assert!(!pair.has_room(CONTROL));
}

#[test]
fn small_messages_have_room_whatever_is_large_and_wait_for_small_ones() {
    let pair = pair();
    let woken = Arc::new(Turns::default());
    let waker = Waker::from(woken.clone());
    let small_room = || match pair.near.poll_small_room(&mut Context::from_waker(&waker)) {
        Poll::Ready(any) => Some(any.unwrap()),
        Poll::Pending => None,
    };
    assert_eq!(small_room(), Some(true));
    pair.queue(CONTROL, 5, 0, 10 << 20);
    assert_eq!(small_room(), Some(false), "a large one has to wait");
    assert!(!pair.has_room(CONTROL));
    for number in 0..100 {
        pair.queue(CONTROL, 7 + number, number, 3000);
    }
    assert_eq!(small_room(), None);
    pair.write(100 << 10);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1, "less than the mark is left of the small ones");
    assert_eq!(small_room(), Some(false));
}

#[test]
fn a_value_is_small_if_its_message_goes_in_one_frame() {
    let pair = pair();
    let bytes = |len: usize| Blob::from(vec![0; len]);
    assert!(pair.near.is_small(&bytes(20_000)) && !pair.near.is_small(&bytes(70_000)));
    assert!(pair.near.is_small(&vec![7u8; 1000]) && !pair.near.is_small(&vec![7u8; 70_000]));
}

/// The bytes that can be ahead of a small message, whatever waits, are those of one write and of a begun chunk.
#[test]
fn other_tasks_have_a_turn_within_a_large_message() {
    let mut pair = pair();
    pair.queue(CONTROL, 5, 0, 8 << 20);
    let turns = Arc::new(Turns::default());
    let waker = Waker::from(turns.clone());
    let mut cx = Context::from_waker(&waker);
    pair.pipe.let_write(usize::MAX);
    assert!(pair.near.poll_flush(&mut cx).is_pending(), "the link takes everything, and yet");
    assert_eq!(turns.0.swap(0, Ordering::Relaxed), 1);
    let ahead = pair.pipe.0.lock().unwrap().log.len();
    assert!(ahead <= 2 << 20, "{ahead} bytes in one turn");
    pair.queue(CONTROL, 7, 1, 10);
    while pair.near.poll_flush(&mut cx).is_pending() {
        assert_eq!(turns.0.swap(0, Ordering::Relaxed), 1);
    }
    pair.pipe.let_read(usize::MAX);
    assert!(pair.far.poll_recv(&mut cx, &mut pair.received).is_pending(), "it is not whole after one turn");
    assert_eq!(turns.0.load(Ordering::Relaxed), 1);
    assert!(read_all(&pair.far, &mut pair.received).is_pending());
    assert_eq!(pair.numbers(), [1, 0]);
}

/// A link that takes everything, the first bytes slowly.
#[derive(Clone)]
struct Sink {
    slow_until: Instant,
    taken: Arc<AtomicUsize>,
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while Instant::now() < self.slow_until {
            std::hint::spin_loop();
        }
        self.taken.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A runtime looks at them when it has nothing to run: a turn that ends must not leave something to run at once.
#[test]
fn sockets_and_timers_have_a_turn_within_a_large_message() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().event_interval(u32::MAX).build().unwrap();
    runtime.block_on(async {
        let due = Instant::now() + Duration::from_millis(5);
        let sink = Sink { slow_until: due + Duration::from_millis(5), taken: Arc::default() };
        let near = over(tokio::io::empty(), sink.clone());
        near.queue(CONTROL, &Msg::Yield { cid: Cid(5), value: &Blob::from(vec![7; 20 << 20]) }).unwrap();
        let mut flushing = JoinSet::new(); // the runtime looks at them whenever its main task is woken
        flushing.spawn(async move { near.flush().await });
        tokio::time::sleep_until(due.into()).await;
        let taken = sink.taken.load(Ordering::Relaxed);
        flushing.join_next().await.unwrap().unwrap().unwrap();
        assert!(taken < 5 << 20, "{taken} bytes were written before");
    });
}

#[test]
fn a_large_message_leaves_room_on_other_lanes_until_there_are_many() {
    let pair = pair();
    for lane in 1..=8 {
        assert!(pair.has_room(Lane(99)));
        pair.queue(Lane(lane), 5, 0, 1 << 20);
        assert!(!pair.has_room(Lane(lane)));
    }
    assert!(!pair.has_room(Lane(99)), "a stalled reader would take any amount of memory");
    pair.write(usize::MAX);
    assert!(pair.has_room(Lane(99)));
}

/// A header as documented: its first word, and the words that follow.
fn header(kind: u32, len: u32, more: &[u32]) -> Vec<u8> {
    [kind << 30 | len].iter().chain(more).flat_map(|word| word.to_le_bytes()).collect()
}

/// Reads `bytes` until the end.
fn end_of(bytes: Vec<u8>) -> TransportError {
    let far = over(io::Cursor::new(bytes), tokio::io::sink());
    let polled = read_all(&far, &mut Vec::new());
    let Poll::Ready(Err(end)) = polled else { panic!("expected the end and got {polled:?}") };
    end
}

// S47
#[test]
fn what_is_written_is_as_documented() {
    let pair = pair();
    for cid in 0..20 {
        pair.queue(DATA, cid, cid, 200 << 10);
        pair.queue(CONTROL, cid, cid, 60_000);
    }
    pair.write(usize::MAX);
    let (mut left, mut most) = (BTreeMap::<u32, u32>::new(), 0);
    for Frame { kind, len, id, size } in pair.frames() {
        assert!(len <= 65_536, "a frame of {len} bytes");
        if kind > 0 {
            if kind == 1 {
                assert!(size > 200 << 10);
                assert_eq!(left.insert(id, size), None);
            }
            most = most.max(left.len());
            *left.get_mut(&id).unwrap() -= len;
            left.retain(|_, left| *left > 0);
        }
    }
    assert!(left.is_empty());
    assert_eq!(most, 8, "so many are under way");
}

#[test]
fn chunks_that_fit_nothing_are_refused_with_a_reason() {
    let first = |id: u32, size: u32, len: u32| [header(1, len, &[id, size]), vec![7; len as usize]].concat();
    let further = |id: u32, len: u32| [header(2, len, &[id]), vec![7; len as usize]].concat();
    let nine: Vec<_> = (0..9).map(|id| first(id, 100_000, 10)).collect();
    let cases = [
        (header(3, 5, &[1]), "both of the bits that mark a chunk"),
        (further(4, 10), "a further chunk of message 4 came, and none such is under way"),
        (
            [first(4, 100_000, 10), first(4, 100_000, 10)].concat(),
            "message 4 begins again after 10 of its 100000 bytes",
        ),
        (
            [first(4, 100_000, 60), further(4, 99_950)].concat(),
            "a chunk of 99950 bytes came for message 4, which lacks 99940 of",
        ),
        (first(4, 100_000, 100_001), "the first chunk of message 4 has 100001 bytes, and the whole has 100000"),
        (first(4, 100, 10), "message 4 of 100 bytes comes in chunks, which is for those over 65536"),
        (nine.concat(), "message 8 begins while 8 others are under way"),
        (
            [first(1, 5 << 20, 10), first(2, 5 << 20, 10)].concat(),
            "message 2 of 5242880 bytes begins beside others under way: one may be larger than 4194304",
        ),
    ];
    for (bytes, expected) in cases {
        match end_of(bytes) {
            TransportError::Decode { why, .. } => assert!(why.contains(expected), "{why}"),
            end => panic!("expected Decode ({expected}) and got {end:?}"),
        }
    }
}

#[test]
fn the_size_of_a_message_in_chunks_is_checked_before_anything_is_allocated() {
    let end = end_of(header(1, 10, &[1, u32::MAX]));
    assert!(matches!(end, TransportError::FrameTooLarge { size: 0xffff_ffff, .. }), "{end:?}");
}

#[test]
fn an_end_while_a_message_is_under_way_is_truncated() {
    let begun = [header(1, 10, &[1, 100_000]), vec![7; 10]].concat();
    let cases = [
        (begun.clone(), (10, 100_000)),
        (begun[..begun.len() - 3].to_vec(), (7, 100_000)),
        ([begun, header(2, 10, &[])].concat(), (10, 100_000)),
        (header(1, 10, &[1]), (8, 9)),
    ];
    for (bytes, expected) in cases {
        match end_of(bytes) {
            TransportError::Truncated { received, expected: of } => assert_eq!((received, of), expected),
            end => panic!("expected Truncated and got {end:?}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Queue { lane: u64, cid: u64, bytes: usize },
    Write(usize),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![3 => 0..300usize, 1 => 60_000..70_000usize, 2 => 0..300_000usize];
    let amount = || prop_oneof![0..20usize, 0..5000usize, 0..200_000usize];
    prop_oneof![
        3 => (0..4u64, 1..4u64, bytes).prop_map(|(lane, cid, bytes)| Step::Queue { lane, cid, bytes }),
        2 => amount().prop_map(Step::Write),
        1 => amount().prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// However writing and reading are cut up: every message arrives as it was, and those of one lane
    /// and dialog in their order.
    #[test]
    fn order_and_contents_are_kept(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = pair();
        let mut expected = BTreeMap::<(u64, u64), Vec<(u64, usize)>>::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Queue { lane, cid, bytes } => {
                    pair.queue(Lane(lane), cid, number, bytes);
                    expected.entry((lane, cid)).or_default().push((number, bytes));
                }
                Step::Write(bytes) => pair.write(bytes),
                Step::Read(bytes) => prop_assert!(pair.read(bytes).is_pending()),
            }
        }
        pair.close();
        let end = pair.read(usize::MAX);
        prop_assert!(matches!(end, Poll::Ready(Err(TransportError::Closed(_)))), "{:?}", end);
        let mut arrived = BTreeMap::<(u64, u64), Vec<(u64, usize)>>::new();
        for msg in &pair.received {
            let (lane, number, bytes) = parts(msg);
            arrived.entry((lane, msg.cid().unwrap().0)).or_default().push((number, bytes));
        }
        prop_assert_eq!(arrived, expected);
    }
}
