//! Counting the words of a chunk, in a worker process; reading one, in the process that has the files.
//!
//! # Invariants
//! 1. A piece has the words that *begin* in it. So a word that crosses a border is counted once, and
//!    the pieces of a file can be counted anywhere, in any order.
//! 2. What can't be read is reported for its piece; the other pieces of the chunk are still counted.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use pleach::{Blob, Result};
use serde::{Deserialize, Serialize};

/// The module to enable in a worker.
pub(crate) const MODULE: &str = module_path!();

/// A stretch of one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// The number of the file.
    pub(crate) file: usize,
    /// Where it is. Not text: names of files may be any bytes.
    pub(crate) path: OsString,
    pub(crate) start: u64,
    /// Without it, the piece goes up to the end of the file, wherever that is by then.
    pub(crate) end: Option<u64>,
}

/// The words of a chunk.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) words: HashMap<String, u64>,
    pub(crate) bytes: u64,
    /// By the number of the file: why it could not be counted.
    pub(crate) skipped: Vec<(usize, String)>,
}

/// Counts the words of the pieces.
#[pleach::rpc]
pub(crate) async fn count(pieces: Vec<Piece>) -> Result<Reply> {
    let mut reply = Reply::default();
    for piece in pieces {
        match read(&piece) {
            Ok(mut text) => {
                add_words(&mut text, &mut reply.words);
                reply.bytes += text.len() as u64;
            }
            Err(error) => reply.skipped.push((piece.file, crate::tally::reason(&error))),
        }
        tokio::task::yield_now().await; // so that a cancellation does not have to wait for the whole chunk
    }
    Ok(reply)
}

/// Counts the words of a text, which [`read_all`] has made.
#[pleach::rpc]
pub(crate) async fn count_text(text: Blob) -> Result<HashMap<String, u64>> {
    let count = move || {
        let mut words = HashMap::new();
        add_words(&mut Vec::from(text.0), &mut words);
        words
    };
    // Not on the thread that answers heartbeats: on a slow machine it takes longer than a lease.
    tokio::task::spawn_blocking(count).await.map_err(|panicked| pleach::Error::from_boxed(panicked.into()))
}

/// Reads the pieces into one text, and says how much was read and what could not be; the words are missing.
pub(crate) fn read_all(pieces: &[Piece]) -> (Blob, Reply) {
    let (mut all, mut reply) = (Vec::new(), Reply::default());
    for piece in pieces {
        match read(piece) {
            Ok(text) => {
                all.extend_from_slice(&text);
                all.push(BETWEEN);
                reply.bytes += text.len() as u64;
            }
            Err(error) => reply.skipped.push((piece.file, crate::tally::reason(&error))),
        }
    }
    (all.into(), reply)
}

/// What no word has in it, so that the last of a piece and the first of the next stay two.
const BETWEEN: u8 = b'\n';

/// How much of a file is looked at to find out whether it is text.
const HEAD: u64 = 8 << 10;

/// Why a file with a NUL byte there is not counted.
pub(crate) const BINARY: &str = "it is binary";

/// Reads the words that begin in the piece (invariant 1).
fn read(piece: &Piece) -> io::Result<Vec<u8>> {
    let mut file = File::open(&piece.path)?;
    let mut text = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut text)?;
    if text.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, BINARY));
    }
    text.clear();
    // The byte before the piece tells whether its first letters belong to a word that began earlier.
    let from = piece.start.saturating_sub(1);
    file.seek(SeekFrom::Start(from))?;
    match piece.end {
        Some(end) => {
            (&mut file).take(end - from).read_to_end(&mut text)?;
            finish_word(file, &mut text)?;
        }
        None => _ = file.read_to_end(&mut text)?,
    }
    if piece.start > 0 {
        let begun_earlier = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        text.drain(..begun_earlier.max(1).min(text.len()));
    }
    Ok(text)
}

/// Reads on up to the end of the word in which `text` ends.
fn finish_word(rest: File, text: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = BufReader::new(rest).bytes();
    while text.last().is_some_and(u8::is_ascii_alphabetic) {
        match rest.next() {
            Some(byte) => text.push(byte?),
            None => break,
        }
    }
    Ok(())
}

fn add_words(text: &mut [u8], words: &mut HashMap<String, u64>) {
    text.make_ascii_lowercase();
    let words_of_text = text.split(|byte| !byte.is_ascii_alphabetic()).filter(|letters| !letters.is_empty());
    // ASCII letters always are UTF-8, so nothing falls out here.
    for word in words_of_text.filter_map(|letters| std::str::from_utf8(letters).ok()) {
        match words.get_mut(word) {
            Some(count) => *count += 1,
            None => _ = words.insert(word.to_owned(), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"It's the  the\xc3\xa4THE end\r\nof(a)LongWordThatGoesOn and9on";

    fn piece(path: &std::path::Path, start: u64, end: Option<u64>) -> Piece {
        Piece { file: 0, path: path.into(), start, end }
    }

    #[test]
    fn a_word_is_a_run_of_ascii_letters() {
        let mut words = HashMap::new();
        add_words(&mut TEXT.to_vec(), &mut words);
        let mut words: Vec<_> = words.iter().map(|(word, count)| format!("{word} {count}")).collect();
        words.sort();
        let expected =
            ["a 1", "and 1", "end 1", "it 1", "longwordthatgoeson 1", "of 1", "on 1", "s 1", "the 3"].map(String::from);
        assert_eq!(words, expected);
    }

    #[test]
    fn wherever_the_borders_are_each_word_is_counted_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TEXT).unwrap();
        let mut expected = HashMap::new();
        add_words(&mut TEXT.to_vec(), &mut expected);
        for size in 1..=TEXT.len() as u64 {
            let mut words = HashMap::new();
            for start in (0..TEXT.len() as u64).step_by(size as usize) {
                let end = Some(start + size).filter(|end| *end < TEXT.len() as u64);
                add_words(&mut read(&piece(file.path(), start, end)).unwrap(), &mut words);
            }
            assert_eq!(words, expected, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_has_the_same_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TEXT).unwrap();
        let missing = Piece { file: 3, path: "/nowhere".into(), start: 0, end: None };
        let pieces = [piece(file.path(), 0, Some(9)), missing, piece(file.path(), 9, None)];
        let there = count(pieces.to_vec()).await.unwrap();
        let (text, here) = read_all(&pieces);
        assert_eq!(count_text(text).await.unwrap(), there.words);
        assert_eq!((here.bytes, here.skipped), (there.bytes, there.skipped));
    }

    #[test]
    fn a_nul_byte_makes_a_file_binary_in_each_of_its_pieces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"words\0words words").unwrap();
        for start in [0, 9] {
            assert_eq!(read(&piece(file.path(), start, None)).unwrap_err().to_string(), "it is binary");
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"short").unwrap();
        assert_eq!(read(&piece(file.path(), 100, Some(200))).unwrap(), b"");
    }
}
