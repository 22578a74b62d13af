//! What to count: from paths to chunks of about the same size.
//!
//! # Invariant
//! Each byte of a file is in one piece. A chunk has whole files, or one part of a large file.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::count::Piece;
use crate::tally::Skipped;

/// All that there is to do.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) chunks: Vec<Chunk>,
    /// How many files the chunks have.
    pub(crate) files: usize,
    /// How many bytes the files have, by their directory entries.
    pub(crate) bytes: u64,
    /// A path that was not found, or is not a file.
    pub(crate) skipped: Vec<Skipped>,
}

/// What one worker counts in one call.
pub(crate) struct Chunk {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) bytes: u64,
    /// Of how many parts of its file this is one.
    pub(crate) parts: u64,
}

impl Plan {
    /// Finds the files below `paths`, and splits them so that `workers` have about the same to do.
    pub(crate) fn new(paths: &[PathBuf], workers: usize) -> Self {
        let (files, skipped) = find(paths);
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        // Small chunks so that all workers end together; but a chunk has to be worth a call, and its
        // words have to fit into an answer.
        let size = (bytes / (8 * workers as u64)).clamp(SMALLEST, LARGEST);
        Self { chunks: split(&files, size), files: files.len(), bytes, skipped }
    }
}

const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 4 << 20;

/// Empty files cost a little, too.
const MOST_FILES: usize = 256;

struct Source {
    path: PathBuf,
    bytes: u64,
}

fn find(paths: &[PathBuf]) -> (Vec<Source>, Vec<Skipped>) {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        // What is named is wanted, even if it is a link or hidden; what is found on the way is not.
        let found = WalkDir::new(path).follow_root_links(true).sort_by_file_name();
        for entry in found.into_iter().filter_entry(is_wanted) {
            match entry.map_err(Skipped::from).and_then(|entry| source(&entry)) {
                Ok(Some(file)) => files.push(file),
                Ok(None) => {}
                Err(why) => skipped.push(why),
            }
        }
    }
    (files, skipped)
}

fn is_wanted(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    entry.depth() == 0 || !(name.starts_with(b".") || (name == b"target" && entry.file_type().is_dir()))
}

fn source(entry: &DirEntry) -> Result<Option<Source>, Skipped> {
    let named = entry.depth() == 0;
    let path = tidy(entry.path());
    let about = if named { std::fs::metadata(&path) } else { entry.metadata().map_err(io::Error::from) };
    match about {
        Ok(about) if about.is_file() => Ok(Some(Source { bytes: about.len(), path })),
        Ok(about) if about.is_dir() || !named => Ok(None),
        Ok(_) => Err(Skipped { path, why: "it is not a regular file".into() }),
        Err(error) => Err(Skipped::failed(path, &error)),
    }
}

/// `./README.md` is `README.md`.
fn tidy(path: &Path) -> PathBuf {
    let short = path.strip_prefix(".").unwrap_or(path);
    if short.as_os_str().is_empty() { path.to_owned() } else { short.to_owned() }
}

fn split(files: &[Source], size: u64) -> Vec<Chunk> {
    let (mut chunks, mut small) = (Vec::new(), Chunk::new());
    for (number, file) in files.iter().enumerate() {
        let piece = |start, end| Piece { file: number, path: file.path.clone().into(), start, end };
        if file.bytes > size {
            let parts = file.bytes.div_ceil(size);
            chunks.extend((0..parts).map(|part| {
                let (start, end) = (part * size, (part + 1) * size);
                let is_last = part + 1 == parts;
                let bytes = end.min(file.bytes) - start;
                Chunk { pieces: vec![piece(start, (!is_last).then_some(end))], bytes, parts }
            }));
            continue;
        }
        if small.bytes + file.bytes > size || small.pieces.len() == MOST_FILES {
            chunks.push(std::mem::replace(&mut small, Chunk::new()));
        }
        small.pieces.push(piece(0, None));
        small.bytes += file.bytes;
    }
    chunks.extend(Some(small).filter(|chunk| !chunk.pieces.is_empty()));
    chunks
}

impl Chunk {
    fn new() -> Self {
        Self { pieces: Vec::new(), bytes: 0, parts: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_in_one_piece() {
        let files: Vec<_> =
            [10, 0, 100, 1, 350, 99, 1, 0].map(|bytes| Source { path: bytes.to_string().into(), bytes }).into();
        let chunks = split(&files, 100);
        for (number, file) in files.iter().enumerate() {
            let pieces: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.pieces).filter(|p| p.file == number).collect();
            assert_eq!(pieces[0].start, 0);
            assert_eq!(pieces[pieces.len() - 1].end, None);
            assert!(pieces.windows(2).all(|pair| pair[0].end == Some(pair[1].start)), "{}", file.bytes);
        }
        assert!(chunks.iter().all(|chunk| chunk.bytes <= 100));
        let (planned, there): (u64, u64) =
            (chunks.iter().map(|chunk| chunk.bytes).sum(), files.iter().map(|file| file.bytes).sum());
        assert_eq!(planned, there);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let plan = Plan::new(&["/nowhere/to be found".into()], 2);
        assert_eq!((plan.files, plan.chunks.len()), (0, 0));
        assert_eq!(plan.skipped[0].path.to_str(), Some("/nowhere/to be found"));
        assert!(plan.skipped[0].why.starts_with("No such file"), "{}", plan.skipped[0].why);
    }
}
