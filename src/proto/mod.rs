//! The protocol without I/O: what happens to a connection's state when a message comes or a task acts.
//!
//! | file | station |
//! |---|---|
//! | [`handshake`] | who is there, and does it belong to the tree |
//! | [`membership`] | the proof of that |
//! | [`session`] | the dialogs of one connection, after the handshake |
//! | [`dialog`] | one of them that has a stream |
//! | [`inbox`] | what of that stream waits for its task |
//! | [`state`] | how far that has come, in a word |
//! | [`liveness`] | is the peer alive: heartbeats and the lease |
//! | [`phi`] | how suspicious a silence is |
//! | [`lost`] | who was counted dead |
//!
//! Nothing here knows of tasks, sockets or clocks: time comes in as an argument, counted from any
//! start, and messages come in and go out as values. So the rules can be tested with two queues and
//! a number for a clock.

pub(crate) mod dialog;
pub(crate) mod handshake;
pub(crate) mod inbox;
pub(crate) mod liveness;
pub(crate) mod lost;
pub(crate) mod membership;
mod phi;
pub(crate) mod session;
pub(crate) mod state;
#[cfg(test)]
mod tests;
