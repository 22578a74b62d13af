//! Slow lines: what is urgent waits for no more than is on the line already, and last words get through.
//!
//! Bounds are counted in bytes on the line, not in time, so that a busy machine changes nothing.

use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, Cid, Msg, MsgTransport, MsgTransportExt, Outgoing};

use crate::line::Line;
use crate::say::{Inbox, Parcel, number, number_of};
use crate::subject::Subject;

/// A message on the control lane, sent into a flood of data, arrives before much of that: the network's own
/// buffers hold no more than keeps a line busy.
pub async fn control_waits_for_little_of_a_flood(subject: &Subject) {
    let mut listener = subject.listen().await;
    let Some(line) = Line::to(listener.local_address(), RATE).await else { return };
    let (address, meter) = (line.address.clone(), line.meter());
    let check = async {
        let (near, far) = tokio::join!(subject.dial(&address), subject.accept(&mut listener));
        let large = Parcel::new(1, LARGE);
        for cid in 0..FLOOD {
            near.queue(DATA, &Msg::Yield { cid: Cid(cid % 4), value: &large }).unwrap();
        }
        let receive = async {
            let (mut inbox, mut arrived) = (Inbox::new(&far), 0);
            let mut sent_at = None;
            loop {
                match inbox.next().await.unwrap() {
                    msg @ Msg::Return { .. } => {
                        assert_eq!(number_of(&msg), 7);
                        let on_the_line = meter()[0] - sent_at.expect("it was sent");
                        assert!(on_the_line < AHEAD, "{on_the_line} bytes went before it");
                        assert!(arrived < FLOOD, "it came after all the data");
                        break;
                    }
                    _ => arrived += 1,
                }
                // The flood is well under way.
                if arrived == FLOOD / 4 {
                    sent_at = Some(meter()[0]);
                    near.queue(Lane::CONTROL, &number(&7)).unwrap();
                    near.flush_now();
                }
            }
        };
        tokio::select! {
            () = receive => {}
            flushed = keep_flushing(&*near) => panic!("{flushed:?}"),
        }
    };
    line.carry(check).await;
}

/// A close over a slow line sends everything, and the good-bye behind all of it, on whichever stream it goes. While
/// it does, something moves all the time.
pub async fn last_words_get_through_a_slow_line(subject: &Subject) {
    let mut listener = subject.listen().await;
    let Some(line) = Line::to(listener.local_address(), RATE).await else { return };
    let address = line.address.clone();
    let check = async {
        let (near, far) = tokio::join!(subject.dial(&address), subject.accept(&mut listener));
        let large = Parcel::new(1, LARGE);
        for cid in 0..WORDS {
            near.queue(Lane(cid), &Msg::Yield { cid: Cid(cid), value: &large }).unwrap();
        }
        near.queue(Lane::CONTROL, &Outgoing::Bye { why: ByteStr::from_static("done") }).unwrap();
        let before = near.traffic();
        let mut batch = Vec::new();
        let (closed, drained) = tokio::join!(near.close(), far.drain(&mut batch));
        closed.unwrap();
        drained.unwrap();
        assert_eq!(batch.len() as u64, WORDS + 1);
        assert_eq!(batch.last().map(Msg::kind), Some("bye"), "something came behind the good-bye");
        let after = near.traffic();
        assert!(before.waiting as u64 >= WORDS * LARGE as u64 && after.waiting == 0, "{before:?}, {after:?}");
        assert!(after.moved - before.moved >= WORDS * LARGE as u64, "{before:?}, {after:?}");
    };
    line.carry(check).await;
}

/// Writes what is queued, as the task that drives a connection does.
async fn keep_flushing(transport: &dyn MsgTransport) -> Result<(), pleach_wire::TransportError> {
    std::future::poll_fn(|cx| match transport.poll_flush(cx) {
        std::task::Poll::Ready(Ok(())) => std::task::Poll::Pending,
        failed => failed,
    })
    .await
}

/// A lane for data.
const DATA: Lane = Lane(5);

/// Bytes that the line carries in a second: 40 Mbit.
const RATE: u64 = 5_000_000;

/// A large message: several chunks.
const LARGE: usize = 256 << 10;

/// So many large messages are a flood: more than any buffer of a system holds by default.
const FLOOD: u64 = 40;

/// So many large messages are last words, each on a lane of its own.
const WORDS: u64 = 6;

/// What may go before a control message that is sent into a flood: a chunk that was begun, what the system takes
/// beyond what it has sent, and what is on the line and in the windows of its two halves.
const AHEAD: u64 = 768 << 10;
