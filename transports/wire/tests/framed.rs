//! `Framed` over a byte link in memory: back-pressure, blobs, limits, wake-ups.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

use pleach_patience::patience;
use pleach_wire::framed::Framed;
use pleach_wire::transport::{Lane, PeerInfo};
use pleach_wire::{Address, Blob, Cid, Link, Msg, MsgTransport, MsgTransportExt, Msgpack, Outgoing, TransportError};
use serde::{Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

type Transport = Framed<Msgpack>;

fn over(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Transport {
    let address = Address::Mem("framed".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    Framed::new(Msgpack, Link { reader: Box::new(reader), writer: Box::new(writer), lanes: None, ends })
}

fn pair(capacity: usize) -> (Transport, Transport) {
    let framed = |stream: DuplexStream| {
        let (reader, writer) = tokio::io::split(stream);
        over(reader, writer)
    };
    let (near, far) = duplex(capacity);
    (framed(near), framed(far))
}

fn blob(blob: &Blob) -> Outgoing<'_> {
    Msg::Return { cid: Cid(1), value: blob }
}

async fn one(from: &Transport) -> Msg {
    let mut batch = Vec::new();
    from.recv(&mut batch).await.unwrap();
    assert_eq!(batch.len(), 1);
    batch.remove(0)
}

/// A waker that remembers whether it was woken.
#[derive(Default)]
struct Woken(Mutex<bool>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
    }
}

impl Woken {
    fn take(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn a_full_queue_has_no_room_until_the_peer_reads() {
    let (near, far) = pair(64 << 10);
    let piece = Blob::from(vec![1; 100 << 10]);
    let mut queued = 0;
    while poll_fn(|cx| Poll::Ready(near.poll_room(cx).is_ready())).await {
        near.queue(Lane::CONTROL, &blob(&piece)).unwrap();
        queued += 1;
    }
    assert_eq!(queued, 3, "256 KiB are the mark");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(near.poll_room(&mut Context::from_waker(&waker)).is_pending());
    let receive = async {
        for _ in 0..queued {
            one(&far).await;
        }
    };
    let (flushed, ()) = tokio::join!(near.flush(), receive);
    flushed.unwrap();
    assert!(woken.take(), "a sender that waits for room is woken");
    assert!(near.poll_room(&mut Context::from_waker(&waker)).is_ready());
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_is_sent_by_its_sender_alone() {
    let (near, far) = pair(1000);
    let piece = Blob::from(vec![1; 300 << 10]);
    let batch = [blob(&piece), blob(&piece), blob(&piece)];
    let receive = async {
        for _ in 0..3 {
            one(&far).await;
        }
    };
    let (sent, ()) = tokio::join!(near.send(&batch), receive);
    sent.unwrap();
}

#[tokio::test]
async fn of_several_tasks_that_flush_each_is_woken() {
    let (near, far) = pair(1000);
    near.queue(Lane::CONTROL, &blob(&vec![1; 100 << 10].into())).unwrap();
    let flushers: [Arc<Woken>; 3] = Default::default();
    for flusher in &flushers {
        let waker = Waker::from(flusher.clone());
        assert!(near.poll_flush(&mut Context::from_waker(&waker)).is_pending());
    }
    let (flushed, _) = tokio::join!(near.flush(), one(&far));
    flushed.unwrap();
    assert!(flushers.iter().all(|flusher| flusher.take()));
}

/// As the waker of a runtime's `block_on` may be: `will_wake` does not know its clone.
fn waker_unlike_its_clone() -> Waker {
    static FIRST: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);
    static CLONE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_clone);
    fn clone(data: *const ()) -> RawWaker {
        RawWaker::new(data, &CLONE)
    }
    fn wake(_: *const ()) {
        WAKES.fetch_add(1, Ordering::Relaxed);
    }
    fn drop(_: *const ()) {}
    fn drop_clone(_: *const ()) {
        std::hint::black_box(()); // differs from the first, so that the tables do
    }
    // SAFETY: no function uses the data, and all may be called from any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &FIRST)) }
}

static WAKES: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_task_that_flushes_again_is_not_woken_by_that() {
    let (near, _far) = pair(1000);
    let waker = waker_unlike_its_clone();
    for _ in 0..3 {
        assert!(near.poll_flush(&mut Context::from_waker(&waker)).is_ready());
    }
    assert_eq!(WAKES.load(Ordering::Relaxed), 0, "it would spin");
}

#[tokio::test]
async fn a_sender_that_waits_is_not_woken_before_something_moves() {
    let (near, _far) = pair(1000);
    near.queue(Lane::CONTROL, &blob(&vec![1; 300 << 10].into())).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(near.poll_flush(&mut cx).is_pending());
    woken.take();
    assert!(near.poll_room(&mut cx).is_pending());
    assert!(!woken.take(), "it would spin");
}

/// Notes where the bytes of each write lie.
struct Noting(Arc<Mutex<Vec<(usize, usize)>>>);

impl AsyncWrite for Noting {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push((bytes.as_ptr() as usize, bytes.len()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut noted = self.0.lock().unwrap();
        noted.extend(slices.iter().map(|slice| (slice.as_ptr() as usize, slice.len())));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_blob_is_written_from_where_it_lies() {
    let noted = Arc::default();
    let near = over(tokio::io::empty(), Noting(Arc::clone(&noted)));
    let big = Blob::from(vec![7; 1 << 20]);
    near.queue(Lane::CONTROL, &Msg::Cancel { cid: Cid(1) }).unwrap();
    assert!(near.queue(Lane::CONTROL, &blob(&big)).unwrap() > 1 << 20, "it counts as queued");
    near.send(&[Msg::Cancel { cid: Cid(2) }]).await.unwrap();
    let place = big.as_ptr() as usize..big.as_ptr() as usize + big.len();
    let noted = noted.lock().unwrap();
    let (blob, others): (Vec<_>, Vec<_>) = noted.iter().partition(|(start, _)| place.contains(start));
    assert_eq!(blob.iter().map(|(_, len)| len).sum::<usize>(), 1 << 20);
    let others: usize = others.iter().map(|(_, len)| len).sum();
    assert!(others < 300, "{others} bytes around it and its chunks");
}

#[tokio::test]
async fn a_received_blob_is_a_part_of_its_frame() {
    let (near, far) = pair(64 << 10);
    let big = Blob::from(vec![7; 1 << 20]);
    let message = [blob(&big)];
    let (sent, received) = tokio::join!(near.send(&message), one(&far));
    sent.unwrap();
    let value = received.payload().unwrap();
    let (first, second): (Blob, Blob) = (value.decode().unwrap(), value.decode().unwrap());
    assert_eq!(first, big);
    assert_eq!(first.as_ptr(), second.as_ptr(), "decoding copied it");
}

/// Gives out a frame in pieces, as far as a read takes them, and notes how much room each read was offered.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    room: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.room.lock().unwrap().push(buf.remaining());
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
            buf.put_slice(&piece);
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn the_rest_of_a_large_frame_is_read_into_the_room_that_was_made_for_it() {
    let mut whole = (300u32 << 10).to_le_bytes().to_vec();
    whole.extend([0x92, 7, 0xdb]); // bye, and a long text
    whole.extend(((300u32 << 10) - 7).to_be_bytes());
    whole.resize(4 + (300 << 10), b'x');
    let rest = whole.split_off(whole.len() - 100);
    let large = whole.split_off(1000);
    let room = Arc::default();
    let pieces = [whole, large, rest].into();
    let near = over(Pieces { pieces, room: Arc::clone(&room) }, tokio::io::sink());
    assert_eq!(one(&near).await.kind(), "bye");
    let room = room.lock().unwrap();
    assert!(*room.last().unwrap() < 2048, "for 100 bytes the frame was moved into a larger buffer: {room:?}");
}

#[tokio::test]
async fn the_frame_limit_holds_in_both_directions() {
    let (near, far) = pair(64 << 10);
    let message = Blob::from(vec![1; 3000]);
    near.set_max_frame(2000);
    match near.queue(Lane::CONTROL, &blob(&message)) {
        Err(error @ TransportError::FrameTooLarge { limit: 2000, .. }) => {
            assert!(error.to_string().contains("to the peer") && error.to_string().contains("max_frame"), "{error}");
        }
        other => panic!("expected FrameTooLarge and got {other:?}"),
    }
    near.set_max_frame(4000);
    far.set_max_frame(4000);
    near.send(&[blob(&message)]).await.unwrap();
    one(&far).await;
    far.set_max_frame(2000);
    near.send(&[blob(&message)]).await.unwrap();
    let mut batch = Vec::new();
    let end = far.recv(&mut batch).await.unwrap_err();
    assert!(matches!(end, TransportError::FrameTooLarge { size, limit: 2000, .. } if size > 3000), "{end:?}");
    assert!(far.queue(Lane::CONTROL, &Msg::Cancel { cid: Cid(1) }).is_err(), "a fault ends both directions");
}

#[tokio::test]
async fn a_flush_that_an_abort_cuts_short_is_an_error() {
    let (near, _far) = pair(1000);
    near.queue(Lane::CONTROL, &blob(&vec![1; 100 << 10].into())).unwrap();
    near.abort();
    assert!(near.flush().await.is_err());
    assert!(near.close().await.is_err());
}

/// A value whose code waits while it is encoded.
struct Slow {
    begun: mpsc::SyncSender<()>,
    may_end: Mutex<mpsc::Receiver<()>>,
}

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.begun.send(()).unwrap();
        self.may_end.lock().unwrap().recv().unwrap();
        serializer.serialize_unit()
    }
}

#[test]
fn a_value_that_takes_long_to_encode_holds_up_no_other_message() {
    let (near, _far) = pair(1000);
    let ((begun, has_begun), (end, may_end), (sent, was_sent)) =
        (mpsc::sync_channel(1), mpsc::sync_channel(1), mpsc::sync_channel(1));
    let slow = Slow { begun, may_end: Mutex::new(may_end) };
    thread::scope(|threads| {
        threads.spawn(|| near.queue(Lane::CONTROL, &Msg::Return { cid: Cid(1), value: &slow }).unwrap());
        has_begun.recv_timeout(patience()).unwrap();
        threads.spawn(|| sent.send(near.queue(Lane::CONTROL, &Msg::Ping { n: 1 }).unwrap()));
        let other = was_sent.recv_timeout(patience());
        end.send(()).unwrap(); // before the test fails, or the threads would never end
        assert_eq!(other, Ok(7), "a ping takes seven bytes: the slow value is not in the queue yet");
    });
}
