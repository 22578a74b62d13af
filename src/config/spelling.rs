//! How values are spelt in files and variables: `"500ms"`, `"64MiB"`, and plain numbers.
//!
//! Between processes they travel as plain numbers where the format is not readable, and else as they are spelt here.
//! Limits are checked while a value is read, because the reader still knows the line.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pleach_wire::Address;
use pleach_wire::transport::is_ring_size;
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Any duration, zero included.
pub(super) mod duration {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&spell(*value));
        }
        value.serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Spelt {
                expected: DURATION,
                number: milliseconds,
                text: parse_duration,
            });
        }
        Duration::deserialize(deserializer)
    }
}

/// A timeout: zero would expire at once.
pub(super) mod patience {
    use super::*;

    pub(in crate::config) use super::duration::serialize;

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let value = duration::deserialize(deserializer)?;
        if value.is_zero() {
            return Err(de::Error::custom("zero would give up at once; write how long to wait, such as \"10s\""));
        }
        Ok(value)
    }
}

/// The same, where it may be left out.
pub(super) mod if_said {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Patience(#[serde(with = "patience")] Duration);

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Patience).serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Patience>::deserialize(deserializer)?.map(|Patience(time)| time))
    }
}

/// A number of bytes that fits a frame's length field.
pub(super) mod frame_size {
    use super::*;

    pub(in crate::config) use super::count::serialize;

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        let size = deserializer.deserialize_any(Spelt { expected: SIZE, number: some, text: parse_size })?;
        if !(1 << 10..=u64::from(u32::MAX)).contains(&size) {
            return Err(de::Error::custom(format!(
                "{size} bytes is out of range; it must be between 1KiB and 4GiB - 1"
            )));
        }
        usize::try_from(size).map_err(de::Error::custom)
    }
}

/// The size of a ring in shared memory.
pub(super) mod ring_size {
    use super::*;

    pub(in crate::config) use super::count::serialize;

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        let size = deserializer.deserialize_any(Spelt { expected: SIZE, number: some, text: parse_size })?;
        let fitting = usize::try_from(size).ok().filter(|size| is_ring_size(*size));
        fitting.ok_or_else(|| de::Error::custom(format!("{size} bytes: it must be a power of two from 4KiB to 64MiB")))
    }
}

/// How long to look before sleeping: for longer, sleep is cheaper than any message is late.
pub(super) mod spin {
    use super::*;

    pub(in crate::config) use super::duration::serialize;

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let value = duration::deserialize(deserializer)?;
        if value > Duration::from_millis(10) {
            return Err(de::Error::custom("more than 10ms would only burn a core; write some time like \"50us\""));
        }
        Ok(value)
    }
}

/// A host's address and a port, or nothing.
pub(super) mod socket_address {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|address| address.to_string()).serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_socket_address(&text).ok_or_else(|| de::Error::custom(expected(&text)))).transpose()
    }

    fn expected(text: &str) -> String {
        format!("`{text}` is not an address with a port; write it like `127.0.0.1:9464`, or with port 0 for a free one")
    }
}

fn parse_socket_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// Addresses: a list of texts, or one text with commas between them.
pub(super) mod addresses {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(value: &[Address], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(Address::to_string))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a list of addresses, or one text with commas between them")]
        enum Texts {
            One(String),
            Several(Vec<String>),
        }
        let texts = match Texts::deserialize(deserializer)? {
            Texts::One(text) => split(&text),
            Texts::Several(texts) => texts,
        };
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }

    /// Splits at commas, but for those within an address: each address has a protocol, or begins with a slash.
    fn split(text: &str) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match texts.last_mut() {
                Some(before) if before.contains("://") && !text.contains("://") && !text.starts_with('/') => {
                    before.push(',');
                    before.push_str(text);
                }
                _ => texts.push(text.to_owned()),
            }
        }
        texts
    }
}

/// A number of things, at least one.
pub(super) mod count {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(value: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        let text = |text: &str| text.parse().ok();
        match deserializer.deserialize_any(Spelt { expected: COUNT, number: some, text })? {
            0 => Err(de::Error::custom("zero would let nothing through; write how many at most, from 1")),
            count => usize::try_from(count).map_err(de::Error::custom),
        }
    }
}

/// Yes or no. A variable can only say it in words.
pub(super) mod switch {
    use super::*;

    pub(in crate::config) fn serialize<S: Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(Switch)
    }
}

const DURATION: &str = "a duration like \"500ms\", \"2s\" or \"1m\", or a whole number of milliseconds";
const SIZE: &str = "a size like \"64MiB\", or a whole number of bytes";
const COUNT: &str = "a whole number";

/// A value that is written as a number or as text.
struct Spelt<T> {
    expected: &'static str,
    number: fn(u64) -> Option<T>,
    text: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Spelt<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text.trim()).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

struct Switch;

impl Visitor<'_> for Switch {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

fn some(number: u64) -> Option<u64> {
    Some(number)
}

fn milliseconds(number: u64) -> Option<Duration> {
    Some(Duration::from_millis(number))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let nanos = number.checked_mul(match unit {
        "ns" => 1,
        "us" => 1_000,
        "" | "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    })?;
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32))
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Writes a duration in the largest unit that loses nothing.
fn spell(value: Duration) -> String {
    match value.subsec_nanos() {
        0 => format!("{}s", value.as_secs()),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", value.as_millis()),
        nanos if nanos % 1_000 == 0 => format!("{}us", value.as_micros()),
        _ => format!("{}ns", value.as_nanos()),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    u64::try_from(number).ok()?.checked_mul(factor)
}

fn split(text: &str) -> Option<(u128, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_commas_of_its_own() {
        #[derive(Deserialize)]
        struct Wrapper(#[serde(with = "addresses")] Vec<Address>);
        for (text, count) in [
            ("etcd://a:1,b:2,[::1]:3/p", 1),
            ("etcd://a:1,b:2/p , tcp://127.0.0.1:1", 2),
            ("tcp://127.0.0.1:1,/ip4/127.0.0.1/tcp/2,uds:///run/a.sock,", 3),
        ] {
            let Wrapper(addresses) = serde_json::from_value(serde_json::json!(text)).unwrap();
            assert_eq!(addresses.len(), count, "{addresses:?}");
        }
        assert!(serde_json::from_value::<Wrapper>(serde_json::json!("127.0.0.1:1,tcp://127.0.0.1:1")).is_err());
    }

    #[test]
    fn durations_come_back_as_they_were_spelt() {
        for (text, value) in [
            ("0s", Duration::ZERO),
            ("2s", Duration::from_secs(2)),
            ("1600ms", Duration::from_millis(1600)),
            ("15us", Duration::from_micros(15)),
            ("1000000001ns", Duration::new(1, 1)),
            ("18446744073709551615999999999ns", Duration::MAX),
        ] {
            assert_eq!(parse_duration(text), Some(value));
            assert_eq!(spell(value), text);
        }
        assert_eq!(parse_duration("2 m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_duration("250"), Some(Duration::from_millis(250)));
        for wrong in ["", "s", "-1s", "1.5s", "2 weeks", "99999999999999999999s", "9999999999999999999h"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_socket_address_has_a_port() {
        for (text, address) in
            [("127.0.0.1:9464", "127.0.0.1:9464"), ("[::1]:0", "[::1]:0"), ("localhost:80", "127.0.0.1:80")]
        {
            assert_eq!(parse_socket_address(text), address.parse().ok());
        }
        for wrong in ["", "9464", ":9464", "127.0.0.1", "a host:1", "localhost:", "127.0.0.1:65536"] {
            assert_eq!(parse_socket_address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_ring_is_a_power_of_two_within_its_limits() {
        #[derive(Deserialize)]
        struct Wrapper(#[serde(with = "ring_size")] usize);
        let read = |text: &str| serde_json::from_value(serde_json::json!(text)).map(|Wrapper(size)| size);
        for (text, size) in [("4KiB", 4 << 10), ("65536", 64 << 10), ("64MiB", 64 << 20)] {
            assert_eq!(read(text).unwrap(), size);
        }
        for wrong in ["0", "2KiB", "128MiB", "60000", "8589934592GiB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spinning_has_an_end() {
        #[derive(Deserialize)]
        struct Wrapper(#[serde(with = "spin")] Duration);
        let read = |text: &str| serde_json::from_value(serde_json::json!(text)).map(|Wrapper(time)| time);
        assert_eq!(read("0s").unwrap(), Duration::ZERO);
        assert_eq!(read("50us").unwrap(), Duration::from_micros(50));
        assert_eq!(read("10ms").unwrap(), Duration::from_millis(10));
        assert!(read("11ms").unwrap_err().to_string().contains("10ms"));
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        assert_eq!(parse_size("1 KiB"), Some(1024));
        assert_eq!(parse_size("4096"), Some(4096));
        for wrong in ["64MB", "MiB", "1.5GiB", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
