//! A package of its own for the tests of the feature `otel`, so that those of `pleach` do not build what reads OTLP.
