//! The lines, with their points.

use crate::cost;

/// One cost, as a function of one number.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) over: &'static str,
    /// What the points count.
    pub(crate) unit: &'static str,
    pub(crate) points: &'static [usize],
    /// Returns the seconds that so many take over a transport.
    pub(crate) cost: fn(&str, usize) -> f64,
}

pub(crate) const LINES: &[Line] = &[
    line("calls in flight", "mem", "callers", CALLERS, cost::in_flight),
    line("calls in flight", "uds", "callers", CALLERS, cost::in_flight),
    line("calls in flight", "tcp", "callers", CALLERS, cost::in_flight),
    line("size of an argument", "mem", "bytes", SIZES, cost::argument),
    line("size of an argument", "uds", "bytes", SIZES, cost::argument),
    line("size of an argument", "tcp", "bytes", SIZES, cost::argument),
    line("size of an argument", "quic", "bytes", SIZES, cost::argument),
    line("size of a stream item", "uds", "bytes", BUFFERS, cost::item),
    line("size of a stream item", "tcp", "bytes", BUFFERS, cost::item),
    line("size of a ring, arguments", "shm", "bytes", RINGS, cost::arguments_through_ring),
    line("size of a ring, stream items", "shm", "bytes", RINGS, cost::items_through_ring),
    line("contexts", "mem", "contexts", CONTEXTS, cost::contexts),
    line("contexts", "uds", "contexts", CONTEXTS, cost::contexts),
    line("actors", "mem", "actors", ACTORS, cost::actors),
    line("actors", "uds", "actors", ACTORS, cost::actors),
    line("depth", "mem", "levels", DEPTHS, cost::depth),
    line("depth", "uds", "levels", DEPTHS, cost::depth),
    line("memory of the parent", "uds", "MiB", PARENTS, cost::child_of),
];

const fn line(
    name: &'static str,
    over: &'static str,
    unit: &'static str,
    points: &'static [usize],
    cost: fn(&str, usize) -> f64,
) -> Line {
    Line { name, over, unit, points, cost }
}

const CALLERS: &[usize] = &[1, 4, 16, 64, 256, 1_000, 3_000, 10_000];
/// A little less than `max_frame`, 64 MiB, in which the message has to fit.
const LARGEST: usize = 63 << 20;
const SIZES: &[usize] = &[16, 256, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, LARGEST];
const BUFFERS: &[usize] = &[64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, LARGEST];
const RINGS: &[usize] = &[64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];
const CONTEXTS: &[usize] = &[1, 10, 30, 100, 300, 1_000];
const ACTORS: &[usize] = &[1, 10, 30, 100, 300];
const DEPTHS: &[usize] = &[1, 2, 4, 7, 10];
const PARENTS: &[usize] = &[1, 256, 1_024, 4_096];
