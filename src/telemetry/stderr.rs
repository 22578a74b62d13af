//! Standard error, as this library writes to it: through a bounded queue and a thread of its own.
//!
//! The reader of standard error may be slow, stopped, or gone. No task may wait for it, and nothing may panic
//! about it: so the thread alone waits, and an error of writing is an end of the line, no more.
//!
//! | writer | if the queue is full |
//! |---|---|
//! | log records and last words ([`offer`]) | the record is dropped and counted |
//! | the standard error of children ([`pass_on`]) | waits; dropped and counted only while nothing is taken at all |
//!
//! # Invariants
//! 1. Dropped lines are counted, and the count is written as soon as there is room.
//! 2. At the end of the process the queue is written, within a bound ([`super::last_words`]).

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pleach_wire::log::Backlog;
use tokio::sync::{mpsc, watch};

use super::last_words;

/// Queues a whole line, or drops it if the queue is full. Never waits.
pub(crate) fn offer(line: Vec<u8>) {
    let Some(queue) = queue() else { return };
    let place = queue.lines.try_reserve().ok();
    match place.filter(|_| queue.bytes.load(Ordering::Acquire) < QUEUED_BYTES) {
        Some(place) => queue.put(place, line),
        None => queue.drop_one(),
    }
}

/// Queues a whole line; waits for room while standard error takes anything.
///
/// # Cancel safety
/// If dropped, the line is not queued.
pub(crate) async fn pass_on(line: &[u8]) {
    let Some(queue) = queue() else { return };
    loop {
        match queue.lines.try_reserve() {
            Ok(place) => return queue.put(place, line.to_vec()),
            // No wait for each line once nothing is taken: even the shortest takes a millisecond.
            Err(_) if queue.is_stalled() => return queue.drop_one(),
            Err(_) => {}
        }
        match tokio::time::timeout(STALLED, queue.lines.reserve()).await {
            Ok(Ok(place)) => return queue.put(place, line.to_vec()),
            Ok(Err(_)) => return queue.drop_one(),
            Err(_late) => {}
        }
    }
}

/// Returns the present queue; it counts as delivered when it has been written.
pub(super) fn backlog() -> Backlog {
    let queue = STARTED.get().and_then(Option::as_ref);
    queue.map_or_else(Backlog::none, |queue| {
        Backlog::new(queue.queued.load(Ordering::Acquire), queue.written.subscribe())
    })
}

/// Takes whole records from a subscriber.
pub(super) struct Records;

impl Write for Records {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        offer(record.to_vec());
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// State shared by the thread and its users.
struct Queue {
    lines: mpsc::Sender<Vec<u8>>,
    /// How many lines were put into the queue.
    queued: AtomicU64,
    /// How many of them were taken from it and written.
    written: watch::Sender<u64>,
    /// The size of the lines that wait.
    bytes: AtomicUsize,
    dropped: AtomicU64,
    /// Since when the thread has been writing one and the same line.
    writing_since: Mutex<Option<Instant>>,
}

impl Queue {
    fn start() -> Option<Self> {
        let (lines, taken) = mpsc::channel(QUEUED_LINES);
        let thread = std::thread::Builder::new().name("pleach-stderr".into());
        thread.spawn(move || write_all(taken)).ok()?;
        let (written, _) = watch::channel(0);
        last_words::wait_at_exit();
        Some(Self {
            lines,
            queued: AtomicU64::new(0),
            written,
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            writing_since: Mutex::default(),
        })
    }

    fn put(&self, place: mpsc::Permit<'_, Vec<u8>>, line: Vec<u8>) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(line.len(), Ordering::AcqRel);
        place.send(line);
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::AcqRel);
    }

    fn is_stalled(&self) -> bool {
        self.writing_since().is_some_and(|since| since.elapsed() >= STALLED)
    }

    fn write(&self, line: &[u8]) {
        *self.writing_since() = Some(Instant::now());
        let _ = io::stderr().lock().write_all(line); // the reader may have left
        *self.writing_since() = None;
    }

    fn writing_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.writing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's loop.
fn write_all(mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.blocking_recv() {
        let Some(queue) = queue() else { return };
        queue.write(&line);
        queue.bytes.fetch_sub(line.len(), Ordering::AcqRel);
        queue.written.send_modify(|written| *written += 1);
        match queue.dropped.swap(0, Ordering::AcqRel) {
            0 => {}
            // Invariant 1: after a line there is room for one.
            dropped => queue.write(format!("pleach: {dropped} lines dropped: nothing took them in time\n").as_bytes()),
        }
    }
}

/// The queue of this process; `None` if the system gave no thread for it.
fn queue() -> Option<&'static Queue> {
    STARTED.get_or_init(Queue::start).as_ref()
}

static STARTED: OnceLock<Option<Queue>> = OnceLock::new();

/// Lines of all sources that may wait for the thread.
const QUEUED_LINES: usize = 2048;

/// The size of waiting lines beyond which no more records are queued.
const QUEUED_BYTES: usize = 4 << 20;

/// How long one line may take before standard error counts as stalled.
const STALLED: Duration = Duration::from_secs(1);
