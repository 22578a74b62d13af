//! Booting a tree in a program: its first actor, and the program around it.
//!
//! | file | station |
//! |---|---|
//! | [`main`] | the program around a tree |
//! | [`root`] | the first actor of a tree: booting it, and bringing it to its end |
//! | `test` | the program around the tree of a test |
//! | [`daemon`] | a root that only serves |
//! | [`shutdown`] | finishing its work before it ends |

pub(crate) mod daemon;
pub(crate) mod main;
pub(crate) mod root;
pub(crate) mod shutdown;
#[cfg(feature = "testing")]
pub(crate) mod test;
