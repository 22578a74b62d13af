//! The protocol without I/O: what happens to a connection's state when a message comes or a task acts.
//!
//! | file | station |
//! |---|---|
//! | [`handshake`] | identity of the peer, and whether it belongs to the tree |
//! | [`membership`] | the proof of that |
//! | [`session`] | the dialogs of one connection, after the handshake |
//! | [`target`] | what a peer asks this side to run |
//! | [`dialog`] | one of them that has a stream |
//! | [`transmit`] | what is sent: each message with its lane |
//! | [`inbox`] | the messages of that stream that wait for its task |
//! | [`failure_detector`] | is the peer alive: heartbeats and the lease |
//! | [`phi`] | how suspicious a silence is |
//! | [`fencing`] | fencing of actors that were declared dead |
//!
//! Nothing here knows of tasks, sockets or clocks: time comes in as an argument, counted from any
//! start, and messages come in and go out as values. So the rules can be tested with two queues and
//! a number for a clock.

pub(crate) mod dialog;
pub(crate) mod failure_detector;
pub(crate) mod fencing;
pub(crate) mod handshake;
pub(crate) mod inbox;
pub(crate) mod membership;
mod phi;
pub(crate) mod session;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod transmit;
mod window;
