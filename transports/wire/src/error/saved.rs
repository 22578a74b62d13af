//! The parts of errors that serde can't save by itself: addresses, names of codecs, errors of the operating system.

/// An address, as people write it.
pub(super) mod address {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::address::Address;

    pub(in super::super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a codec. Those that this program does not know are kept for as long as it runs, but not many of them.
pub(super) mod codec_name {
    use std::sync::Mutex;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::sync::lock;

    pub(in super::super) fn serialize<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
        String::deserialize(deserializer).map(kept)
    }

    fn kept(name: String) -> &'static str {
        static NAMES: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let mut names = lock(&NAMES);
        match ["msgpack", "json"].iter().chain(&*names).find(|known| **known == name) {
            Some(known) => known,
            None if names.len() == MAX_NAMES || name.len() > MAX_NAME => "another codec's",
            None => {
                names.push(Box::leak(name.into_boxed_str()));
                names[names.len() - 1]
            }
        }
    }

    const MAX_NAMES: usize = 32;

    /// In bytes.
    const MAX_NAME: usize = 64;
}

/// An error of the operating system: its number, if it has one, and its kind and text.
pub(super) mod io_error {
    use std::io::{Error, ErrorKind};
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Saved {
        code: Option<i32>,
        kind: String,
        text: String,
    }

    pub(in super::super) fn serialize<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = NAMES.iter().find(|(kind, _)| *kind == error.kind()).map_or("Other", |(_, name)| name);
        Saved { code: error.raw_os_error(), kind: kind.to_owned(), text: error.to_string() }.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Error>, D::Error> {
        let Saved { code, kind, text } = Saved::deserialize(deserializer)?;
        let kind = NAMES.iter().find(|(_, name)| *name == kind).map_or(ErrorKind::Other, |(kind, _)| *kind);
        Ok(Arc::new(code.map_or_else(|| Error::new(kind, text), Error::from_raw_os_error)))
    }

    macro_rules! names {
        ($($kind:ident)+) => { [$((ErrorKind::$kind, stringify!($kind))),+] };
    }

    /// The kinds of errors that the operating system did not number.
    const NAMES: [(ErrorKind, &str); 20] = names! {
        NotFound PermissionDenied ConnectionRefused ConnectionReset HostUnreachable NetworkUnreachable ConnectionAborted
        NotConnected AddrInUse AddrNotAvailable BrokenPipe AlreadyExists WouldBlock InvalidInput InvalidData TimedOut
        WriteZero Interrupted Unsupported UnexpectedEof
    };
}
