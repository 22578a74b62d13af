//! Backtraces as text: captured where something fails, resolved on a thread of their own.
//!
//! To capture one takes some microseconds; to resolve the first one of a process, which reads its debug information,
//! takes some hundred milliseconds. An actor has one thread, and must answer its peers meanwhile, so that thread only
//! captures. `std` resolves under a lock that capturing takes too: a failure during the first resolution may still wait
//! for it.
//!
//! # Invariants
//! 1. Nothing here blocks its caller: a job that finds no room is dropped, and its text is missing.
//! 2. A text has at most [`MAX_TEXT`] bytes.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

/// A job of the thread.
type Job = Box<dyn FnOnce() + Send>;

/// Returns whether a backtrace has something in it: whether backtraces are on.
pub(crate) fn is_captured(backtrace: &Backtrace) -> bool {
    backtrace.status() == BacktraceStatus::Captured
}

/// Resolves the backtrace of `owner`, which `backtrace` returns; `None` if too many wait.
///
/// # Cancel safety
/// If dropped, the text is made for nothing.
pub(crate) async fn text<T: Send + 'static>(owner: T, backtrace: fn(&T) -> &Backtrace) -> Option<String> {
    let (tell, told) = oneshot::channel();
    later(move || drop(tell.send(bounded(backtrace(&owner).to_string()))));
    told.await.ok()
}

/// Does something on the thread, after all that it was given before.
pub(crate) fn later(job: impl FnOnce() + Send + 'static) {
    static QUEUE: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let Some(queue) = QUEUE.get_or_init(start) else { return };
    let _ = queue.try_send(Box::new(job)); // invariant 1
}

/// Starts the thread; `None` if the system has none to give.
fn start() -> Option<SyncSender<Job>> {
    let (queue, jobs): (_, Receiver<Job>) = sync_channel(MAX_JOBS);
    let thread = std::thread::Builder::new().name("pleach-traces".into());
    thread.spawn(move || jobs.into_iter().for_each(|job| job())).ok()?;
    Some(queue)
}

/// Cuts a text that is too long.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let left_out = text.len() - MAX_TEXT;
        text.truncate(text.floor_char_boundary(MAX_TEXT - MARGIN));
        text.push_str(&format!("\n… and some {} KiB more", left_out.div_ceil(1024)));
    }
    text
}

/// Jobs that may wait.
const MAX_JOBS: usize = 64;

/// The size of a text, in bytes: some two hundred frames, beyond which it is a recursion.
const MAX_TEXT: usize = 32 << 10;

/// The longest note about an omission.
const MARGIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_a_character_begins() {
        assert_eq!(bounded("short".into()), "short");
        for length in MAX_TEXT..MAX_TEXT + 4 {
            let cut = bounded("é".repeat(length));
            assert!(cut.len() <= MAX_TEXT && cut.ends_with("KiB more"), "{}", cut.len());
        }
    }

    #[tokio::test]
    async fn jobs_that_find_no_room_are_dropped_without_a_wait() {
        let (open, gate) = sync_channel::<()>(0);
        later(move || gate.recv().unwrap_or_default());
        let mut waiting: Vec<_> =
            (0..2 * MAX_JOBS).map(|_| Box::pin(text(Backtrace::disabled(), |backtrace| backtrace))).collect();
        // Those without room are ready with nothing at once.
        waiting.retain_mut(|text| futures_util::FutureExt::now_or_never(text.as_mut()).is_none());
        drop(open);
        let mut made = 0;
        for text in waiting {
            made += usize::from(text.await.is_some());
        }
        assert!((1..=MAX_JOBS + 1).contains(&made), "{made}");
    }
}
