//! The queue of records, and the thread that hands them over.
//!
//! # Invariants
//! 1. Nothing here waits for a subscriber, except [`Backlog::delivered`].
//! 2. Records that find no room are counted, and the count is handed over as a record of its own once there is room.
//! 3. A process that was forked off this one has no such thread: there, each record is handed over where it is made.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{mpsc, watch};
use tracing_core::dispatcher::Dispatch;

use super::record::{self, Record};
use super::site::Site;

/// Queues the record that `make` makes, if there is room.
pub(super) fn offer(make: impl FnOnce() -> Record) {
    let Some(queue) = queue() else {
        let record = make();
        record.hand_over();
        return record.end();
    };
    let place = queue.records.try_reserve().ok();
    match place.filter(|_| queue.bytes.load(Ordering::Acquire) < QUEUED_BYTES) {
        Some(place) => queue.put(place, make()),
        None => drop(queue.dropped.fetch_add(1, Ordering::AcqRel)),
    }
}

/// Returns the present queue.
pub fn backlog() -> Backlog {
    // A subscriber that ends the process must not wait for itself.
    let queue = QUEUE.get().and_then(Option::as_ref).filter(|queue| queue.is_own() && !record::is_being_handed_over());
    queue.map_or_else(Backlog::none, |queue| {
        Backlog::new(queue.queued.load(Ordering::Acquire), queue.delivered.subscribe())
    })
}

/// The content of a queue at some moment. It is delivered, unless the receiving side blocks.
#[derive(Debug)]
pub struct Backlog(Option<(u64, watch::Receiver<u64>)>);

impl Backlog {
    /// Nothing is left.
    pub fn none() -> Self {
        Self(None)
    }

    /// The rest until `delivered` has become `until`.
    pub fn new(until: u64, delivered: watch::Receiver<u64>) -> Self {
        Self(Some((until, delivered)))
    }

    /// Returns how much of it is left.
    pub fn left(&self) -> u64 {
        self.0.as_ref().map_or(0, |(until, delivered)| until.saturating_sub(*delivered.borrow()))
    }

    /// Waits until nothing is left: for ever, if the receiving side blocks for ever.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn delivered(self) {
        if let Some((until, mut delivered)) = self.0 {
            let _ = delivered.wait_for(|delivered| *delivered >= until).await; // there is no more than it has counted
        }
    }
}

/// State shared by the thread and its users.
struct Queue {
    records: mpsc::Sender<Record>,
    /// How many records were put into the queue.
    queued: AtomicU64,
    /// How many of them a subscriber has taken, or has panicked over.
    delivered: watch::Sender<u64>,
    /// The size of the records that wait.
    bytes: AtomicUsize,
    dropped: AtomicU64,
    process: u32,
}

impl Queue {
    fn start() -> Option<Self> {
        let (records, taken) = mpsc::channel(QUEUED_RECORDS);
        std::thread::Builder::new().name("pleach-log".into()).spawn(move || deliver_all(taken)).ok()?;
        let (delivered, _) = watch::channel(0);
        let (queued, bytes, dropped) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Some(Self { records, queued, delivered, bytes, dropped, process: std::process::id() })
    }

    fn is_own(&self) -> bool {
        self.process == std::process::id()
    }

    fn put(&self, place: mpsc::Permit<'_, Record>, record: Record) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(record.size(), Ordering::AcqRel);
        place.send(record);
    }

    fn deliver(&self, record: Record) {
        self.bytes.fetch_sub(record.size(), Ordering::AcqRel);
        record.hand_over();
        match self.dropped.swap(0, Ordering::AcqRel) {
            0 => {}
            count => tell_dropped(count, record.dispatch().clone()), // invariant 2
        }
        record.end();
        self.delivered.send_modify(|delivered| *delivered += 1);
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
