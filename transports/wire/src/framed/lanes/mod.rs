//! Lanes with streams of their own: a stalled one holds up no other.
//!
//! ```text
//! queue(lane) ─► Writers: one FrameWriter per lane ─► one stream each ─► Readers ─► the batch of poll_recv()
//! ```
//! Each lane that this side sends on has one stream, opened on first use; the control lane stays on
//! the link's own. A stream begins with its lane's id (u64 LE), then frames follow as everywhere.
//! Both ends poll only streams that moved: each stream has a waker of its own, which puts it on a `Woken`
//! list and wakes the one task that drives that direction.
//!
//! # Invariants
//! 1. A stream that can't go on has its own waker registered, or is on the `Woken` list.
//! 2. What may be under way holds for all lanes together: see [`under_way`](super::under_way).
//! 3. The list's lock is a leaf: nothing else is locked while it is held.

mod readers;
mod woken;
mod writers;

pub(super) use self::readers::Readers;
pub(super) use self::writers::Writers;
use super::under_way::SMALLER;

/// Lanes that each side may have open at once: far above what one peer needs, and it bounds the memory.
pub(super) const MAX_LANES: usize = 1024;

/// How much of messages that are not complete may have arrived on all lanes, for messages of up to `max_frame` bytes.
///
/// It is what the peer may have under way, and as much as the largest message again: an end that was lost on one stream
/// comes after the beginnings on others, some round trips later.
fn most_held(max_frame: usize) -> usize {
    SMALLER.saturating_add(max_frame.saturating_mul(2))
}

/// Bytes of the id that opens a lane's stream.
const LANE_ID: usize = size_of::<u64>();
