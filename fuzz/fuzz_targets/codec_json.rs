//! Any bytes as the values that cross: an error or a value, and no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pleach_fuzz::values;
use pleach_wire::Format;

fuzz_target!(|data: &[u8]| values::read(Format::Json, data));
