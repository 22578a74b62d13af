//! One of this process's outputs, as this library writes to it: through a bounded queue and a thread of its own.
//!
//! The reader of an output may be slow, stopped, or gone. No task may wait for it, and nothing may panic about it: so
//! the thread alone waits. Each output has one [`Writer`]: [`super::stderr`], [`super::stdout`].
//!
//! # Invariants
//! 1. All lines of an output pass through [`Writer::put_out`], in order, whole.
//! 2. Lines that are lost are counted, and standard error says how many as soon as there is room.
//! 3. At the end of the process the queue is written, within a bound ([`super::last_words`]).

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use pleach_wire::log::{Backlog, BoundedQueue};
use tokio::sync::mpsc;

use super::last_words;
use crate::sync::lock;

/// One output, and the thread that writes to it, from the first line on.
pub(super) struct Writer {
    /// The name of the thread, without the prefix.
    thread: &'static str,
    write: fn(&[u8]) -> io::Result<()>,
    is_terminal: fn() -> bool,
    /// Writes what became of lines that were lost.
    report: fn(&Self, Lost),
    started: OnceLock<Option<Queue>>,
}

/// What became of lines, and why.
pub(super) enum Lost {
    /// So many found no room.
    Dropped(u64),
    /// They can't be written; this is said once, until one is written again.
    Refused(io::Error),
}

impl Writer {
    pub(super) const fn new(
        thread: &'static str,
        write: fn(&[u8]) -> io::Result<()>,
        is_terminal: fn() -> bool,
        report: fn(&Self, Lost),
    ) -> Self {
        Self { thread, write, is_terminal, report, started: OnceLock::new() }
    }

    /// Queues a whole line, or drops it if the queue is full. Never waits.
    pub(super) fn offer(&'static self, line: Vec<u8>) {
        let Some(queue) = self.queue() else { return };
        queue.lines.offer(|| line);
    }

    /// Queues lines, or a part of one; waits for room as long as need be.
    ///
    /// # Cancel safety
    /// If dropped, nothing is queued.
    pub(super) async fn pass_on(&'static self, lines: &[u8]) {
        let Some(queue) = self.queue() else { return };
        match queue.lines.reserve().await {
            Some(place) => queue.lines.put(place, lines.to_vec()),
            None => queue.lines.drop_one(),
        }
    }

    /// As [`pass_on`](Self::pass_on), but drops and counts the lines while nothing at all is written.
    pub(super) async fn pass_on_or_drop(&'static self, lines: &[u8]) {
        let Some(queue) = self.queue() else { return };
        // No wait for each line once nothing is taken: even the shortest takes a millisecond.
        while !queue.is_stalled() || queue.lines.has_room() {
            if tokio::time::timeout(STALLED, self.pass_on(lines)).await.is_ok() {
                return;
            }
        }
        queue.lines.drop_one();
    }

    /// Counts lines that could not be queued.
    pub(super) fn drop_lines(&'static self, count: usize) {
        let Some(queue) = self.queue() else { return };
        (0..count).for_each(|_| queue.lines.drop_one());
    }

    /// Returns how many lines are queued, or dropped and not reported yet.
    pub(super) fn unwritten(&self) -> u64 {
        let Some(queue) = self.started.get().and_then(Option::as_ref) else { return 0 };
        queue.lines.backlog().left() + queue.lines.take_dropped().unwrap_or(0)
    }

    /// Returns the present queue; it counts as delivered when it has been written.
    pub(super) fn backlog(&self) -> Backlog {
        let queue = self.started.get().and_then(Option::as_ref);
        queue.map_or_else(Backlog::none, |queue| queue.lines.backlog())
    }

    /// Writes lines to the output itself, or where those for a terminal go now; returns whether that took them.
    pub(super) fn put_out(&self, lines: &[u8]) -> io::Result<()> {
        if let Some(divert) = &*lock(&DIVERTED)
            && (self.is_terminal)()
        {
            divert(lines);
            return Ok(());
        }
        (self.write)(lines)
    }

    /// The queue of this output; `None` if the system gave no thread for it.
    fn queue(&'static self) -> Option<&'static Queue> {
        self.started.get_or_init(|| Queue::start(self)).as_ref()
    }
}

/// Has the lines for outputs that are terminals go elsewhere, or no longer: a debugger shows them above its prompt.
pub(crate) fn divert(to: Option<Divert>) {
    *lock(&DIVERTED) = to;
}

/// Takes lines, and does not wait.
type Divert = Box<dyn Fn(&[u8]) + Send>;

static DIVERTED: Mutex<Option<Divert>> = Mutex::new(None);

/// State shared by the thread and its users.
struct Queue {
    lines: BoundedQueue<Vec<u8>>,
    /// Since when the thread has been writing one and the same line.
    writing_since: Mutex<Option<Instant>>,
}

impl Queue {
    fn start(writer: &'static Writer) -> Option<Self> {
        let (lines, taken) = BoundedQueue::new(QUEUED_LINES, QUEUED_BYTES, Vec::len);
        let thread = std::thread::Builder::new().name(format!("pleach-{}", writer.thread));
        thread.spawn(move || write_all(writer, taken)).ok()?;
        last_words::wait_at_exit();
        Some(Self { lines, writing_since: Mutex::default() })
    }

    fn is_stalled(&self) -> bool {
        self.writing_since().is_some_and(|since| since.elapsed() >= STALLED)
    }

    fn writing_since(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.writing_since)
    }
}

/// The thread's loop.
fn write_all(writer: &'static Writer, mut lines: mpsc::Receiver<Vec<u8>>) {
    let mut takes = true;
    while let Some(line) = lines.blocking_recv() {
        let Some(queue) = writer.queue() else { return };
        *queue.writing_since() = Some(Instant::now());
        let written = writer.put_out(&line);
        *queue.writing_since() = None;
        let took = std::mem::replace(&mut takes, written.is_ok());
        if let Err(error) = written
            && took
        {
            (writer.report)(writer, Lost::Refused(error));
        }
        queue.lines.note_taken(&line);
        queue.lines.note_delivered();
        if let Some(count) = queue.lines.take_dropped() {
            (writer.report)(writer, Lost::Dropped(count));
        }
    }
}

/// Lines of all sources that may wait for the thread.
const QUEUED_LINES: usize = 2048;

/// The size of waiting lines beyond which no more are queued.
const QUEUED_BYTES: usize = 4 << 20;

/// How long one line may take before the output counts as stalled.
const STALLED: Duration = Duration::from_secs(1);
