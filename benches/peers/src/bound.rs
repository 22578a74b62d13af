//! A bound on all waiting. Some of the libraries block without a limit, so that a thread of its own watches the time.

use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is being done, and since when.
static DOING: Mutex<Option<(String, Instant)>> = Mutex::new(None);

fn doing() -> MutexGuard<'static, Option<(String, Instant)>> {
    DOING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process, without its directory, when anything takes longer than [`LONGEST`]: its children follow it. A panic
/// says what was being done, too.
pub(crate) fn watch(directory: PathBuf) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // One is enough: 64 callers may fail for the same reason.
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            if let Some((what, _)) = &*doing() {
                eprintln!("{what} failed:");
            }
            report(panic);
        });
    }));
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            if let Some((what, since)) = &*doing()
                && since.elapsed() > LONGEST
            {
                eprintln!("{what} did not end within {} seconds", LONGEST.as_secs());
                let _ = fs::remove_dir_all(&directory); // nothing is left to say about an error
                process::exit(1);
            }
        }
    });
}

/// Says what is done from now on, which has all the time again.
pub(crate) fn begin(what: String) {
    *doing() = Some((what, Instant::now()));
}

const LONGEST: Duration = Duration::from_secs(60);
