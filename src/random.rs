//! Random numbers of the system, fit for keys.

use std::io;

use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};
use uuid::{Builder, Uuid};

/// Returns random bytes.
///
/// # Errors
/// When the system gives none: a filter of system calls may forbid it.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    const { assert!(N <= AT_ONCE) };
    let mut random = [0; N];
    match retry_on_intr(|| getrandom(&mut random[..], GetRandomFlags::empty()))? {
        read if read == N => Ok(random),
        read => Err(io::Error::other(format!("the system gave {read} random bytes of {N}"))),
    }
}

/// Returns an identifier that no other has: 122 random bits, as version 4 of RFC 9562 has them.
///
/// # Panics
/// When the system gives no random bytes.
pub(crate) fn unique() -> Uuid {
    match bytes() {
        Ok(random) => Builder::from_random_bytes(random).into_uuid(),
        Err(error) => panic!("no random numbers: {error}"),
    }
}

/// So many bytes come whole, or not at all: see `getrandom(2)`.
const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ_and_say_that_they_are_random() {
        let (one, another) = (unique(), unique());
        assert_ne!(one, another);
        assert_eq!(one.get_version(), Some(uuid::Version::Random));
    }
}
