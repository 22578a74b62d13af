//! The sum of all replies, and how it is shown.
//!
//! # Invariant
//! A file is counted as a whole or not at all: the parts of a split one are held back until all are
//! there, so that a file which vanishes midway leaves nothing behind.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};

use crate::count::{BINARY, Reply};
use crate::plan::Chunk;

/// The words so far.
pub(crate) struct Tally {
    words: HashMap<String, u64>,
    bytes: u64,
    files: usize,
    /// By the number of the file: the parts that have come.
    split: BTreeMap<usize, Parts>,
    skipped: Vec<Skipped>,
}

/// A file that is not counted.
pub(crate) struct Skipped {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

/// How it was counted.
pub(crate) struct Run {
    pub(crate) workers: usize,
    /// Over what, or where.
    pub(crate) how: String,
}

#[derive(Default)]
struct Parts {
    words: HashMap<String, u64>,
    bytes: u64,
    come: u64,
    failed: bool,
}

impl Tally {
    /// Begins with nothing of `files` files.
    pub(crate) fn new(files: usize, skipped: Vec<Skipped>) -> Self {
        Self { words: HashMap::new(), bytes: 0, files, split: BTreeMap::new(), skipped }
    }

    /// Adds the reply to a chunk.
    pub(crate) fn add(&mut self, chunk: &Chunk, reply: Reply) {
        match chunk.pieces.first() {
            Some(piece) if chunk.parts > 1 => self.add_part(piece.file, chunk, reply),
            _ => {
                self.skip(chunk, reply.skipped);
                self.add_words(reply.words, reply.bytes);
            }
        }
    }

    fn add_part(&mut self, file: usize, chunk: &Chunk, reply: Reply) {
        let parts = self.split.entry(file).or_default();
        parts.come += 1;
        let is_complete = parts.come == chunk.parts;
        merge(&mut parts.words, reply.words);
        parts.bytes += reply.bytes;
        if !parts.failed {
            parts.failed = !reply.skipped.is_empty();
            self.skip(chunk, reply.skipped);
        }
        if is_complete && let Some(parts) = self.split.remove(&file).filter(|parts| !parts.failed) {
            self.add_words(parts.words, parts.bytes);
        }
    }

    fn add_words(&mut self, words: HashMap<String, u64>, bytes: u64) {
        merge(&mut self.words, words);
        self.bytes += bytes;
    }

    fn skip(&mut self, chunk: &Chunk, skipped: Vec<(usize, String)>) {
        for (file, why) in skipped {
            let path = chunk.pieces.iter().find(|piece| piece.file == file).map(|piece| piece.path.clone());
            self.skipped.push(Skipped { path: path.unwrap_or_default().into(), why });
            self.files -= 1;
        }
    }

    /// Prints the most frequent words, as `uniq -c` does.
    pub(crate) fn print_words(&self, top: usize) -> io::Result<()> {
        let mut words: Vec<_> = self.words.iter().collect();
        words.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        words.truncate(if top == 0 { words.len() } else { top });
        let mut out = BufWriter::new(io::stdout().lock());
        let printed = words.iter().try_for_each(|(word, count)| writeln!(out, "{count:>7} {word}"));
        match printed.and_then(|()| out.flush()) {
            // The reader has seen enough, as with `| head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                drop(out.into_parts()); // what is left in it would be written again
                Ok(())
            }
            other => other,
        }
    }

    /// Whether there were files, but none that could be counted.
    pub(crate) fn found_nothing(&self) -> bool {
        self.files == 0 && !self.skipped.is_empty()
    }

    /// Prints what was not counted, what was, and how fast.
    pub(crate) fn print_summary(&self, run: &Run, took: Duration) {
        // In a directory binary files are many, and no surprise: what could not be read goes first.
        let mut skipped: Vec<_> = self.skipped.iter().collect();
        skipped.sort_by_key(|skipped| (skipped.why == BINARY, &skipped.path));
        for Skipped { path, why } in skipped.iter().take(NAMED) {
            eprintln!("skipped {}: {why}", path.display());
        }
        if skipped.len() > NAMED {
            eprintln!("skipped {} more", HumanCount((skipped.len() - NAMED) as u64));
        }
        let speed = self.bytes as f64 / 1e6 / took.as_secs_f64();
        eprintln!(
            "{} in {} ({}); {} different",
            many(self.words.values().sum(), "word"),
            many(self.files as u64, "file"),
            DecimalBytes(self.bytes),
            HumanCount(self.words.len() as u64),
        );
        eprintln!(
            "{} skipped; {} {}; {:.2} s, {speed:.1} MB/s",
            many(self.skipped.len() as u64, "file"),
            many(run.workers as u64, "worker"),
            run.how,
            took.as_secs_f64(),
        );
    }
}

/// How many of the files that are not counted are named.
const NAMED: usize = 20;

fn merge(into: &mut HashMap<String, u64>, words: HashMap<String, u64>) {
    if into.is_empty() {
        *into = words;
        return;
    }
    for (word, count) in words {
        *into.entry(word).or_default() += count;
    }
}

fn many(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

impl Skipped {
    pub(crate) fn failed(path: PathBuf, error: &io::Error) -> Self {
        Self { path, why: reason(error) }
    }
}

impl From<walkdir::Error> for Skipped {
    fn from(error: walkdir::Error) -> Self {
        let path = error.path().map(PathBuf::from).unwrap_or_default();
        match error.io_error() {
            Some(cause) => Self::failed(path, cause),
            None => Self { path, why: error.to_string() },
        }
    }
}

/// What the system says, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::Piece;

    fn part() -> Chunk {
        let piece = Piece { file: 0, path: "big".into(), start: 0, end: None };
        Chunk { pieces: vec![piece], bytes: 4, parts: 2 }
    }

    fn reply(skipped: Option<&str>) -> Reply {
        let skipped = skipped.map(|why| (0, why.to_owned())).into_iter().collect();
        Reply { words: HashMap::from([("word".to_owned(), 1)]), bytes: 4, skipped }
    }

    #[test]
    fn the_parts_of_a_file_count_together() {
        let mut tally = Tally::new(1, Vec::new());
        tally.add(&part(), reply(None));
        assert!(tally.words.is_empty());
        tally.add(&part(), reply(None));
        assert_eq!((tally.words["word"], tally.bytes, tally.files, tally.skipped.len()), (2, 8, 1, 0));
    }

    #[test]
    fn a_file_that_vanishes_midway_is_not_counted_and_named_once() {
        for failing in [[None, Some("gone")], [Some("gone"), None], [Some("gone"), Some("gone")]] {
            let mut tally = Tally::new(1, Vec::new());
            for why in failing {
                tally.add(&part(), reply(why));
            }
            assert_eq!((tally.words.len(), tally.bytes, tally.files, tally.skipped.len()), (0, 0, 0, 1));
            assert!(tally.split.is_empty());
        }
    }
}
