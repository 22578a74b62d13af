//! Does a value come back? Written, read, written again, and compared; sets and maps may come in another order.

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::msgpack;

/// Reads a value as [`lost`] needs it, in words where it can't be read.
///
/// # Errors
/// Says why the bytes are not a `T`, or lack some of its positions.
pub fn read_back<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    msgpack::decode_whole(bytes)
}

/// Says in words how a value of this type would not come back, if it would not; `read` is [`read_back`]. What can't be
/// sent at all is not told: sending it is an error.
///
/// It sees what a reader makes of a value, so also what no format can help: `untagged` variants that look alike, a
/// `serialize_with` that writes something else, a field that is left out and has no `default`, or one that is left out
/// among fields by position.
pub fn lost<T: Serialize>(value: &T, read: fn(&[u8]) -> Result<T, String>) -> Option<String> {
    let mut sent = BytesMut::new();
    msgpack::encode_value(value, &mut sent).ok()?;
    let read = match read(&sent) {
        Ok(read) => read,
        Err(why) => return Some(format!("it can't be read: {why}")),
    };
    let mut again = BytesMut::new();
    if let Err(why) = msgpack::encode_value(&read, &mut again) {
        return Some(format!("it comes as another value: {why}"));
    }
    let is_same = sent == again || digest(&mut &sent[..]) == digest(&mut &again[..]);
    (!is_same).then(|| "it comes as another value".to_owned())
}

/// A hash of one value that the order of elements does not change.
fn digest(input: &mut &[u8]) -> u64 {
    let Head { mark, children, bytes } = Head::take(input);
    let own = bytes.iter().fold(mixed(7, mark.into()), |hash, byte| mixed(hash, (*byte).into()));
    let is_map = mark == MAP;
    let mut sum = 0u64;
    for _ in 0..children {
        let mut child = digest(input);
        if is_map {
            child = mixed(child, digest(input));
        }
        sum = sum.wrapping_add(mixed(child, 3));
    }
    mixed(own, sum)
}

fn mixed(hash: u64, more: u64) -> u64 {
    (hash ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// What a value of MessagePack begins with: its kind, how many elements or entries follow, and a scalar's bytes.
struct Head<'a> {
    mark: u8,
    children: usize,
    bytes: &'a [u8],
}

const MAP: u8 = 0x80;
const ARRAY: u8 = 0x90;
const TEXT: u8 = 0xa0;

impl<'a> Head<'a> {
    /// Takes one from bytes that were just written, so they are whole.
    fn take(input: &mut &'a [u8]) -> Self {
        let mark = number(input, 1) as u8;
        let several = |kind, children| Self { mark: kind, children, bytes: &[] };
        let mut scalar = |mark, len| Self { mark, children: 0, bytes: cut(input, len) };
        match mark {
            0x80..=0x8f => several(MAP, usize::from(mark & 0x0f)),
            0x90..=0x9f => several(ARRAY, usize::from(mark & 0x0f)),
            0xa0..=0xbf => scalar(TEXT, usize::from(mark & 0x1f)),
            0xcc | 0xd0 => scalar(mark, 1),
            0xcd | 0xd1 => scalar(mark, 2),
            0xce | 0xd2 | 0xca => scalar(mark, 4),
            0xcf | 0xd3 | 0xcb => scalar(mark, 8),
            0xd4..=0xd8 => scalar(mark, 1 + (1 << (mark - 0xd4))),
            0xde | 0xdf => several(MAP, number(input, if mark == 0xde { 2 } else { 4 })),
            0xdc | 0xdd => several(ARRAY, number(input, if mark == 0xdc { 2 } else { 4 })),
            0xd9..=0xdb => {
                let len = number(input, 1 << (mark - 0xd9));
                Self { mark: TEXT, children: 0, bytes: cut(input, len) }
            }
            0xc4..=0xc6 => {
                let len = number(input, 1 << (mark - 0xc4));
                Self { mark, children: 0, bytes: cut(input, len) }
            }
            0xc7..=0xc9 => {
                let len = number(input, 1 << (mark - 0xc7));
                Self { mark, children: 0, bytes: cut(input, len + 1) }
            }
            _ => several(mark, 0),
        }
    }
}

fn cut<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    taken
}

fn number(input: &mut &[u8], len: usize) -> usize {
    cut(input, len).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Alike {
        First { id: u8 },
        Second { id: u8 },
        Single(f32),
        Double(f64),
    }

    #[derive(Serialize, Deserialize)]
    struct NoDefault {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<u8>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "t")]
    enum Tagged {
        Wide { n: u128 },
    }

    #[derive(Serialize, Deserialize)]
    struct ByPlace(
        #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>,
    );

    #[derive(Serialize, Deserialize)]
    enum Variants {
        ByPlace(#[serde(skip_serializing, default)] u8, u8, u8),
    }

    fn lost<T: Serialize + DeserializeOwned>(value: &T) -> Option<String> {
        super::lost(value, read_back)
    }

    #[test]
    fn what_comes_back_is_not_told() {
        let many: HashSet<u64> = (0..1000).collect();
        assert_eq!(lost(&many), None);
        assert_eq!(lost(&(many, "x".repeat(300), f64::NAN, vec![(); 3], BTreeMap::from([(1, Some(2.5))]))), None);
        assert_eq!(lost(&(u128::MAX, i128::MIN, BTreeMap::from([(7u128, -7i128)]))), None);
        assert_eq!(lost(&Alike::First { id: 1 }), None);
        assert_eq!(lost(&NoDefault { list: vec![1] }), None);
        assert_eq!(lost(&ByPlace(Some(1), Some(2))), None);
        assert_eq!(lost(&Some(())), None, "sending that is an error by itself");
    }

    #[test]
    fn what_does_not_come_back_is_told() {
        assert!(lost(&NoDefault { list: vec![] }).unwrap().contains("missing field `list`"));
        assert!(lost(&Tagged::Wide { n: 5 }).unwrap().contains("can't be read"));
        assert_eq!(lost(&Alike::Double(0.1)).unwrap(), "it comes as another value");
        assert!(lost(&ByPlace(None, Some(1))).unwrap().contains("2 fields by position and 1 are written"));
        assert!(lost(&Variants::ByPlace(1, 2, 3)).unwrap().contains("3 fields by position and 2 are written"));
        // The same bytes: nothing can tell that it is another variant.
        assert_eq!(lost(&Alike::Second { id: 1 }), None);
    }
}
