//! Errors of connections as plain data: each comes back from another process as it was.
//!
//! The match over all variants is here, beside the enum: a variant that is added and not mirrored does not compile. Two
//! things come back approximately: a codec's name that this program does not know, and an operating system error of
//! another kind of system.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::Address;
use crate::error::{DrainLimit, Ended, SilenceLimit, TransportClosed, TransportError, WrongPeer};

/// A [`TransportError`] as plain data.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    Closed {
        by_us: bool,
        why: String,
        #[serde(default)]
        in_order: bool,
    },
    Truncated {
        received: usize,
        expected: usize,
    },
    Reset(Os),
    Decode {
        codec: String,
        why: String,
    },
    Value {
        codec: String,
        why: String,
    },
    Encode {
        codec: String,
        why: String,
    },
    FrameTooLarge {
        size: usize,
        limit: usize,
        to_peer: bool,
    },
    Handshake(String),
    WrongPeer(WrongPeer),
    Backlog {
        waiting: usize,
        limit: usize,
    },
    Idle(Duration),
    Silent {
        silent: Duration,
        limit: SilenceLimit,
    },
    Undelivered {
        bytes: usize,
        limit: DrainLimit,
    },
    Dial {
        #[serde(with = "as_text")]
        address: Address,
        source: Os,
    },
    Listen {
        #[serde(with = "as_text")]
        address: Address,
        source: Os,
    },
    Unknown {
        codec: String,
        protocol: String,
        available: String,
    },
    Tls(String),
}

/// The operating system's error: its number, if it has one, and its kind and text.
#[derive(Serialize, Deserialize)]
struct Os {
    code: Option<i32>,
    kind: String,
    text: String,
}

/// Addresses, as people write them.
mod as_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for TransportError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fault::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TransportError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fault::deserialize(deserializer).map(Self::from)
    }
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        use TransportError as T;
        match error {
            T::Closed(TransportClosed { by, why, in_order }) => Self::Closed { by_us: by == Ended::Us, why, in_order },
            T::Truncated { received, expected } => Self::Truncated { received, expected },
            T::Reset(source) => Self::Reset(source.into()),
            T::Decode { codec, why } => Self::Decode { codec: codec.into(), why },
            T::Value { codec, why } => Self::Value { codec: codec.into(), why },
            T::Encode { codec, why } => Self::Encode { codec: codec.into(), why },
            T::FrameTooLarge { size, limit, direction } => {
                Self::FrameTooLarge { size, limit, to_peer: direction == TO_PEER }
            }
            T::Handshake(why) => Self::Handshake(why),
            T::WrongPeer(found) => Self::WrongPeer(*found),
            T::Backlog { waiting, limit } => Self::Backlog { waiting, limit },
            T::Idle(time) => Self::Idle(time),
            T::Silent { silent, limit } => Self::Silent { silent, limit },
            T::Undelivered { bytes, limit } => Self::Undelivered { bytes, limit },
            T::Dial { address, source } => Self::Dial { address, source: source.into() },
            T::Listen { address, source } => Self::Listen { address, source: source.into() },
            T::Unknown { codec, protocol, available } => Self::Unknown { codec, protocol, available },
            T::Tls(why) => Self::Tls(why),
        }
    }
}

impl From<Fault> for TransportError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed { by_us, why, in_order } => {
                let by = if by_us { Ended::Us } else { Ended::Peer };
                TransportClosed { by, why, in_order }.into()
            }
            Fault::Truncated { received, expected } => Self::Truncated { received, expected },
            Fault::Reset(source) => Self::Reset(source.into()),
            Fault::Decode { codec, why } => Self::Decode { codec: known(&codec), why },
            Fault::Value { codec, why } => Self::Value { codec: known(&codec), why },
            Fault::Encode { codec, why } => Self::Encode { codec: known(&codec), why },
            Fault::FrameTooLarge { size, limit, to_peer } => {
                Self::FrameTooLarge { size, limit, direction: if to_peer { TO_PEER } else { FROM_PEER } }
            }
            Fault::Handshake(why) => Self::Handshake(why),
            Fault::WrongPeer(found) => Self::WrongPeer(Box::new(found)),
            Fault::Backlog { waiting, limit } => Self::Backlog { waiting, limit },
            Fault::Idle(time) => Self::Idle(time),
            Fault::Silent { silent, limit } => Self::Silent { silent, limit },
            Fault::Undelivered { bytes, limit } => Self::Undelivered { bytes, limit },
            Fault::Dial { address, source } => Self::Dial { address, source: source.into() },
            Fault::Listen { address, source } => Self::Listen { address, source: source.into() },
            Fault::Unknown { codec, protocol, available } => Self::Unknown { codec, protocol, available },
            Fault::Tls(why) => Self::Tls(why),
        }
    }
}

/// The name of a codec as programs know it: those of other programs are not kept for ever.
fn known(codec: &str) -> &'static str {
    ["msgpack", "json"].into_iter().find(|name| *name == codec).unwrap_or("another codec's")
}

impl From<Arc<io::Error>> for Os {
    fn from(error: Arc<io::Error>) -> Self {
        Self { code: error.raw_os_error(), kind: format!("{:?}", error.kind()), text: error.to_string() }
    }
}

impl From<Os> for Arc<io::Error> {
    fn from(os: Os) -> Self {
        let kind = KINDS.into_iter().find(|kind| format!("{kind:?}") == os.kind).unwrap_or(io::ErrorKind::Other);
        Self::new(os.code.map_or_else(|| io::Error::new(kind, os.text), io::Error::from_raw_os_error))
    }
}

/// The kinds that errors have which the operating system did not number.
const KINDS: [io::ErrorKind; 20] = [
    io::ErrorKind::NotFound,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::NotConnected,
    io::ErrorKind::AddrInUse,
    io::ErrorKind::AddrNotAvailable,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::InvalidData,
    io::ErrorKind::TimedOut,
    io::ErrorKind::WriteZero,
    io::ErrorKind::Interrupted,
    io::ErrorKind::Unsupported,
    io::ErrorKind::UnexpectedEof,
];

const TO_PEER: &str = "to the peer";
const FROM_PEER: &str = "from the peer";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Format, Payload};

    /// The example that stands behind `last`: the match makes sure that there is one of each variant.
    fn next(last: Option<&TransportError>) -> Option<TransportError> {
        use TransportError as T;
        let (codec, why, limit) = ("msgpack", "why".to_owned(), 7);
        let address: Address = "tcp://127.0.0.1:9".parse().unwrap();
        let Some(last) = last else { return Some(TransportClosed::by_us("done").into()) };
        Some(match last {
            T::Closed(TransportClosed { by: Ended::Us, .. }) => TransportClosed::by_peer("done").into(),
            T::Closed(TransportClosed { in_order: false, .. }) => {
                TransportClosed::by_peer("done").after_goodbye().into()
            }
            T::Closed(_) => T::Truncated { received: 3, expected: 9 },
            T::Truncated { .. } => T::Reset(Arc::new(io::Error::from_raw_os_error(104))),
            T::Reset(source) if source.raw_os_error().is_some() => {
                T::Reset(Arc::new(io::Error::new(io::ErrorKind::TimedOut, "too late")))
            }
            T::Reset(_) => T::Decode { codec, why },
            T::Decode { .. } => T::Value { codec, why },
            T::Value { .. } => T::Encode { codec, why },
            T::Encode { .. } => T::FrameTooLarge { size: 9, limit, direction: FROM_PEER },
            T::FrameTooLarge { direction: FROM_PEER, .. } => T::FrameTooLarge { size: 9, limit, direction: TO_PEER },
            T::FrameTooLarge { .. } => T::Handshake(why),
            T::Handshake(_) => {
                let [address, wanted, found] = ["tcp://127.0.0.1:9", "actor `a`", "actor `b`"].map(str::to_owned);
                T::WrongPeer(Box::new(WrongPeer { address, wanted, found }))
            }
            T::WrongPeer(_) => T::Undelivered { bytes: 9, limit: DrainLimit::Broken },
            T::Undelivered { limit: DrainLimit::Broken, .. } => {
                T::Undelivered { bytes: 9, limit: DrainLimit::Stalled(Duration::from_nanos(1)) }
            }
            T::Undelivered { limit: DrainLimit::Stalled(_), .. } => {
                T::Undelivered { bytes: 9, limit: DrainLimit::Total(Duration::MAX) }
            }
            T::Undelivered { .. } => T::Backlog { waiting: 9, limit },
            T::Backlog { .. } => T::Idle(Duration::from_millis(3)),
            T::Idle(_) => T::Silent { silent: Duration::MAX, limit: SilenceLimit::Phi(8) },
            T::Silent { limit: SilenceLimit::Phi(_), .. } => {
                T::Silent { silent: Duration::ZERO, limit: SilenceLimit::Lease(Duration::MAX) }
            }
            T::Silent { limit: SilenceLimit::Lease(_), .. } => {
                T::Silent { silent: Duration::ZERO, limit: SilenceLimit::OwnLease(Duration::from_nanos(1)) }
            }
            T::Silent { limit: SilenceLimit::OwnLease(_), .. } => {
                T::Silent { silent: Duration::ZERO, limit: SilenceLimit::Network(Duration::MAX) }
            }
            T::Silent { .. } => T::dial(&address, io::Error::from_raw_os_error(111)),
            T::Dial { .. } => T::listen(&address, io::Error::new(io::ErrorKind::AddrInUse, "in use")),
            T::Listen { .. } => T::Unknown { codec: "x".into(), protocol: "y".into(), available: "z".into() },
            T::Unknown { .. } => T::Tls(why),
            T::Tls(_) => return None,
        })
    }

    #[test]
    fn every_error_comes_back_as_it_was() {
        let mut last = None;
        while let Some(error) = next(last.as_ref()) {
            for format in [Format::Msgpack, Format::Json] {
                let read: TransportError = Payload::of(format, &error).unwrap().decode().unwrap();
                assert_eq!(format!("{read:?}"), format!("{error:?}"));
                assert_eq!(read.to_string(), error.to_string());
            }
            last = Some(error);
        }
    }
}
