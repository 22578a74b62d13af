//! Standard error, as this library writes to it: the one place through which records, last words and the lines of
//! children pass on their way there.
//!
//! | writer | if the queue is full |
//! |---|---|
//! | log records and last words ([`offer`]) | the record is dropped and counted |
//! | the standard error of children ([`pass_on`]) | waits; dropped and counted only while nothing is taken at all |

use std::io::{self, IsTerminal as _, Write};

use pleach_wire::log::Backlog;

use super::writer::{Lost, Writer};

/// Queues a whole line, or drops it if the queue is full. Never waits.
pub(crate) fn offer(line: Vec<u8>) {
    STDERR.offer(line);
}

/// Queues whole lines of a child; waits for room while standard error takes anything.
///
/// # Cancel safety
/// If dropped, they are not queued.
pub(crate) async fn pass_on(lines: &[u8]) {
    STDERR.pass_on_or_drop(lines).await;
}

/// Counts lines of a child that were not passed on.
pub(crate) fn drop_lines(count: usize) {
    STDERR.drop_lines(count);
}

/// Returns the present queue; it counts as delivered when it has been written.
pub(super) fn backlog() -> Backlog {
    STDERR.backlog()
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

/// What standard error does not take can't be said anywhere; the rest is said there, behind a line that it took.
fn report(stderr: &Writer, lost: Lost) {
    let Lost::Dropped(count) = lost else { return };
    let line = format!("pleach: {count} lines dropped: nothing took them in time\n");
    let _ = stderr.put_out(line.as_bytes()); // the reader may have left
}

static STDERR: Writer =
    Writer::new("stderr", |lines| io::stderr().lock().write_all(lines), || io::stderr().is_terminal(), report);
