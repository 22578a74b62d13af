//! The functions that peers may call, of three kinds: calls, contexts and one-way streams.

pub(crate) mod arguments;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod export;
pub(crate) mod stream_call;
