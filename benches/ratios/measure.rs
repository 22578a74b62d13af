//! What is compared, against which raw exchange, and the ratio that must hold.

/// One line of the table.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) what: What,
    pub(crate) protocol: &'static str,
    pub(crate) gate: Gate,
}

/// All of them, in the order in which they run.
pub(crate) const MEASURES: [Measure; 13] = [
    measure(What::Call, "uds", Gate::TimeAtMost(1.5)),
    measure(What::Call, "tcp", Gate::None),
    measure(What::Call, "quic", Gate::None),
    measure(What::Blob, "uds", Gate::RateAtLeast(0.5)),
    measure(What::Blob, "tcp", Gate::None),
    measure(What::Echo, "uds", Gate::RateAtLeast(0.5)),
    measure(What::Echo, "tcp", Gate::None),
    measure(What::Flight, "uds", Gate::RateAtLeastOr(0.13, 500_000.0)),
    measure(What::Flight, "tcp", Gate::None),
    measure(What::Flight, "quic", Gate::None),
    measure(What::Stream, "uds", Gate::RateAtLeastOr(0.08, 1_500_000.0)),
    measure(What::Stream, "tcp", Gate::None),
    measure(What::Child, "uds", Gate::TimeAtMost(3.0)),
];

const fn measure(what: What, protocol: &'static str, gate: Gate) -> Measure {
    Measure { what, protocol, gate }
}

/// What is done on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One call with 64 bytes, which come back.
    Call,
    /// One call with a blob; a number comes back.
    Blob,
    /// One call with a blob, which comes back.
    Echo,
    /// 64 callers on one connection, 64 bytes there and back each; raw: all 64 in one write and one read.
    Flight,
    /// A stream of typed messages of 64 bytes, taken one by one; raw: blocking sockets of the standard library,
    /// the same messages in the same codec behind a length, as many in a write as a buffer holds.
    Stream,
    /// Starting a child, up to its first answered call of 64 bytes.
    Child,
}

impl What {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call, 64 B",
            Self::Blob => "blob, 1 MiB",
            Self::Echo => "blob echo, 1 MiB",
            Self::Flight => "64 calls in flight",
            Self::Stream => "stream of 64 B",
            Self::Child => "child up to its first answer",
        }
    }

    /// Bytes of a raw request and of its reply.
    pub(crate) fn raw_sizes(self) -> (usize, usize) {
        match self {
            Self::Call | Self::Child => (64, 64),
            Self::Blob => (BLOB, 9),
            Self::Echo => (BLOB, BLOB),
            Self::Flight => (64 * CALLERS, 64 * CALLERS),
            Self::Stream => (0, 0), // see `raw::stream`
        }
    }

    /// Calls or messages in one timed step.
    pub(crate) fn calls(self) -> usize {
        match self {
            Self::Flight => CALLERS * CALLS_EACH,
            Self::Stream => MESSAGES,
            Self::Call | Self::Blob | Self::Echo | Self::Child => 1,
        }
    }
}

/// What must hold for the program to succeed.
#[derive(Clone, Copy)]
pub(crate) enum Gate {
    /// Ours takes at most so many times as long.
    TimeAtMost(f64),
    /// Ours gets at least this part of the bytes through.
    RateAtLeast(f64),
    /// Ours does at least this part as many in the same time, or at least so many in a second.
    RateAtLeastOr(f64, f64),
    /// It is only reported.
    None,
}

/// The size of a blob.
pub(crate) const BLOB: usize = 1 << 20;

/// Callers on one connection.
pub(crate) const CALLERS: usize = 64;

/// Calls that each of them makes in one step.
pub(crate) const CALLS_EACH: usize = 8;

/// Messages that a stream carries in one step.
pub(crate) const MESSAGES: usize = 50_000;
