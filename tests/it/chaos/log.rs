//! The logs of a tree's actors, a file each: they outlive killed actors.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use pleach::prelude::*;
use serde::{Deserialize, Serialize};

/// A file of lines. Each is written at once, so that none is torn.
pub(super) struct Log(File);

impl Log {
    pub(super) fn append(dir: &str, limb: &str, kind: &str) -> Self {
        let path = Path::new(dir).join(format!("{limb}.{kind}"));
        Self(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    pub(super) fn write(&self, entry: &impl Serialize) {
        let mut line = serde_json::to_vec(entry).unwrap();
        line.push(b'\n');
        (&self.0).write_all(&line).unwrap();
    }

    /// Reads the log; empty, if none was written.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(dir: &Path, limb: &str, kind: &str) -> Vec<T> {
        let text = std::fs::read_to_string(dir.join(format!("{limb}.{kind}"))).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What a parent has begun with a limb, and what came of it.
pub(super) struct Ledger {
    log: Log,
    next: AtomicU64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) what: String,
    pub(super) id: u64,
    pub(super) event: Event,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    Opened,
    Succeeded,
    Failed(String),
    /// Its waiter was dropped or cancelled.
    Dropped,
}

impl Ledger {
    pub(super) fn new(dir: &str, limb: &str) -> Self {
        Self { log: Log::append(dir, limb, "ledger"), next: AtomicU64::new(0) }
    }

    /// Writes down that `work` begins, and its one outcome.
    pub(super) async fn enter<T>(&self, what: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut open = Open { ledger: self, what, id: self.next.fetch_add(1, Ordering::Relaxed), settled: false };
        open.write(Event::Opened);
        let ended = work.await;
        open.settled = true;
        open.write(match &ended {
            Ok(_) => Event::Succeeded,
            Err(error) => Event::Failed(format!("{error:?}")),
        });
        ended
    }
}

struct Open<'a> {
    ledger: &'a Ledger,
    what: &'static str,
    id: u64,
    settled: bool,
}

impl Open<'_> {
    fn write(&self, event: Event) {
        self.ledger.log.write(&Entry { what: self.what.into(), id: self.id, event });
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.write(Event::Dropped);
        }
    }
}
