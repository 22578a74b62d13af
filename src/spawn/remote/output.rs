//! What an agent says on its standard output: how its actor ended, and what the actor prints.
//!
//! ```text
//! ⏎ pleach: exited 3 ⏎            the end of the actor
//! ⏎ pleach> 5 ⏎ hello             five bytes of the actor's standard output
//! ⏎ pleach= 9 ⏎ …                 a frame of nine bytes: see [`mux`](super::mux)
//! ```
//! Each begins on a line of its own, whatever a login has printed before it. The report of the end comes behind all
//! output, so the parent reads on when its own reader does not.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio_util::codec::Decoder;

use crate::error::WaitStatus;
use crate::os::relay::Destination;
use crate::telemetry::stdout;

/// One thing that an agent says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// How its actor ended.
    End { status: WaitStatus, core_dump: Option<String> },
    /// A piece of its actor's standard output.
    Output(BytesMut),
    /// A frame of the probe's connections.
    Frame(BytesMut),
    /// A line of the login.
    Other(String),
}

/// What a piece of so many bytes is.
type Piece = (fn(BytesMut) -> Said, usize);

/// Takes apart what an agent says.
#[derive(Debug, Default)]
pub(super) struct FromAgent {
    /// What comes next, and how many bytes that are.
    piece: Option<Piece>,
}

impl Decoder for FromAgent {
    type Item = Said;
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<Said>> {
        loop {
            if let Some((said, len)) = self.piece {
                if read.len() < len {
                    return Ok(None);
                }
                self.piece = None;
                return Ok(Some(said(read.split_to(len))));
            }
            let Some(end) = read.iter().position(|byte| *byte == b'\n') else {
                if read.len() > MAX_LINE {
                    read.clear();
                }
                return Ok(None);
            };
            let line = read.split_to(end);
            read.advance(1);
            let line = String::from_utf8_lossy(&line);
            self.piece = parse_piece(&line);
            match parse_end(&line) {
                _ if self.piece.is_some() || line.is_empty() => {}
                Some(end) => return Ok(Some(end)),
                None => return Ok(Some(Said::Other(line.into_owned()))),
            }
        }
    }

    fn decode_eof(&mut self, read: &mut BytesMut) -> io::Result<Option<Said>> {
        match self.decode(read)? {
            Some(said) => Ok(Some(said)),
            None => match self.piece.take() {
                Some((said, _)) if !read.is_empty() => Ok(Some(said(read.split()))),
                _ => Ok(None),
            },
        }
    }
}

/// The parent of an agent, which passes on what the actor prints.
pub(super) struct ToParent;

impl Destination for ToParent {
    async fn pass_on(&self, output: &[u8]) {
        stdout::pass_on(&write_piece(OUTPUT, output)).await;
    }

    fn drop_lines(&self, count: usize) {
        stdout::drop_lines(count);
    }
}

/// Writes a frame of the probe's connections.
pub(super) fn write_frame(frame: &[u8]) -> Vec<u8> {
    write_piece(FRAME, frame)
}

fn write_piece(prefix: &str, piece: &[u8]) -> Vec<u8> {
    [format!("\n{prefix}{}\n", piece.len()).as_bytes(), piece].concat()
}

pub(super) fn write_end(status: WaitStatus, core_dump: Option<&str>) -> String {
    let (how, number) = match status {
        WaitStatus::Exited(code) => ("exited", code),
        WaitStatus::Signalled(signal) => ("killed", signal),
        WaitStatus::OutOfMemory => ("starved", 0),
        WaitStatus::Unknown => ("ended", 0),
    };
    let core_dump = core_dump.map(|place| format!(" {}", place.escape_default())).unwrap_or_default(); // it is one line
    format!("\n{END}{how} {number}{core_dump}\n")
}

fn parse_end(line: &str) -> Option<Said> {
    let mut parts = line.strip_prefix(END)?.splitn(3, ' ');
    let (how, number) = (parts.next()?, parts.next()?.parse().ok()?);
    let status = match how {
        "exited" => WaitStatus::Exited(number),
        "killed" => WaitStatus::Signalled(number),
        "starved" => WaitStatus::OutOfMemory,
        "ended" => WaitStatus::Unknown,
        _ => return None,
    };
    Some(Said::End { status, core_dump: parts.next().map(str::to_owned) })
}

fn parse_piece(line: &str) -> Option<Piece> {
    let (said, len): (fn(BytesMut) -> Said, _) = match line.strip_prefix(OUTPUT) {
        Some(len) => (Said::Output, len),
        None => (Said::Frame, line.strip_prefix(FRAME)?),
    };
    Some((said, len.parse().ok().filter(|len| *len <= MAX_OUTPUT)?))
}

/// The prefix of the report of the actor's end.
const END: &str = "pleach: ";

/// The prefix of a piece of the actor's output.
const OUTPUT: &str = "pleach> ";

/// The prefix of a frame.
const FRAME: &str = "pleach= ";

/// The longest line of a login, in bytes.
const MAX_LINE: usize = 4 << 10;

/// The longest piece of output, in bytes: more than a pipe holds, and than the longest line that is not cut.
const MAX_OUTPUT: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// What an agent has said, in pieces of so many bytes.
    fn said(text: &[u8], at_once: usize) -> Vec<Said> {
        let (mut from, mut read, mut said) = (FromAgent::default(), BytesMut::new(), Vec::new());
        for piece in text.chunks(at_once) {
            read.extend_from_slice(piece);
            said.extend(std::iter::from_fn(|| from.decode(&mut read).unwrap()));
        }
        said.extend(std::iter::from_fn(|| from.decode_eof(&mut read).unwrap()));
        said
    }

    #[test]
    fn ends_come_back_as_they_were_written() {
        let ends = [WaitStatus::Exited(255), WaitStatus::Signalled(9), WaitStatus::OutOfMemory, WaitStatus::Unknown];
        for status in ends {
            for core_dump in [None, Some("/var/a core.7")] {
                let end = Said::End { status, core_dump: core_dump.map(str::to_owned) };
                assert_eq!(said(format!("Welcome{}", write_end(status, core_dump)).as_bytes(), 3).pop(), Some(end));
            }
        }
        for noise in ["Welcome to node2", "pleach: exited", "pleach: exited x", "pleach: gone 1", "exited 1"] {
            assert_eq!(said(format!("{noise}\n").as_bytes(), 3), [Said::Other(noise.into())]);
        }
    }

    #[test]
    fn output_is_taken_as_it_is_and_says_nothing_about_the_end() {
        let fake = write_end(WaitStatus::Exited(0), None);
        let text = format!(
            "Welcome\n{OUTPUT}{}\n{fake}\n{FRAME}1\n\n\n{OUTPUT}2\nhi{}",
            fake.len(),
            write_end(WaitStatus::Signalled(9), None)
        );
        for at_once in [1, 7, text.len()] {
            let expected = [
                Said::Other("Welcome".into()),
                Said::Output(fake.as_bytes().into()),
                Said::Frame(b"\n"[..].into()),
                Said::Output(b"hi"[..].into()),
                Said::End { status: WaitStatus::Signalled(9), core_dump: None },
            ];
            assert_eq!(said(text.as_bytes(), at_once), expected);
        }
        assert_eq!(said(b"pleach> 10\ncut", 2), [Said::Output(b"cut"[..].into())]);
        assert_eq!(said(b"pleach> 99999999\n", 2), [Said::Other("pleach> 99999999".into())]);
    }
}
