//! A child's standard error: passed on line by line with the actor's name in front, and the last lines kept.
//!
//! A thread of its own does the writing. Whoever reads this process's standard error may be slow, or
//! stopped: then children wait that write more, but no task of this actor does.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Reads a child's standard error.
pub(super) struct Relay<R> {
    from: Option<R>,
    name: String,
    partial: BytesMut,
    /// Lines that the writer has not taken yet; nothing is read while there are any.
    lines: VecDeque<String>,
    last: VecDeque<String>,
}

impl<R: AsyncRead + Unpin> Relay<R> {
    pub(super) fn new(from: Option<R>, name: &str) -> Self {
        let (lines, last) = (VecDeque::new(), VecDeque::new());
        Self { from, name: name.to_owned(), partial: BytesMut::new(), lines, last }
    }

    /// Passes on what comes, until the end of file. Pending for ever after that.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read is kept for the next call.
    pub(super) async fn run(&mut self) {
        self.pass_on_all().await;
        std::future::pending().await
    }

    /// Passes on the rest after the child's end and returns the last lines.
    pub(super) async fn finish(mut self) -> Vec<String> {
        // Somebody whom the child had started may hold the pipe open for as long as it likes.
        let _ = timeout(LAST_WORDS, self.pass_on_all()).await;
        self.cut(self.partial.len());
        let written = async {
            self.hand_over().await;
            let (done, written) = oneshot::channel();
            if let Some(writer) = writer()
                && writer.send(Job::Report(done)).await.is_ok()
            {
                let _ = written.await; // the writer lives as long as the process
            }
        };
        if timeout(LAST_WORDS, written).await.is_err() {
            tracing::debug!(target: "pleach::runtime", actor = self.name, "standard error takes nothing now");
        }
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
        while !self.lines.is_empty() {
            let Some(writer) = writer() else { return self.lines.clear() };
            let Ok(place) = writer.reserve().await else { return self.lines.clear() };
            if let Some(line) = self.lines.pop_front() {
                place.send(Job::Line(line));
            }
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
        self.lines.push_back(format!("{}: {line}\n", self.name));
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// What the writer is asked to do.
enum Job {
    Line(String),
    /// Say when everything before this has been written.
    Report(oneshot::Sender<()>),
}

/// The thread that writes to standard error; `None` if the system gave none.
fn writer() -> Option<&'static mpsc::Sender<Job>> {
    static WRITER: OnceLock<Option<mpsc::Sender<Job>>> = OnceLock::new();
    let started = WRITER.get_or_init(|| {
        let (sender, mut jobs) = mpsc::channel(QUEUED_LINES);
        let write = move || {
            while let Some(job) = jobs.blocking_recv() {
                match job {
                    // A closed standard error must not end the actor.
                    Job::Line(line) => drop(std::io::stderr().lock().write_all(line.as_bytes())),
                    Job::Report(done) => drop(done.send(())),
                }
            }
        };
        let thread = std::thread::Builder::new().name("pleach-stderr".into()).spawn(write);
        thread.is_ok().then_some(sender)
    });
    started.as_ref()
}

/// Lines kept for the report of a death.
const KEPT_LINES: usize = 20;

/// Lines of all children that may wait for the writer.
const QUEUED_LINES: usize = 256;

/// A longer line is passed on in pieces, in bytes.
const MAX_LINE: usize = 8 << 10;

/// How long the pipe may stay open after the child's end, and how long the rest may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);
