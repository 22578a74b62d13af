//! Faults of connections as plain data, for `#[serde(with = "transport")]`: each comes back as it was.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::{Ended, SilenceLimit, TransportClosed, TransportError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A [`TransportError`] as plain data.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    Closed {
        by_us: bool,
        why: String,
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
    Idle(Duration),
    Silent {
        silent: Duration,
        limit: SilenceLimit,
    },
    Dial {
        address: String,
        source: Os,
    },
    Listen {
        address: String,
        source: Os,
    },
    Unknown {
        codec: String,
        protocol: String,
        available: String,
    },
    Tls(String),
    /// One that this version does not know.
    Other(String),
}

/// What the operating system said: its number, if it was one, and its text.
#[derive(Serialize, Deserialize)]
struct Os {
    code: Option<i32>,
    text: String,
}

pub(super) fn serialize<S: Serializer>(error: &TransportError, serializer: S) -> Result<S::Ok, S::Error> {
    fault_of(error.clone()).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TransportError, D::Error> {
    Fault::deserialize(deserializer).map(error_of)
}

fn fault_of(error: TransportError) -> Fault {
    use TransportError as T;
    match error {
        T::Closed(closed) => Fault::Closed { by_us: closed.by == Ended::Us, why: closed.why },
        T::Truncated { received, expected } => Fault::Truncated { received, expected },
        T::Reset(source) => Fault::Reset(source.into()),
        T::Decode { codec, why } => Fault::Decode { codec: codec.into(), why },
        T::Encode { codec, why } => Fault::Encode { codec: codec.into(), why },
        T::FrameTooLarge { size, limit, direction } => {
            Fault::FrameTooLarge { size, limit, to_peer: direction == TO_PEER }
        }
        T::Handshake(why) => Fault::Handshake(why),
        T::Idle(time) => Fault::Idle(time),
        T::Silent { silent, limit } => Fault::Silent { silent, limit },
        T::Dial { address, source } => Fault::Dial { address: address.to_string(), source: source.into() },
        T::Listen { address, source } => Fault::Listen { address: address.to_string(), source: source.into() },
        T::Unknown { codec, protocol, available } => Fault::Unknown { codec, protocol, available },
        T::Tls(why) => Fault::Tls(why),
        other => Fault::Other(other.to_string()),
    }
}

fn error_of(fault: Fault) -> TransportError {
    use TransportError as T;
    match fault {
        Fault::Closed { by_us: true, why } => TransportClosed::by_us(why).into(),
        Fault::Closed { by_us: false, why } => TransportClosed::by_peer(why).into(),
        Fault::Truncated { received, expected } => T::Truncated { received, expected },
        Fault::Reset(source) => T::Reset(source.into()),
        Fault::Decode { codec, why } => T::Decode { codec: known(&codec), why },
        Fault::Encode { codec, why } => T::Encode { codec: known(&codec), why },
        Fault::FrameTooLarge { size, limit, to_peer } => {
            T::FrameTooLarge { size, limit, direction: if to_peer { TO_PEER } else { FROM_PEER } }
        }
        Fault::Handshake(why) => T::Handshake(why),
        Fault::Idle(time) => T::Idle(time),
        Fault::Silent { silent, limit } => T::Silent { silent, limit },
        Fault::Dial { address, source } => match address.parse() {
            Ok(address) => T::Dial { address, source: source.into() },
            Err(_unreadable) => other(format!("can't connect to {address}: {}", source.text)),
        },
        Fault::Listen { address, source } => match address.parse() {
            Ok(address) => T::Listen { address, source: source.into() },
            Err(_unreadable) => other(format!("can't listen on {address}: {}", source.text)),
        },
        Fault::Unknown { codec, protocol, available } => T::Unknown { codec, protocol, available },
        Fault::Tls(why) => T::Tls(why),
        Fault::Other(text) => other(text),
    }
}

fn other(text: String) -> TransportError {
    TransportError::Reset(Arc::new(io::Error::other(text)))
}

/// The name of a codec as programs know it: those of other programs are not kept for ever.
fn known(codec: &str) -> &'static str {
    ["msgpack", "json"].into_iter().find(|name| *name == codec).unwrap_or("another codec's")
}

impl From<Arc<io::Error>> for Os {
    fn from(error: Arc<io::Error>) -> Self {
        Self { code: error.raw_os_error(), text: error.to_string() }
    }
}

impl From<Os> for Arc<io::Error> {
    fn from(os: Os) -> Self {
        Self::new(os.code.map_or_else(|| io::Error::other(os.text), io::Error::from_raw_os_error))
    }
}

const TO_PEER: &str = "to the peer";
const FROM_PEER: &str = "from the peer";
