//! What other actors write while the prompt is shown: whole lines above it.
//!
//! While a command is carried out, or a native debugger has the terminal, the lines wait.
//!
//! # Invariants
//! 1. Lines beyond [`MAX_WAITING`] are dropped, the oldest first, and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::editor::Waker;
use crate::sync::lock;
use crate::telemetry;

/// The lines of the other actors, from now until this is dropped.
pub(super) struct Screen(Arc<Mutex<Lines>>);

impl Screen {
    /// Takes over what this library writes to the terminal, and wakes the editor for it.
    pub(super) fn divert(waker: Arc<Waker>) -> Self {
        let lines = Arc::new(Mutex::new(Lines::default()));
        let written = lines.clone();
        telemetry::divert(Some(Box::new(move |line| {
            lock(&written).add(String::from_utf8_lossy(line).into_owned());
            waker.wake();
        })));
        Self(lines)
    }

    /// Takes the lines that have not been shown.
    pub(super) fn take(&self) -> String {
        lock(&self.0).take()
    }

    /// Returns the last lines that have come.
    pub(super) fn last(&self, count: usize) -> String {
        let lines = lock(&self.0);
        let first = lines.seen.len().saturating_sub(count);
        let last: Vec<_> = lines.seen.iter().skip(first).map(|line| line.trim_end()).collect();
        if last.is_empty() { "nothing has come since this prompt opened".into() } else { last.join("\n") }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        telemetry::divert(None);
        let rest = self.take();
        if !rest.is_empty() {
            telemetry::stderr::offer(rest.into_bytes());
        }
    }
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<String>,
    /// Those that have been shown, too.
    seen: VecDeque<String>,
    dropped: usize,
}

impl Lines {
    fn add(&mut self, line: String) {
        self.seen.push_back(line.clone());
        if self.seen.len() > MAX_WAITING {
            self.seen.pop_front();
        }
        self.waiting.push_back(line);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    fn take(&mut self) -> String {
        let dropped = match std::mem::take(&mut self.dropped) {
            0 => String::new(),
            count => format!("pleach: {count} lines dropped: the prompt was busy\n"),
        };
        dropped + &self.waiting.drain(..).collect::<String>()
    }
}

/// How many lines wait, or are kept for `log`.
const MAX_WAITING: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_many_are_counted() {
        let mut lines = Lines::default();
        (0..MAX_WAITING + 3).for_each(|number| lines.add(format!("{number}\n")));
        let shown = lines.take();
        assert!(shown.starts_with("pleach: 3 lines dropped"), "{shown}");
        assert_eq!(shown.lines().count(), MAX_WAITING + 1);
        assert_eq!((lines.take().as_str(), lines.seen.len()), ("", MAX_WAITING));
    }
}
