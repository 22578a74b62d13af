//! The attribute macros of pleach.
