//! What it costs to write one message as bytes and to read it back: `pleach-wire` alone, no socket.
//!
//! A message is a call with one argument: a blob of the given size, or a small record of several
//! fields. Reading includes the arguments, as the task that runs the function does it.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pleach::Blob;
use pleach::wire::codec::FrameBuf;
use pleach::wire::{ByteStr, CallOptions, Cid, Codec, Encode, Json, Msg, Msgpack, Outgoing};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

criterion_main!(codecs);
criterion_group!(codecs, all);

#[derive(Serialize, Deserialize)]
struct Picture {
    bytes: Blob,
}

#[derive(Serialize, Deserialize)]
struct Record {
    number: u64,
    price: f64,
    name: String,
    tags: Vec<u32>,
    note: Option<String>,
}

fn all(criterion: &mut Criterion) {
    for codec in [&Msgpack as &dyn Codec, &Json] {
        for size in [64, 64 << 10, 1 << 20] {
            let picture = Picture { bytes: vec![7; size].into() };
            measure(criterion, codec, &size.to_string(), &picture, size);
        }
        let record = Record {
            number: 81_985_529,
            price: 1234.5,
            name: "a name of some length".into(),
            tags: vec![1, 200, 70_000],
            note: None,
        };
        measure(criterion, codec, "record", &record, 64);
    }
}

fn measure<A>(criterion: &mut Criterion, codec: &dyn Codec, what: &str, args: &A, size: usize)
where
    A: Serialize + DeserializeOwned,
{
    let target = ByteStr::from_static(TARGET);
    let terms = CallOptions { schema: u64::MAX, deadline: None, trace: None };
    let msg = Msg::Start { cid: Cid(70_001), target, args: args as &dyn Encode, terms };
    let (mut out, mut parts) = (BytesMut::new(), Vec::new());
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(BenchmarkId::new(codec.name(), what), |bencher| {
        bencher.iter(|| encode(codec, black_box(&msg), &mut out, &mut parts));
    });
    group.finish();

    let body = whole(&out, &parts);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(BenchmarkId::new(codec.name(), what), |bencher| {
        bencher.iter(|| decode::<A>(codec, black_box(body.clone())));
    });
}

fn encode(codec: &dyn Codec, msg: &Outgoing<'_>, out: &mut BytesMut, parts: &mut Vec<Bytes>) {
    out.clear();
    parts.clear();
    codec.encode(msg, &mut FrameBuf { out, parts }).expect("these messages can be written");
}

fn decode<A: DeserializeOwned>(codec: &dyn Codec, body: Bytes) -> A {
    let Ok(Msg::Start { args, .. }) = codec.decode(body) else { panic!("another message came back") };
    args.decode().expect("the same type was written")
}

/// The frame body as a peer receives it, blobs included.
fn whole(out: &[u8], parts: &[Bytes]) -> Bytes {
    let mut body = BytesMut::from(out);
    parts.iter().for_each(|part| body.extend_from_slice(part));
    body.freeze()
}

/// A path of usual length.
const TARGET: &str = "program::module::function";
