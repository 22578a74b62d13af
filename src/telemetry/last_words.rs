//! Last words: queued records and lines are delivered before the process ends, within a bound.
//!
//! ```text
//! record ─► pleach_wire::log ─► subscriber ─► [super::stderr] ─► standard error
//! ```
//! Both arrows in the middle are queues with threads of their own, and either may be stuck for good: a subscriber
//! that blocks, or a standard error that is not read.

use std::sync::Once;
use std::time::{Duration, Instant};

use pleach_wire::log::{self, Backlog};

use super::stderr;

/// Waits until everything that is queued now is delivered, but not longer than [`MOMENT`].
///
/// # Cancel safety
/// It only waits.
pub(crate) async fn delivered() {
    let both = async {
        log::backlog().delivered().await;
        stderr::backlog().delivered().await;
    };
    let _ = tokio::time::timeout(MOMENT, both).await; // the rest may be taken later
}

/// As [`delivered`], for code outside of any runtime.
pub(crate) fn wait_a_moment() {
    wait(MOMENT);
}

/// As [`wait_a_moment`], at the end of the process: longer while something is still taken, up to [`AT_END`].
pub(crate) fn wait_at_end() {
    wait(AT_END);
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

fn wait(at_most: Duration) {
    let begun = Instant::now();
    // A subscriber may put the records of the first queue into the second one.
    for queue in [log::backlog as fn() -> Backlog, stderr::backlog] {
        let backlog = queue();
        let (mut left, mut since) = (backlog.left(), Instant::now());
        while left > 0 && since.elapsed() < MOMENT && begun.elapsed() < at_most {
            std::thread::park_timeout(Duration::from_millis(1));
            let before = std::mem::replace(&mut left, backlog.left());
            if left < before {
                since = Instant::now();
            }
        }
    }
}

/// How long one record, or one line, may take before the process ends without the rest; also the whole wait before
/// the report of a child's death, and after a second signal.
const MOMENT: Duration = Duration::from_millis(100);

/// How long the end of a process waits altogether: well below the patience of its parent.
const AT_END: Duration = Duration::from_millis(500);
