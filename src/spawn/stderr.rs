//! A child's standard error: passed on line by line with the actor's name in front, and the last lines kept.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads a child's standard error.
pub(super) struct Relay<R> {
    from: Option<R>,
    name: String,
    partial: BytesMut,
    last: VecDeque<String>,
}

impl<R: AsyncRead + Unpin> Relay<R> {
    pub(super) fn new(from: Option<R>, name: &str) -> Self {
        Self { from, name: name.to_owned(), partial: BytesMut::new(), last: VecDeque::new() }
    }

    /// Passes on what comes, until the end of file. Pending for ever after that.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read is kept for the next call.
    pub(super) async fn run(&mut self) {
        while let Some(from) = &mut self.from {
            match from.read_buf(&mut self.partial).await {
                Ok(0) | Err(_) => {
                    self.from = None;
                    self.pass_on(self.partial.len());
                }
                Ok(_) => self.pass_on_lines(),
            }
        }
        std::future::pending().await
    }

    /// Passes on the rest after the child's end and returns the last lines.
    pub(super) async fn finish(mut self) -> Vec<String> {
        let rest = async {
            while let Some(from) = &mut self.from {
                match from.read_buf(&mut self.partial).await {
                    Ok(0) | Err(_) => self.from = None,
                    Ok(_) => self.pass_on_lines(),
                }
            }
        };
        // Somebody whom the child had started may hold the pipe open for as long as it likes.
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
        self.pass_on(self.partial.len());
        self.last.into()
    }

    fn pass_on_lines(&mut self) {
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            self.pass_on(end);
            self.partial.advance(1);
        }
        if self.partial.len() > MAX_LINE {
            self.pass_on(self.partial.len());
        }
    }

    fn pass_on(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        let line = String::from_utf8_lossy(&self.partial.split_to(len)).into_owned();
        // A closed standard error must not end the actor.
        let _ = std::io::stderr().lock().write_all(format!("{}: {line}\n", self.name).as_bytes());
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// Lines kept for the report of a death.
const KEPT_LINES: usize = 20;

/// A longer line is passed on in pieces, in bytes.
const MAX_LINE: usize = 8 << 10;

/// How long the pipe may stay open after the child's end.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(100);
