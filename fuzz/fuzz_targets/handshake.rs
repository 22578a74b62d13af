//! Whoever stands between two members and does not know the key: never a member, and nobody is taken for another.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pleach::fuzzing::handshake(data));
