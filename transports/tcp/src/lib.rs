//! The TCP transport of pleach.
