//! The queue of records, and the thread that hands them over.
//!
//! # Invariants
//! 1. Nothing here waits for a subscriber.
//! 2. Records that find no room are counted, and the count is handed over as a record of its own once there is room.
//! 3. A process that was forked off this one has no such thread: there, each record is handed over where it is made.

use std::sync::OnceLock;

use tokio::sync::mpsc;
use tracing_core::dispatcher::Dispatch;

use super::bounded::{Backlog, BoundedQueue};
use super::record::{self, Record};
use super::site::Site;

/// Queues the record that `make` makes, if there is room.
pub(super) fn offer(make: impl FnOnce() -> Record) {
    let Some(queue) = queue() else {
        let record = make();
        record.hand_over();
        return record.end();
    };
    queue.records.offer(make);
}

/// Returns the present queue.
pub fn backlog() -> Backlog {
    // A subscriber that ends the process must not wait for itself.
    let queue = QUEUE.get().and_then(Option::as_ref).filter(|queue| queue.is_own() && !record::is_being_handed_over());
    queue.map_or_else(Backlog::none, |queue| queue.records.backlog())
}

/// State shared by the thread and its users.
struct Queue {
    records: BoundedQueue<Record>,
    process: u32,
}

impl Queue {
    fn start() -> Option<Self> {
        let (records, taken) = BoundedQueue::new(QUEUED_RECORDS, QUEUED_BYTES, Record::size);
        std::thread::Builder::new().name("pleach-log".into()).spawn(move || deliver_all(taken)).ok()?;
        Some(Self { records, process: std::process::id() })
    }

    fn is_own(&self) -> bool {
        self.process == std::process::id()
    }

    fn deliver(&self, record: Record) {
        self.records.note_taken(&record);
        record.hand_over();
        if let Some(count) = self.records.take_dropped() {
            tell_dropped(count, record.dispatch().clone()); // invariant 2
        }
        record.end();
        self.records.note_delivered(); // also if the subscriber has panicked over it
    }
}

/// Hands over how many records were dropped.
fn tell_dropped(count: u64, dispatch: Dispatch) {
    static SITE: Site = crate::site!(WARN, "pleach::runtime", count);
    let message = format_args!("log records were dropped: the subscriber did not take them in time");
    let record = Record::new(&SITE, &[&message, &count], dispatch, false);
    record.hand_over();
    record.end();
}

/// The thread's loop.
fn deliver_all(mut records: mpsc::Receiver<Record>) {
    while let Some(record) = records.blocking_recv() {
        let Some(queue) = queue() else { return };
        queue.deliver(record);
    }
}

/// The queue of this process; `None` if the system gave no thread for it.
fn queue() -> Option<&'static Queue> {
    QUEUE.get_or_init(Queue::start).as_ref().filter(|queue| queue.is_own())
}

static QUEUE: OnceLock<Option<Queue>> = OnceLock::new();

/// Records that may wait for the thread.
const QUEUED_RECORDS: usize = 1024;

/// The size of waiting records beyond which no more are queued.
const QUEUED_BYTES: usize = 4 << 20;
