//! What is compared, against which raw exchange, and what must hold.
//!
//! A gate fails the program; it stands where the library is now. A goal is only shown.

/// One line of the table.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) what: What,
    pub(crate) codec: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) gate: Option<Limit>,
    pub(crate) goal: Option<Limit>,
}

/// What is done on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One call with a typed value of 64 bytes, which comes back; raw: 64 bytes there and back.
    Call,
    /// 64 callers on one connection, each as above; raw: all 64 in one write and one read.
    Flight,
    /// A stream of typed values, taken one by one; raw: blocking sockets of the standard library, the same values in
    /// msgpack behind a length, as many in a write as a buffer holds.
    Items,
    /// A stream of blobs, taken one by one; raw: each in one write, and read to the end into the same buffer.
    Blobs,
    /// One typed value over a stream, and back; raw: 64 bytes there and back.
    Echo,
    /// One call with a blob; a number comes back.
    Blob,
    /// One call with a blob, which comes back.
    BlobEcho,
    /// Starting a child, up to its first answered call.
    Child,
    /// The same with a child that is linked statically; raw: as before.
    StaticChild,
    /// The same with a raw peer that is linked statically, too.
    StaticBoth,
    /// The same while the parent holds so many GiB; raw: ours while it holds none.
    HeavyChild(usize),
    /// Starting 50 children at once, up to all first answers.
    Up,
    /// Ending 50 children at once, until all are reaped.
    Down,
    /// The anonymous memory of a child that has answered a call.
    Memory,
}

/// A bound.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// Ours takes at most so many times as long, or as much.
    AtMost(f64),
    /// Ours gets at least this part of it done in the same time.
    AtLeast(f64),
    /// Ours does so many in a second of processor time.
    PerCpuSecond(f64),
}

/// All of them, in the order in which they run.
#[rustfmt::skip]
pub(crate) const MEASURES: &[Measure] = &[
    line(What::Call, "uds").gate(AtMost(1.5)).goal(AtMost(1.06)),
    line(What::Call, "tcp").gate(AtMost(1.5)).goal(AtMost(1.10)),
    line(What::Call, "quic").goal(AtMost(1.10)),
    line(What::Call, "shm").goal(AtMost(0.75)),
    line(What::Call, "mem"),
    line(What::Call, "uds").json(),
    line(What::Flight, "uds").gate(AtMost(9.0)).goal(PerCpuSecond(900e3)),
    line(What::Flight, "tcp").gate(AtMost(9.0)).goal(PerCpuSecond(850e3)),
    line(What::Flight, "quic").goal(PerCpuSecond(800e3)),
    line(What::Flight, "shm"),
    line(What::Flight, "mem"),
    line(What::Flight, "uds").json(),
    line(What::Items, "uds").gate(AtMost(7.5)).goal(PerCpuSecond(4.4e6)),
    line(What::Items, "tcp").gate(AtMost(7.5)).goal(PerCpuSecond(4.5e6)),
    line(What::Items, "quic"),
    line(What::Items, "shm"),
    line(What::Items, "mem"),
    line(What::Items, "uds").json(),
    line(What::Blobs, "uds").gate(AtLeast(0.6)).goal(AtLeast(0.80)),
    line(What::Blobs, "tcp").gate(AtLeast(0.6)).goal(AtLeast(0.90)),
    line(What::Blobs, "quic").goal(AtLeast(1.0)),
    line(What::Blobs, "shm").goal(AtLeast(1.4)),
    line(What::Blobs, "mem"),
    line(What::Echo, "uds").gate(AtMost(1.5)).goal(AtMost(0.96)),
    line(What::Echo, "tcp").gate(AtMost(1.5)).goal(AtMost(1.08)),
    line(What::Echo, "quic"),
    line(What::Echo, "shm"),
    line(What::Echo, "mem"),
    line(What::Blob, "uds").gate(AtLeast(0.5)),
    line(What::Blob, "shm").goal(AtLeast(1.4)),
    line(What::Blob, "tcp"),
    line(What::Blob, "quic"),
    line(What::BlobEcho, "uds").gate(AtLeast(0.5)),
    line(What::BlobEcho, "tcp"),
    line(What::Child, "uds").gate(AtMost(3.0)).goal(AtMost(2.0)),
    line(What::Child, "tcp").gate(AtMost(3.0)).goal(AtMost(2.0)),
    line(What::StaticChild, "uds").gate(AtMost(2.0)).goal(AtMost(1.6)),
    line(What::StaticBoth, "uds").goal(AtMost(1.6)),
    line(What::HeavyChild(1), "uds").goal(AtMost(1.1)),
    line(What::HeavyChild(4), "uds").goal(AtMost(1.1)),
    line(What::Up, "uds").goal(AtMost(1.8)),
    line(What::Down, "uds").goal(AtMost(2.0)),
    line(What::Memory, "uds").gate(AtMost(4.0)).goal(AtMost(2.1)),
];

use Limit::{AtLeast, AtMost, PerCpuSecond};

const fn line(what: What, protocol: &'static str) -> Measure {
    Measure { what, codec: "msgpack", protocol, gate: None, goal: None }
}

impl Measure {
    const fn json(self) -> Self {
        Self { codec: "json", ..self }
    }

    const fn gate(self, limit: Limit) -> Self {
        Self { gate: Some(limit), ..self }
    }

    const fn goal(self, limit: Limit) -> Self {
        Self { goal: Some(limit), ..self }
    }

    /// What the argument of the program is compared with.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.what.name(), self.over())
    }

    /// Returns whether it takes this program linked statically.
    pub(crate) fn is_static(&self) -> bool {
        matches!(self.what, What::StaticChild | What::StaticBoth)
    }

    /// The protocol, and the codec if it is not the default one.
    pub(crate) fn over(&self) -> String {
        if self.codec == "msgpack" { self.protocol.to_owned() } else { format!("{}+{}", self.codec, self.protocol) }
    }
}

impl What {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call, 64 B",
            Self::Flight => "64 calls in flight",
            Self::Items => "stream of 64 B",
            Self::Blobs => "stream of 1 MiB",
            Self::Echo => "echo on a stream, 64 B",
            Self::Blob => "blob, 1 MiB",
            Self::BlobEcho => "blob echo, 1 MiB",
            Self::Child => "child up to its first answer",
            Self::StaticChild => "child, static-pie",
            Self::StaticBoth => "child, both static-pie",
            Self::HeavyChild(1) => "child, parent of 1 GiB",
            Self::HeavyChild(_) => "child, parent of 4 GiB",
            Self::Up => "50 children up",
            Self::Down => "50 children down",
            Self::Memory => "memory of an idle child",
        }
    }

    /// Calls or items in one timed step.
    pub(crate) fn in_a_step(self) -> usize {
        match self {
            Self::Flight => CALLERS * CALLS_EACH,
            Self::Items => ITEMS,
            Self::Blobs => BLOBS,
            _ => 1,
        }
    }
}

/// The size of a blob.
pub(crate) const BLOB: usize = 1 << 20;

/// Callers on one connection.
pub(crate) const CALLERS: usize = 64;

/// Calls that each of them makes in one step.
pub(crate) const CALLS_EACH: usize = 8;

/// Items that a stream carries in one step.
pub(crate) const ITEMS: usize = 50_000;

/// Blobs that a stream carries in one step.
pub(crate) const BLOBS: usize = 64;

/// Children that are started at once.
pub(crate) const CHILDREN: usize = 50;
