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
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use pleach_wire::log::{Backlog, BoundedQueue};
use tokio::sync::mpsc;

use super::last_words;

use crate::sync::lock;

/// Queues a whole line, or drops it if the queue is full. Never waits.
pub(crate) fn offer(line: Vec<u8>) {
    let Some(queue) = queue() else { return };
    queue.lines.offer(|| line);
}

/// Queues a whole line; waits for room while standard error takes anything.
///
/// # Cancel safety
/// If dropped, the line is not queued.
pub(crate) async fn pass_on(line: &[u8]) {
    let Some(queue) = queue() else { return };
    loop {
        match queue.lines.try_reserve() {
            Some(place) => return queue.lines.put(place, line.to_vec()),
            // No wait for each line once nothing is taken: even the shortest takes a millisecond.
            None if queue.is_stalled() => return queue.lines.drop_one(),
            None => {}
        }
        match tokio::time::timeout(STALLED, queue.lines.reserve()).await {
            Ok(Some(place)) => return queue.lines.put(place, line.to_vec()),
            Ok(None) => return queue.lines.drop_one(),
            Err(_late) => {}
        }
    }
}

/// Returns the present queue; it counts as delivered when it has been written.
pub(super) fn backlog() -> Backlog {
    let queue = STARTED.get().and_then(Option::as_ref);
    queue.map_or_else(Backlog::none, |queue| queue.lines.backlog())
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
    lines: BoundedQueue<Vec<u8>>,
    /// Since when the thread has been writing one and the same line.
    writing_since: Mutex<Option<Instant>>,
}

impl Queue {
    fn start() -> Option<Self> {
        let (lines, taken) = BoundedQueue::new(QUEUED_LINES, QUEUED_BYTES, Vec::len);
        let thread = std::thread::Builder::new().name("pleach-stderr".into());
        thread.spawn(move || write_all(taken)).ok()?;
        last_words::wait_at_exit();
        Some(Self { lines, writing_since: Mutex::default() })
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
        lock(&self.writing_since)
    }
}

/// The thread's loop.
fn write_all(mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.blocking_recv() {
        let Some(queue) = queue() else { return };
        queue.write(&line);
        queue.lines.note_taken(&line);
        queue.lines.note_delivered();
        if let Some(count) = queue.lines.take_dropped() {
            // Invariant 1: after a line there is room for one.
            queue.write(format!("pleach: {count} lines dropped: nothing took them in time\n").as_bytes());
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
