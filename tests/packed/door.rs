//! A crate that hands the library on, as a framework does: its users depend on it, and on nothing else.

pub use pleach;
