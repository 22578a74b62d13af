//! Two ends of a connection with their message loops, and a transport that remembers the lane of each message.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use futures_util::poll;
use pleach_wire::codec::Items;
use pleach_wire::msg::FunctionKind;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{ByteStr, CallOptions, Format, Key, Msg, Settings, Window};

use super::cancelling::Reason;
use super::dialog::DialogHandle;
use super::drain::Drain;
use super::driver::{Invocation, Serve};
use super::opened::OpenedDialog;
use super::*;
use crate::error::{BoxError, Cancelled, ContextCancelled, Error, Raised, Result};
use crate::proto::dialog::{End, NoPermit, Take, TakeFirst};
use crate::proto::inbox::{Intake, Lag};
use crate::scope::CancelScope;

mod batches;
mod cancels;
mod logs;

const DRAIN: Drain = Drain { stalled: Duration::from_secs(1), total: Duration::from_secs(3) };

/// A transport that remembers on which lane each message was queued, and which lanes were closed.
struct Recorded {
    inner: Arc<dyn MsgTransport>,
    queued: Mutex<Vec<(u64, &'static str)>>,
    /// Takes no lane but the control lane, as if all were in use.
    full: AtomicBool,
    /// Messages that come in one go, each in a batch of its own.
    flood: AtomicUsize,
    closed: Mutex<Vec<u64>>,
    /// How many stream messages each shared frame had.
    shared: Mutex<Vec<usize>>,
}

impl MsgTransport for Recorded {
    fn queue(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        if lane != Lane::CONTROL && self.full.load(Ordering::Relaxed) {
            return Err(TransportError::Encode { codec: "msgpack", why: "too many lanes are open".into() });
        }
        self.queued.lock().unwrap().push((lane.0, msg.kind()));
        self.inner.queue(lane, msg)
    }

    fn shares_frames(&self) -> bool {
        self.inner.shares_frames()
    }

    fn queue_items(&self, lane: Lane, cid: Cid, items: &Items) -> Result<usize, TransportError> {
        self.shared.lock().unwrap().push(items.len());
        self.queued.lock().unwrap().extend(items.sizes().map(|_| (lane.0, "yield")));
        self.inner.queue_items(lane, cid, items)
    }

    fn close_lane(&self, lane: Lane) {
        self.closed.lock().unwrap().push(lane.0);
        self.inner.close_lane(lane);
    }

    fn flush_now(&self) {
        self.inner.flush_now();
    }

    fn wake_flusher(&self) {
        self.inner.wake_flusher();
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_room(cx)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.flood.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            batch.push(Msg::Pong { n: 0 });
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_recv(cx, batch)
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_close(cx)
    }

    fn abort(&self) {
        self.inner.abort();
    }

    fn set_max_frame(&self, bytes: usize) {
        self.inner.set_max_frame(bytes);
    }

    fn format(&self) -> Format {
        self.inner.format()
    }

    fn ends(&self) -> &PeerInfo {
        self.inner.ends()
    }

    fn connected(&self) -> bool {
        self.inner.connected()
    }
}

/// Hands a side's requests to its test.
struct Asking(tokio::sync::mpsc::Sender<Invocation>);

impl Serve for Asking {
    fn invoke(&self, _channel: &Channel, asked: Invocation) {
        assert!(self.0.try_send(asked).is_ok(), "the test takes what it asks for");
    }

    fn peer_failed(&self, _channel: &Channel, error: Packed) {
        panic!("{error:?}");
    }

    fn peer_leaves(&self) {}
}

/// One side of a connection.
struct Half {
    channel: Channel,
    transport: Arc<Recorded>,
    asked: tokio::sync::mpsc::Receiver<Invocation>,
    end_request: EndRequest,
}

impl Half {
    fn new(transport: Arc<dyn MsgTransport>, role: Role, here: &ActorId, peer: &ActorId, cancel_ack: Duration) -> Self {
        let transport = Arc::new(Recorded {
            inner: transport,
            queued: Mutex::default(),
            full: AtomicBool::new(false),
            flood: AtomicUsize::new(0),
            closed: Mutex::default(),
            shared: Mutex::default(),
        });
        let end_request = EndRequest::default();
        let terms = Terms {
            role,
            here: here.clone(),
            peer: peer.clone(),
            cancel_ack,
            max_tasks: 10,
            max_arguments: usize::MAX,
            max_answers: usize::MAX,
            max_backlog: usize::MAX,
            silence: Duration::from_secs(10),
            stream_window: Window::INITIAL,
            end_request: end_request.clone(),
            lasts: false,
            began: Instant::now(),
            detector: None,
        };
        let channel = Channel::new(transport.clone(), terms);
        let (asking, asked) = tokio::sync::mpsc::channel(10);
        tokio::spawn(driver::run(channel.clone(), Arc::new(Asking(asking)), Vec::new(), DRAIN));
        Self { channel, transport, asked, end_request }
    }

    fn queued(&self) -> Vec<(u64, &'static str)> {
        self.transport.queued.lock().unwrap().clone()
    }

    fn closed(&self) -> Vec<u64> {
        self.transport.closed.lock().unwrap().clone()
    }

    /// Nothing is left of any dialog.
    fn assert_empty(&self) {
        let session = self.channel.session();
        assert_eq!((session.open_calls(), session.running_tasks()), (0, 0));
    }
}

/// A caller and a callee with a connection between them.
async fn connected() -> (Half, Half) {
    connected_with(pleach_patience::patience()).await
}

/// As [`connected`], with so much time for acknowledgements.
async fn connected_with(cancel_ack: Duration) -> (Half, Half) {
    let registry = crate::transports::registry(false);
    let (kind, settings) = (registry.find(&Key::new("msgpack", "mem")).unwrap(), Settings::default());
    let mut listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
    let address = listener.local_address().clone();
    let (dialled, accepted) = tokio::join!(kind.dial(&address, &settings), listener.accept());
    let (caller, callee) = (ActorId::new("caller"), ActorId::new("callee"));
    let here = Half::new(dialled.unwrap(), Role::Dialer, &caller, &callee, cancel_ack);
    (here, Half::new(kind.wrap(accepted.unwrap()), Role::Listener, &callee, &caller, cancel_ack))
}

fn open(caller: &Half) -> OpenedDialog {
    OpenedDialog::open(&caller.channel, ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap()
}

/// Opens a context whose function has sent its first value; returns both sides of it.
async fn started(caller: &Half, callee: &mut Half) -> (OpenedDialog, DialogHandle) {
    let opened = open(caller);
    let function = callee.asked.recv().await.unwrap().dialog.unwrap();
    function.start(&()).unwrap();
    assert!(matches!(opened.handle().first().await, TakeFirst::Value(_)));
    (opened, function)
}

#[tokio::test]
async fn a_heartbeat_is_answered_whatever_the_tasks_do() {
    let (caller, mut callee) = connected().await;
    let pending = caller.channel.call(ByteStr::from_static("a::b"), &1u8, CallOptions::default()).unwrap();
    let _busy = callee.asked.recv().await.unwrap();
    caller.channel.send(Lane::CONTROL, &Outgoing::Ping { n: 7 }, 0).unwrap();
    caller.channel.send(Lane::CONTROL, &Outgoing::Cancel { cid: Cid(9) }, 0).unwrap();
    // Answers come in the order of the questions.
    while callee.queued().last() != Some(&(0, "cancel_ack")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(callee.queued(), [(0, "pong"), (0, "cancel_ack")]);
    drop(pending);
}

#[tokio::test]
async fn a_peer_that_never_pauses_leaves_other_tasks_their_turn() {
    let (caller, _callee) = connected().await;
    let flood = &caller.transport.flood;
    flood.store(1_000_000, Ordering::Relaxed);
    caller.channel.look_at_timers();
    // On the thread of the message loop: this goes on when that ends its turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let left = flood.swap(0, Ordering::Relaxed);
    assert!(left > 900_000, "only {left} messages were left when another task had its turn");
}

#[tokio::test]
async fn a_call_uses_no_lane() {
    let (caller, mut callee) = connected().await;
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &1u8, CallOptions::default()).unwrap();
    let asked = callee.asked.recv().await.unwrap();
    callee.channel.answer(asked.cid, &2u8);
    assert_eq!(pending.outcome().await.unwrap().decode::<u8>().unwrap(), 2);
    assert_eq!((caller.queued(), callee.queued()), (vec![(0, "start")], vec![(0, "return")]));
    assert!(caller.closed().is_empty() && callee.closed().is_empty());
    caller.assert_empty();
    callee.assert_empty();
}

/// A buffer for one message.
fn one_message() -> Intake {
    Intake { window: Window::of_messages(1), lag: Lag::Wait }
}

/// Takes the next stream message.
async fn item(dialog: &DialogHandle) -> Take {
    std::future::poll_fn(|cx| dialog.poll_items(cx, &mut VecDeque::new())).await
}

#[tokio::test]
async fn a_context_has_a_lane_and_gives_it_back() {
    // S03.
    let (caller, mut callee) = connected().await;
    let (opened, function) = started(&caller, &mut callee).await;
    let cid = function.cid();
    for side in [opened.handle(), &function] {
        side.open_stream(one_message()).unwrap();
        side.send_item(&7u8).unwrap().unwrap();
        std::future::poll_fn(|cx| side.poll_room(cx)).await;
        side.finish_stream().unwrap();
    }
    assert!(matches!(item(opened.handle()).await, Take::Item(..)));
    assert!(matches!(item(&function).await, Take::Item(..)));
    drop(function);
    callee.channel.answer(cid, &());
    assert!(matches!(opened.handle().settled().await, Ok(End::Value(_))));
    assert!(caller.closed().is_empty(), "its block is still open");
    drop(opened);
    let streamed = [(1, "stream"), (1, "yield"), (1, "stop")];
    assert_eq!(caller.queued(), [&[(0, "open")], &streamed[..]].concat());
    assert_eq!(callee.queued(), [&[(1, "started")], &streamed[..], &[(1, "return")]].concat());
    assert_eq!((caller.closed(), callee.closed()), (vec![1], vec![1]));
    caller.assert_empty();
    callee.assert_empty();
}

#[tokio::test]
async fn credit_is_enough_for_a_peer_that_has_opened_no_stream() {
    // A caller that waits for the result discards messages and blocks no sender: with a stream or without one.
    let (caller, mut callee) = connected().await;
    let (opened, function) = started(&caller, &mut callee).await;
    function.open_stream(one_message()).unwrap();
    for _ in 0..Window::INITIAL.messages {
        function.send_item(&()).unwrap().unwrap();
    }
    let mut permit = pin!(function.until_permitted());
    assert!(poll!(permit.as_mut()).is_pending());
    let mut ended = pin!(opened.handle().ended());
    tokio::select! {
        biased;
        permit = permit => assert!(permit.is_ok(), "{permit:?}"),
        end = ended.as_mut() => panic!("{end:?}"),
    }
}

#[tokio::test]
async fn a_context_without_a_lane_to_spare_does_with_the_control_lane() {
    let (caller, mut callee) = connected().await;
    callee.transport.full.store(true, Ordering::Relaxed);
    let (opened, function) = started(&caller, &mut callee).await;
    // It stays there, so that its messages stay in order.
    callee.transport.full.store(false, Ordering::Relaxed);
    let cid = function.cid();
    drop(function);
    callee.channel.answer(cid, &());
    assert!(matches!(opened.handle().settled().await, Ok(End::Value(_))));
    assert_eq!(callee.queued(), [(0, "started"), (0, "return")]);
    assert!(callee.closed().is_empty());
}

// SEC-16
#[tokio::test]
async fn strange_messages_are_counted_and_do_no_harm() {
    // S04.
    let (caller, mut callee) = connected().await;
    for cid in [Cid(0), Cid(2), Cid(77), Cid(u64::MAX)] {
        callee.channel.send(Lane::CONTROL, &Outgoing::Yield { cid, value: &() }, 1).unwrap();
    }
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
    callee.channel.answer(callee.asked.recv().await.unwrap().cid, &());
    pending.outcome().await.unwrap();
    assert_eq!(caller.channel.0.ignored.load(Ordering::Relaxed), 4);
    // Messages that cross the end of a dialog are normal.
    callee.channel.send(Lane::CONTROL, &Outgoing::Credit { cid: pending.cid, count: 1 }, 1).unwrap();
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
    callee.channel.answer(callee.asked.recv().await.unwrap().cid, &());
    pending.outcome().await.unwrap();
    assert_eq!(caller.channel.0.ignored.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn an_acknowledgement_goes_behind_the_answer_on_its_lane() {
    // S24.
    for fails in [false, true] {
        let (caller, mut callee) = connected().await;
        let (opened, function) = started(&caller, &mut callee).await;
        let (cid, scope) = (function.cid(), CancelScope::new());
        callee.channel.attach(cid, Running::now(scope.clone(), FunctionKind::Rpc, "a::b"));
        let ends = async {
            scope.token().cancelled().await;
            match fails {
                true => callee.channel.answer_dropped(cid),
                false => callee.channel.answer(cid, &()),
            }
        };
        let (cancelled, ()) = tokio::join!(opened.handle().cancel(Reason::Asked), ends);
        cancelled.unwrap();
        assert!(opened.handle().look(|state| state.cancel_acked()));
        let lane = u64::from(!fails);
        assert_eq!(callee.queued()[1..], [(lane, if fails { "error" } else { "return" }), (lane, "cancel_ack")]);
        drop((opened, function));
        // The acknowledgement may still be on its way; a call behind it has passed it.
        let _behind = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
        callee.channel.answer(callee.asked.recv().await.unwrap().cid, &());
        while caller.channel.session().open_calls() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((caller.closed(), callee.closed()), (vec![], vec![1]), "the caller has sent nothing in order");
    }
}

#[tokio::test]
async fn a_lost_connection_wakes_the_function_too() {
    let (caller, mut callee) = connected().await;
    let (_opened, function) = started(&caller, &mut callee).await;
    function.open_stream(Intake { window: Window::INITIAL, lag: Lag::Wait }).unwrap();
    caller.transport.abort();
    assert!(matches!(item(&function).await, Take::Failed(End::Lost)));
}
