//! A package of its own for the tests of the features `metrics` and `prometheus`, so that those of `pleach` do not build
//! what records and reads metrics.
