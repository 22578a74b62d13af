//! Standard output, as this library writes to it: the one place through which the lines of children pass on their way
//! there. The program itself prints as it likes.
//!
//! Output is data, so a child waits for a slow reader, as it would at a pipe of its own. Only one that must answer in
//! time, since it is monitored with heartbeats, waits no longer than while something is taken: the rest is dropped and
//! counted. If the reader has left, what children write is lost, standard error says so once, and they live on.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Once;

use pleach_wire::log::Backlog;

use super::stderr;
use super::writer::{Lost, Writer};

/// Queues output of a child; waits for room as long as need be.
///
/// # Cancel safety
/// If dropped, nothing is queued.
pub(crate) async fn pass_on(output: &[u8]) {
    STDOUT.pass_on(output).await;
}

/// As [`pass_on`], but drops and counts the output while nothing at all is taken.
///
/// # Cancel safety
/// If dropped, nothing is queued.
pub(crate) async fn pass_on_or_drop(output: &[u8]) {
    STDOUT.pass_on_or_drop(output).await;
}

/// Counts lines of a child that were not passed on.
pub(crate) fn drop_lines(count: usize) {
    if count > 0 {
        report(&STDOUT, Lost::Dropped(count as u64));
    }
}

/// Returns the present queue; it counts as delivered when it has been written.
pub(crate) fn backlog() -> Backlog {
    STDOUT.backlog()
}

/// Says how much will not be written, at the end of the process; once.
pub(super) fn report_unwritten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match STDOUT.unwritten() {
        0 => {}
        count => report(&STDOUT, Lost::Dropped(count)),
    });
}

fn write(output: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(output)?;
    stdout.flush()
}

fn report(_stdout: &Writer, lost: Lost) {
    let line = match lost {
        Lost::Dropped(count) => {
            format!("pleach: {count} lines of actors to standard output dropped: nothing took them in time\n")
        }
        Lost::Refused(error) => {
            format!("pleach: standard output does not take what actors write ({error}): it is dropped\n")
        }
    };
    stderr::offer(line.into());
}

static STDOUT: Writer = Writer::new("stdout", write, || io::stdout().is_terminal(), report);
