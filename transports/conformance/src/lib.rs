//! The suite that every pleach transport passes.
