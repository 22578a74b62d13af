//! Where results go: standard output, as text for people or as JSON.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

/// The reader of standard output has left, as `head` does once it has enough.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct Closed;

/// Prints a line.
///
/// # Errors
/// [`Closed`], and when it can't be written.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Prints a value as JSON, with line breaks for readers.
///
/// # Errors
/// As for [`line`].
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints bytes as they are.
///
/// # Errors
/// As for [`line`].
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        written => Ok(written?),
    }
}
