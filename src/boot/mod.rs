//! Booting a tree in a program: its first actor, and the program around it.
//!
//! | file | station |
//! |---|---|
//! | [`main`] | the program around a tree |
//! | [`root`] | the first actor of a tree: booting it, and bringing it to its end |
//! | [`daemon`] | a root that only serves |

pub(crate) mod daemon;
pub(crate) mod main;
pub(crate) mod root;
