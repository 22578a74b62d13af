//! Last words: queued records and lines are delivered before the process ends, within a bound.
//!
//! ```text
//! record ─► pleach_wire::log ─► subscriber ─► [super::stderr] ─► standard error
//! ```
//! Both arrows in the middle are queues with threads of their own, and either may be stuck for good: a subscriber
//! that blocks, or a standard error that is not read. What children write to standard output has such a queue as well.

use std::sync::Once;
use std::time::{Duration, Instant};

use pleach_wire::log::{self, Backlog};

use super::{stderr, stdout};

/// Waits until everything that is queued now is delivered, but not longer than [`MOMENT`].
///
/// # Cancel safety
/// It only waits.
pub(crate) async fn delivered() {
    let all = async {
        log::backlog().delivered().await;
        stdout::backlog().delivered().await;
        stderr::backlog().delivered().await;
    };
    let _ = tokio::time::timeout(MOMENT, all).await; // the rest may be taken later
}

/// As [`delivered`], for code outside of any runtime.
pub(crate) fn wait_a_moment() {
    let begun = Instant::now();
    for queue in [log::backlog(), stdout::backlog(), stderr::backlog()] {
        wait(&queue, begun, MOMENT);
    }
}

/// As [`wait_a_moment`], at the end of the process: longer while something is still taken, up to [`AT_END`], and up to
/// [`OUTPUT`] for what children have printed.
pub(crate) fn wait_at_end() {
    // A subscriber may put records of the first queue into the last one, which says what the others have lost.
    wait(&log::backlog(), Instant::now(), AT_END);
    #[cfg(feature = "otel")]
    super::otel::flush();
    wait(&stdout::backlog(), Instant::now(), OUTPUT);
    stdout::report_unwritten();
    wait(&stderr::backlog(), Instant::now(), AT_END);
}

/// Does so when the process exits, in whatever way.
#[allow(unsafe_code)]
pub(crate) fn wait_at_exit() {
    static ONCE: Once = Once::new();
    extern "C" fn at_exit() {
        wait_at_end();
    }
    // SAFETY: the function lives as long as the program, and does not unwind: nothing in it panics. It may run on
    // any thread, while others go on.
    ONCE.call_once(|| unsafe {
        libc::atexit(at_exit); // without it, only the last records are lost
    });
}

fn wait(queue: &Backlog, begun: Instant, at_most: Duration) {
    let (mut left, mut since) = (queue.left(), Instant::now());
    while left > 0 && since.elapsed() < MOMENT && begun.elapsed() < at_most {
        std::thread::park_timeout(Duration::from_millis(1));
        let before = std::mem::replace(&mut left, queue.left());
        if left < before {
            since = Instant::now();
        }
    }
}

/// How long one record, or one line, may take before the process ends without the rest; also the whole wait before
/// the report of a child's death, and after a second signal.
const MOMENT: Duration = Duration::from_millis(100);

/// How long the end of a process waits for records: well below the patience of its parent.
const AT_END: Duration = Duration::from_millis(500);

/// How long the end of a process waits for output, while that is taken.
const OUTPUT: Duration = Duration::from_secs(2);
