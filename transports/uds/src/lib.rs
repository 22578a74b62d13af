//! The Unix-socket transport of pleach.
