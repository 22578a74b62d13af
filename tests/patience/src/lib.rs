//! How long tests wait, for tests that need nothing else of the conformance suite.
//!
//! The module is in the suite, because those who test transports of their own get it from there.

#[path = "../../../transports/conformance/src/patience.rs"]
mod patience;

pub use patience::*;
