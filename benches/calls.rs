//! Calls over every transport of this build: how long one takes, and how many go through.
//!
//! | group | one iteration |
//! |---|---|
//! | `round_trip` | one caller, 64 bytes there and back |
//! | `in_flight` | 64 callers on one connection, each makes one call of 64 bytes |
//! | `blob` | one call with 64 KiB or 1 MiB, a number comes back |
//! | `echo` | the same, and the blob comes back |
//! | `fan_out` | one call to each of 2 or 8 children, all at once |
//!
//! `cargo bench --bench calls -- round_trip/msgpack` measures a part.

mod common;

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use pleach::wire::Key;

use common::{blob, echo, in_flight, in_tree, keys, message, size, start, with_child};

fn main() {
    pleach::init();
    let mut criterion = Criterion::default().configure_from_args();
    round_trip(&mut criterion);
    flights(&mut criterion);
    blobs(&mut criterion);
    fan_out(&mut criterion);
    criterion.final_summary();
}

fn round_trip(criterion: &mut Criterion) {
    let mut group = quick(criterion, "round_trip");
    for key in keys() {
        group.bench_function(name(&key), |bencher| {
            bencher.iter_custom(|iterations| {
                with_child(&key, async |portal| {
                    let started = Instant::now();
                    for _ in 0..iterations {
                        portal.run(echo(message())).await?;
                    }
                    Ok(started.elapsed())
                })
            });
        });
    }
}

fn flights(criterion: &mut Criterion) {
    let mut group = quick(criterion, "in_flight");
    group.throughput(Throughput::Elements(CALLERS as u64));
    for key in keys() {
        group.bench_function(name(&key), |bencher| {
            bencher.iter_custom(|iterations| {
                with_child(&key, async |portal| in_flight(&[portal], CALLERS, iterations, &message()).await)
            });
        });
    }
}

fn blobs(criterion: &mut Criterion) {
    for back in [false, true] {
        let mut group = quick(criterion, if back { "echo" } else { "blob" });
        for bytes in [64 << 10, 1 << 20] {
            group.throughput(Throughput::Bytes(bytes as u64));
            for key in keys() {
                group.bench_function(BenchmarkId::new(name(&key), bytes), |bencher| {
                    bencher.iter_custom(|iterations| send_blobs(&key, bytes, iterations, back));
                });
            }
        }
    }
}

fn send_blobs(key: &Key, bytes: usize, iterations: u64, back: bool) -> Duration {
    with_child(key, async |portal| {
        let blob = blob(bytes);
        let started = Instant::now();
        for _ in 0..iterations {
            if back {
                portal.run(echo(blob.clone())).await?;
            } else {
                portal.run(size(blob.clone())).await?;
            }
        }
        Ok(started.elapsed())
    })
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = quick(criterion, "fan_out");
    for children in [2, 8] {
        group.throughput(Throughput::Elements(children as u64));
        for key in keys() {
            group.bench_function(BenchmarkId::new(name(&key), children), |bencher| {
                bencher.iter_custom(|iterations| call_all(&key, children, iterations));
            });
        }
    }
}

fn call_all(key: &Key, children: usize, iterations: u64) -> Duration {
    in_tree(key, async |nursery| {
        let mut portals = Vec::new();
        for _ in 0..children {
            portals.push(start(&nursery).await?);
        }
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            spent += in_flight(&portals, children, 1, &message()).await?;
        }
        for portal in portals {
            portal.cancel_actor().await?;
        }
        Ok(spent)
    })
}

/// A group whose samples are trees of their own: few, because each starts processes.
fn quick<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn name(key: &Key) -> String {
    format!("{}-{}", key.codec, key.protocol)
}

/// Callers on one connection.
const CALLERS: usize = 64;
