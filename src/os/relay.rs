//! A child's standard error: passed on line by line with the actor's name in front, or in it, and the last lines
//! kept.
//!
//! A thread of its own does the writing ([`crate::telemetry::stderr`]). The reader of this process's standard error may
//! be slow: then children that write more wait, but no task of this actor does. If it does not read at all, lines are
//! dropped and counted instead, so that output never blocks a child.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::actor::shown;
use crate::telemetry::{last_words, passed_on, stderr};

/// Reads a child's standard error.
pub(crate) struct Relay<R> {
    from: Option<R>,
    name: String,
    partial: BytesMut,
    /// Lines that the writer has not taken yet; nothing is read while there are any.
    lines: VecDeque<String>,
    last: VecDeque<String>,
}

impl<R: AsyncRead + Unpin> Relay<R> {
    pub(crate) fn new(from: Option<R>, name: &str) -> Self {
        let (lines, last) = (VecDeque::new(), VecDeque::new());
        Self { from, name: shown(name).into_owned(), partial: BytesMut::new(), lines, last }
    }

    /// Passes on the output, until the end of file. Pending for ever after that.
    ///
    /// # Cancel safety
    /// Nothing is lost: data that was read is kept for the next call.
    pub(crate) async fn run(&mut self) {
        self.pass_on_all().await;
        std::future::pending().await
    }

    /// Passes on the rest after the child's end and returns the last lines.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        // A process that the child had started may hold the pipe open indefinitely.
        let _ = timeout(LAST_WORDS, self.pass_on_all()).await;
        self.cut(self.partial.len());
        let _ = timeout(LAST_WORDS, self.hand_over()).await; // unread lines are among the last lines all the same
        last_words::delivered().await;
        self.last.into()
    }

    async fn pass_on_all(&mut self) {
        loop {
            self.hand_over().await;
            let Some(from) = &mut self.from else { return };
            match from.read_buf(&mut self.partial).await {
                Ok(0) | Err(_) => {
                    self.from = None;
                    self.cut(self.partial.len());
                }
                Ok(_) => self.cut_lines(),
            }
        }
    }

    /// Gives the writer all lines that have been read.
    async fn hand_over(&mut self) {
        while let Some(line) = self.lines.front() {
            stderr::pass_on(line.as_bytes()).await;
            self.lines.pop_front();
        }
    }

    fn cut_lines(&mut self) {
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            self.cut(end);
            self.partial.advance(1);
        }
        if self.partial.len() > MAX_LINE {
            self.cut(self.partial.len());
        }
    }

    fn cut(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        let line = String::from_utf8_lossy(&self.partial.split_to(len)).into_owned();
        self.lines.push_back(passed_on(&self.name, &line));
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// Lines kept for the report of a death.
const KEPT_LINES: usize = 20;

/// A longer line is passed on in pieces, in bytes.
const MAX_LINE: usize = 64 << 10;

/// How long the pipe may stay open after the child's end, and how long the rest may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);
