//! The in-memory transport of pleach.
