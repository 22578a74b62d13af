//! A man in the middle without the key: never a member, and no member is taken for another.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pleach::fuzzing::handshake(data));
