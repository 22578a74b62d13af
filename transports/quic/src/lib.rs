//! The QUIC transport of pleach.
