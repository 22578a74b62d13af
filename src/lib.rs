//! pleach.
