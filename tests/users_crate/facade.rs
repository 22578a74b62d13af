//! A crate's own door to the library.

pub(crate) use actors as renamed;
