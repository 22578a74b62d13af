//! A value arrives as it was sent, or sending fails at the sender: over both built-in codecs, all of serde.
//!
//! | file | what it holds |
//! |---|---|
//! | `types.rs` | a type for each attribute of serde, and hand-written ones |
//! | `matrix.rs` | what becomes of a value of each |
//! | `corners.rs` | the same for what is seldom met |
//! | `listed.rs` | what serde itself can't carry, as the manual lists it |
//! | `pairs.rs` | two builds of a program, whose types differ |
//! | `random.rs` | random values of a type that has everything |
//! | `wide.rs` | integers of 128 bits, wherever they may stand |
//! | `words.rs` | what the errors say |

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

/// Types with what every test of them needs.
macro_rules! types {
    ($($item:item)*) => {$(
        #[derive(serde::Serialize, serde::Deserialize, Debug, Clone, PartialEq)]
        $item
    )*};
}

mod corners;
mod listed;
mod matrix;
mod pairs;
mod random;
mod types;
mod wide;
mod words;

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use pleach_wire::{Format, Payload, TransportError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What became of a value.
#[derive(Debug)]
#[expect(dead_code, reason = "a failing test shows all of it")]
pub(crate) enum Outcome {
    Equal,
    /// The sender says that it can't be sent.
    Refused(String),
    /// The receiver can't read it.
    Unreadable(String),
    /// Another value arrived.
    Wrong {
        expected: String,
        came: String,
    },
}

pub(crate) const FORMATS: [Format; 2] = [Format::Msgpack, Format::Json];

/// Sends `value`, reads it as a `B`, and compares it with what should come.
pub(crate) fn sent<A: Serialize, B: DeserializeOwned + Debug>(format: Format, value: &A, expected: &str) -> Outcome {
    let mut body = BytesMut::new();
    match format.encode(value, &mut body) {
        Err(TransportError::Encode { why, .. }) => return Outcome::Refused(why),
        Err(other) => panic!("a value that can't be sent is {other:?}"),
        Ok(()) => {}
    }
    match Payload::new(format, body.freeze(), Bytes::new()).decode::<B>() {
        Err(TransportError::Value { why, .. }) => Outcome::Unreadable(why),
        Err(other) => panic!("a value that can't be read is {other:?}"),
        Ok(read) if format!("{read:?}") == expected => Outcome::Equal,
        Ok(read) => Outcome::Wrong { expected: expected.to_owned(), came: format!("{read:?}") },
    }
}
