//! What is read as an address is printed and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pleach_wire::Address;

fuzz_target!(|text: &str| {
    let Ok(address) = text.parse::<Address>() else { return };
    let printed = address.to_string();
    match printed.parse::<Address>() {
        Ok(again) => assert_eq!(again, address, "{text:?} is printed as {printed:?}"),
        Err(error) => panic!("{text:?} is printed as {printed:?}: {error}"),
    }
    let _ = (address.protocol(), address.is_local()); // they must not panic
});
