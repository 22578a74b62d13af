//! The functions that peers may call, of three kinds in one shape: a call, a context, a one-way stream.
//!
//! | file | station |
//! |---|---|
//! | [`call`], [`context`], [`stream_call`] | the kinds: what a caller opens, and what the function is given |
//! | [`block`] | the caller's end of a context or stream, in whatever order both sides come to theirs |
//! | [`export`] | what this program says of a function, and the table of all, made at link time |
//! | [`allow_list`] | which of them peers may call here |
//! | [`method`] | functions that work on the state of their actor |
//! | [`request`] | a peer's request: its task decodes the arguments and runs the function |
//! | [`answer`] | what a request is answered with |
//!
//! # What must stay true
//! 1. A peer runs nothing that is not in the table, enabled, and declared as the peer knows it.
//! 2. Each request is answered once, whatever its task came to.

pub(crate) mod allow_list;
pub(crate) mod answer;
pub(crate) mod arguments;
mod block;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod export;
pub(crate) mod method;
pub(crate) mod request;
pub(crate) mod stream_call;
