//! An output of a child, passed on: line by line with the actor's name in front, or in it; or as it is.
//!
//! A thread of its own does the writing ([`crate::telemetry`]). The reader of this process's output may be slow: then
//! children that write more wait, but no task of this actor does.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout};

use crate::actor::shown;
use crate::telemetry::{last_words, passed_on, stderr, stdout};

/// Where the output of a child goes.
pub(crate) trait Destination: Send + Sync {
    /// Takes output; waits for room.
    ///
    /// # Cancel safety
    /// If dropped, nothing is taken.
    fn pass_on(&self, output: &[u8]) -> impl Future<Output = ()> + Send;

    /// Counts lines that it did not take.
    fn drop_lines(&self, count: usize);
}

/// The standard error of this process.
pub(crate) struct ToStderr;

impl Destination for ToStderr {
    async fn pass_on(&self, output: &[u8]) {
        stderr::pass_on(output).await;
    }

    fn drop_lines(&self, count: usize) {
        stderr::drop_lines(count);
    }
}

/// The standard output of this process.
pub(crate) struct ToStdout {
    waits: bool,
}

impl ToStdout {
    /// Has an actor wait for its reader as long as need be.
    pub(crate) fn waiting() -> Self {
        Self { waits: true }
    }

    /// Drops and counts what is not taken, for an actor that would be declared dead if it waited.
    pub(crate) fn unless_stalled() -> Self {
        Self { waits: false }
    }
}

impl Destination for ToStdout {
    async fn pass_on(&self, output: &[u8]) {
        match self.waits {
            true => stdout::pass_on(output).await,
            false => stdout::pass_on_or_drop(output).await,
        }
    }

    fn drop_lines(&self, count: usize) {
        stdout::drop_lines(count);
    }
}

/// Reads an output of a child.
pub(crate) struct Relay<R, D> {
    from: Option<R>,
    lines: Lines<D>,
}

impl<R: AsyncRead + Unpin, D: Destination> Relay<R, D> {
    /// Relays what `from` gives, if there is anything to read.
    pub(crate) fn new(from: Option<R>, lines: Lines<D>) -> Self {
        Self { from, lines }
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
        // A process that the child had started may hold the pipe open indefinitely, or write for ever.
        let until = Instant::now() + ALL_WORDS;
        while self.from.is_some() && Instant::now() < until {
            let taken = timeout(TAKEN, self.lines.hand_over()).await;
            if taken.is_err() || timeout(LAST_WORDS, self.read()).await.is_err() {
                break;
            }
        }
        self.lines.finish().await
    }

    /// Passes on the output, until the end of file.
    ///
    /// # Cancel safety
    /// As for [`run`](Self::run).
    pub(crate) async fn pass_on_all(&mut self) {
        while self.from.is_some() {
            self.lines.hand_over().await;
            self.read().await;
        }
        self.lines.hand_over().await;
    }

    /// Reads more, or the end of file.
    async fn read(&mut self) {
        let Some(from) = &mut self.from else { return };
        match from.read_buf(&mut self.lines.partial).await {
            Ok(0) | Err(_) => {
                self.from = None;
                self.lines.cut_rest();
            }
            Ok(added) => self.lines.cut_lines(added),
        }
    }
}

/// The lines of an output.
pub(crate) struct Lines<D> {
    to: D,
    /// The name in front of each line; without one, the output is passed on as it comes.
    name: Option<String>,
    /// A line whose end has not come yet.
    partial: BytesMut,
    /// Whether its beginning was passed on already.
    is_rest: bool,
    /// Output that its destination has not taken yet; nothing is read while there is any.
    cut: VecDeque<Vec<u8>>,
    last: VecDeque<String>,
}

impl<D: Destination> Lines<D> {
    /// Passes on whole lines, with a name.
    pub(crate) fn named(name: &str, to: D) -> Self {
        Self { name: Some(shown(name).into_owned()), ..Self::plain(to) }
    }

    /// Passes on everything as it is.
    pub(crate) fn plain(to: D) -> Self {
        let (cut, last) = (VecDeque::new(), VecDeque::new());
        Self { to, name: None, partial: BytesMut::new(), is_rest: false, cut, last }
    }

    /// Adds output that was read elsewhere.
    pub(crate) fn push(&mut self, output: &[u8]) {
        self.partial.extend_from_slice(output);
        self.cut_lines(output.len());
    }

    /// Returns whether there is something to hand over.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Gives the destination all lines that have been read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn hand_over(&mut self) {
        while let Some(line) = self.cut.front() {
            self.to.pass_on(line).await;
            self.cut.pop_front();
        }
    }

    /// Hands over the rest, as far as the destination takes it soon, and returns the last lines.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        self.cut_rest();
        let _ = timeout(TAKEN, self.hand_over()).await; // the rest is counted
        self.to.drop_lines(self.cut.len());
        last_words::delivered().await;
        self.last.into()
    }

    /// Cuts the lines that the last bytes have completed.
    fn cut_lines(&mut self, added: usize) {
        if self.name.is_none() && added > 0 {
            self.cut.push_back(self.partial[self.partial.len() - added..].to_vec());
        }
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            if end > 0 || !self.is_rest {
                self.cut(end);
            }
            self.partial.advance(1);
            self.is_rest = false;
        }
        if self.partial.len() > MAX_LINE {
            self.cut_rest();
            self.is_rest = true;
        }
    }

    fn cut_rest(&mut self) {
        if !self.partial.is_empty() {
            self.cut(self.partial.len());
        }
    }

    fn cut(&mut self, len: usize) {
        let line = self.partial.split_to(len);
        if let Some(name) = &self.name {
            self.cut.push_back(passed_on(name, &line));
        }
        if len > 0 {
            self.keep(String::from_utf8_lossy(&line).into_owned());
        }
    }

    fn keep(&mut self, line: String) {
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

/// How long the pipe may stay open and empty after the child's end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long the destination may take for what has been read then.
const TAKEN: Duration = Duration::from_secs(1);

/// How long all the output that comes after the child's end may take.
const ALL_WORDS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Taken(Mutex<Vec<u8>>);

    impl Destination for &Taken {
        async fn pass_on(&self, output: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(output);
        }

        fn drop_lines(&self, count: usize) {
            assert_eq!(count, 0);
        }
    }

    /// What becomes of output that comes in these pieces, and its last lines.
    async fn relayed(name: Option<&str>, pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>) {
        let taken = Taken::default();
        let mut lines = name.map_or_else(|| Lines::plain(&taken), |name| Lines::named(name, &taken));
        for piece in pieces {
            lines.push(piece);
            lines.hand_over().await;
        }
        let last = lines.finish().await;
        (taken.0.into_inner().unwrap(), last)
    }

    #[tokio::test]
    async fn lines_are_whole_and_named_however_they_come() {
        let (said, last) = relayed(Some("w"), &[b"on", b"e\n\ntw", b"o\n", b"\xff\n", b"cut"]).await;
        assert_eq!(said, b"w: one\nw: \nw: two\nw: \xff\nw: cut\n");
        assert_eq!(last, ["one", "two", "\u{fffd}", "cut"]);
    }

    #[tokio::test]
    async fn without_a_name_each_byte_is_as_it_was() {
        let pieces: [&[u8]; 4] = [b"on", b"e\n\n\xff", b"", b"tw\0o"];
        let (said, last) = relayed(None, &pieces).await;
        assert_eq!((said, last), (pieces.concat(), vec!["one".to_owned(), "\u{fffd}tw\0o".to_owned()]));
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_passed_on_in_pieces() {
        let long = vec![b'x'; MAX_LINE + 1];
        let (said, _) = relayed(Some("w"), &[&long, b"\nnext\n"]).await;
        assert_eq!(said, [b"w: ", &*long, b"\nw: next\n"].concat());
        let (said, _) = relayed(None, &[&long, b"\n"]).await;
        assert_eq!(said, [&*long, b"\n"].concat());
    }
}
