//! Random values of a type that has everything that serde knows.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use pleach_wire::{Blob, Format, Payload};
use serde::Deserialize;
use uuid::Uuid;

use crate::types::{Bounds, Key, Lists, Maybe, Raw};
use crate::{FORMATS, Outcome, sent};

type Boxed = Box<Node>;

types! {
    enum Node {
        Nothing(()), Unit, Bool(bool), Signed(i64), Small(i8), Unsigned(u64), Wide(i128, u128), Floats(f32, f64), Char(char),
        Text(String), #[serde(rename = "by tes")] Bytes(Raw), List(Vec<u8>), Blob(Blob), Lost(Option<()>), Option(Option<Boxed>),
        Nested(Option<Option<Boxed>>), Seq(Vec<Node>), Map(BTreeMap<i64, Node>), Flags(BTreeMap<bool, Node>), Mixed(BTreeMap<Key, Node>),
        Texts(BTreeMap<String, Node>), Tuple(Boxed, u8, Boxed),
        Struct {
            a: Boxed,
            #[serde(default, skip_serializing_if = "Option::is_none")] b: Option<Boxed>,
            #[serde(default, skip_serializing_if = "Option::is_none")] c: Option<Boxed>,
        },
        Tagged(Tagged), Adjacent(Adjacent), Untagged(Untagged), Flat(Flat), Addresses(SocketAddr, IpAddr), Times(Duration, SystemTime),
        Id(Uuid), Lists(Lists), Bounds(Bounds), Result(Result<Boxed, String>), Maybe(Option<Maybe>),
    }
    #[serde(tag = "kind")]
    enum Tagged {
        A { n: Boxed, at: SocketAddr }, B(Inner), C,
        D { #[serde(flatten)] m: BTreeMap<String, Node>, #[serde(default, skip_serializing_if = "Option::is_none")] o: Option<Option<u8>> },
    }
    #[serde(tag = "t", content = "c")]
    enum Adjacent { A { n: Boxed }, B(Boxed), C, D(Boxed, Boxed), E(Option<Option<Boxed>>) }
    #[serde(untagged)]
    enum Untagged { A { x: Boxed }, B { y: Boxed, ip: IpAddr }, C(Vec<Tagged>) }
    struct Flat { q: u8, #[serde(flatten)] inner: Inner, #[serde(flatten)] more: Option<More> }
    #[serde(tag = "t2")]
    enum More { A { w: Option<()>, id: Uuid } }
    struct Inner { s1: Boxed, #[serde(default, skip_serializing_if = "Option::is_none")] s2: Option<u8>, #[serde(rename = "s 3", alias = "s3")] s3: char }
}

/// A linear congruential generator: the same values in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn bits(&mut self) -> u64 {
        let shift = self.below(64);
        (self.below(1 << 31) << 33 | self.below(1 << 31) << 2 | self.below(4)) >> shift
    }

    fn text(&mut self) -> String {
        (0..self.below(6) * self.below(12))
            .map(|_| ['a', 'ß', '\0', '"', '\u{1f600}', '5', '-', '.'][self.below(8) as usize])
            .collect()
    }

    fn ip(&mut self) -> IpAddr {
        if self.coin() {
            Ipv4Addr::from(self.bits() as u32).into()
        } else {
            Ipv6Addr::from(u128::from(self.bits())).into()
        }
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| make(self))
    }

    fn nested<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<Option<T>> {
        self.option(|random| random.option(make))
    }

    fn key(&mut self) -> Key {
        match self.below(3) {
            0 => Key::Number(self.bits() as u32),
            1 => Key::Flag(self.coin()),
            _ => Key::Text(self.text()),
        }
    }

    fn map<K: Ord>(&mut self, depth: u32, buffered: bool, mut key: impl FnMut(&mut Self) -> K) -> BTreeMap<K, Node> {
        (0..self.below(4)).map(|_| (key(self), self.node(depth, buffered))).collect()
    }

    fn boxed(&mut self, depth: u32, buffered: bool) -> Boxed {
        Box::new(self.node(depth, buffered))
    }

    fn inner(&mut self, depth: u32) -> Inner {
        Inner { s1: self.boxed(depth, true), s2: self.option(|_| 7), s3: 'x' }
    }

    fn tagged(&mut self, depth: u32) -> Tagged {
        match self.below(4) {
            0 => Tagged::A { n: self.boxed(depth, true), at: (self.ip(), 80).into() },
            1 => Tagged::B(self.inner(depth)),
            2 => Tagged::C,
            _ => {
                let m = (0..self.below(3)).map(|n| (format!("{n}"), self.node(depth, true))).collect();
                Tagged::D { m, o: self.nested(|_| 3) }
            }
        }
    }

    fn adjacent(&mut self, depth: u32) -> Adjacent {
        match self.below(5) {
            0 => Adjacent::A { n: self.boxed(depth, true) },
            1 => Adjacent::B(self.boxed(depth, true)),
            2 => Adjacent::C,
            3 => Adjacent::D(self.boxed(depth, true), self.boxed(depth, true)),
            _ => Adjacent::E(self.nested(|random| random.boxed(depth, true))),
        }
    }

    fn untagged(&mut self, depth: u32) -> Untagged {
        match self.below(3) {
            0 => Untagged::A { x: self.boxed(depth, true) },
            1 => Untagged::B { y: self.boxed(depth, true), ip: self.ip() },
            _ => Untagged::C((0..self.below(3)).map(|_| self.tagged(depth)).collect()),
        }
    }

    /// `buffered`: serde buffers what is around, and can't carry 128 bits there.
    fn node(&mut self, depth: u32, buffered: bool) -> Node {
        let below = depth.saturating_sub(1);
        match self.below(if depth == 0 { 14 } else { 34 }) {
            0 => Node::Nothing(()),
            1 => Node::Unit,
            2 => Node::Bool(self.coin()),
            3 => Node::Signed(-(self.bits() as i64 >> 1)),
            4 => Node::Unsigned(self.bits()),
            5 if buffered => Node::Small(self.below(256) as i8),
            5 => Node::Wide(-i128::from(self.bits()) << 40, u128::from(self.bits()) << self.below(60)),
            6 => Node::Floats(f32::from_bits(self.bits() as u32), f64::from_bits(self.bits())),
            7 => Node::Char(['ß', '5'][self.below(2) as usize]),
            8 => Node::Text(self.text()),
            9 => Node::Bytes(Raw { bytes: (0..self.below(300)).map(|n| n as u8).collect() }),
            10 => Node::List((0..self.below(60)).map(|n| (n * 7) as u8).collect()),
            11 => Node::Lost(self.option(|_| ())),
            12 => Node::Blob(vec![1; self.below(9) as usize].into()),
            13 => Node::Maybe(self.option(|random| Maybe(random.option(|_| 3)))),
            14 => Node::Option(self.option(|random| random.boxed(below, buffered))),
            15 => Node::Nested(self.nested(|random| random.boxed(below, buffered))),
            16 => Node::Seq((0..self.below(20)).map(|_| self.node(below / 2, buffered)).collect()),
            17 => Node::Map(self.map(below, buffered, |random| -(random.bits() as i64 >> 8))),
            18 => Node::Flags(self.map(below, buffered, Self::coin)),
            19 => Node::Mixed(self.map(below, buffered, Self::key)),
            20 => Node::Texts(self.map(below, buffered, Self::text)),
            21 => Node::Tuple(self.boxed(below, buffered), 1, self.boxed(below, buffered)),
            22 => Node::Struct {
                a: self.boxed(below, buffered),
                b: self.option(|random| random.boxed(below, buffered)),
                c: self.option(|random| random.boxed(below, buffered)),
            },
            23 => Node::Tagged(self.tagged(below)),
            24 => Node::Adjacent(self.adjacent(below)),
            25 => Node::Untagged(self.untagged(below)),
            26 => {
                let more = self
                    .option(|random| More::A { w: random.option(|_| ()), id: Uuid::from_u128(random.bits().into()) });
                Node::Flat(Flat { q: 1, inner: self.inner(below), more })
            }
            27 => Node::Addresses((self.ip(), 7).into(), self.ip()),
            28 => Node::Times(Duration::from_nanos(self.bits()), UNIX_EPOCH + Duration::from_nanos(self.bits())),
            29 => Node::Id(Uuid::from_u128(self.bits().into())),
            30 => {
                Node::Lists(Lists { first: vec![1; self.below(2) as usize], second: vec![2; self.below(2) as usize] })
            }
            31 => Node::Bounds(Bounds { min: self.option(|_| 1), max: self.option(|_| 2) }),
            32 => Node::Result(if self.coin() { Ok(self.boxed(below, buffered)) } else { Err("x".into()) }),
            _ => Node::Nested(self.nested(|random| random.boxed(below, buffered))),
        }
    }
}

/// How many values: all in an optimised build, `cargo test --release`.
const COUNT: usize = if cfg!(debug_assertions) { 20_000 } else { 300_000 };

#[test]
fn random_values_arrive_or_are_refused_at_the_sender() {
    let mut random = Random(42);
    let mut refused = [0; 2];
    for _ in 0..COUNT {
        let value = random.node(4, false);
        let expected = format!("{value:?}");
        let lost = ["Some(None)", "Some(())", "Some(Maybe(None))"].iter().any(|text| expected.contains(text));
        let lost = [lost, lost || expected.contains("NaN") || expected.contains("inf")];
        for (at, format) in FORMATS.into_iter().enumerate() {
            match sent::<Node, Node>(format, &value, &expected) {
                Outcome::Equal => {}
                // A text may have these words in it; what has none of them is never refused.
                Outcome::Refused(_) if lost[at] => refused[at] += 1,
                other => panic!("{}: {other:?}", format.name()),
            }
        }
    }
    assert!(refused.iter().all(|refused| (COUNT / 20..COUNT / 2).contains(refused)), "{refused:?} of {COUNT} refused");
}

#[test]
fn damaged_values_never_panic() {
    let mut random = Random(7);
    for _ in 0..COUNT / 4 {
        for format in FORMATS {
            let mut body = BytesMut::new();
            // What was written before a refusal is damaged enough.
            let _ = format.encode(&random.node(3, false), &mut body);
            let mut body = body.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(body.len().max(1) as u64) as usize;
                match random.below(3) {
                    0 if at < body.len() => body[at] = random.below(256) as u8,
                    1 => body.truncate(at),
                    _ => body.insert(at, random.below(256) as u8),
                }
            }
            let payload = Payload::new(format, Bytes::from(body), Bytes::new());
            // Any answer will do.
            let _ = (payload.decode::<Node>(), payload.decode::<serde_json::Value>(), payload.decode::<Vec<()>>());
        }
    }
}

/// Plain MessagePack: others read what is written here.
#[test]
fn other_readers_of_messagepack_read_it() {
    let mut random = Random(3);
    for _ in 0..2000 {
        let value = random.node(4, true);
        let mut body = BytesMut::new();
        if Format::Msgpack.encode(&value, &mut body).is_ok() {
            let mut reader = rmp_serde::Deserializer::from_read_ref(&body[..]).with_human_readable();
            assert_eq!(format!("{:?}", Node::deserialize(&mut reader).unwrap()), format!("{value:?}"));
        }
    }
}
