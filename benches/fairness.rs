//! Small calls beside large ones on one connection: how long they take, and what the large ones lose.
//!
//! For each transport with msgpack, and for both directions: four callers move blobs of nearly 64 MiB one after the
//! other, as arguments or as answers, and another caller makes a call of 64 bytes each millisecond. The table has the
//! latency of the small calls without and beside the blobs, and the rate of the blobs beside small calls as a part of
//! their rate without. Alone and together take turns.
//!
//! `taskset -c 1 cargo bench --bench fairness -- uds` measures one transport on one core. `--seconds 5` sets how long
//! each turn takes.

mod common;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pleach::wire::Key;
use pleach::{Portal, Result};
use tokio::task::JoinSet;

use common::{blob, echo, in_tree, keys, message, size};

fn main() {
    pleach::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without it cargo only wants to know whether the program works, as in `cargo test --benches`.
    let in_earnest = arguments.iter().any(|argument| argument == "--bench");
    let seconds = arguments.iter().skip_while(|argument| *argument != "--seconds").nth(1);
    let seconds = seconds.map_or(1.5, |text| text.parse().expect("a number of seconds"));
    let only = arguments.iter().find(|argument| argument.parse::<f64>().is_err() && !argument.starts_with('-'));
    let plan = match in_earnest {
        true => Plan { rounds: 3, turn: Duration::from_secs_f64(seconds), bytes: BLOB },
        false => Plan { rounds: 1, turn: Duration::ZERO, bytes: 1 << 20 },
    };
    println!("{:<24} {:>15} {:>15} {:>13} {:>8}", "", "alone p50/p99", "beside p50/p99", "blobs MiB/s", "kept");
    for key in keys() {
        if key.codec == "msgpack" && only.is_none_or(|only| key.protocol.contains(only.as_str())) {
            for direction in [Direction::Arguments, Direction::Answers] {
                measure(&key, direction, &plan).print(&key, direction);
            }
        }
    }
}

/// How often alone and together take turns, how long a turn is, and the size of a blob.
struct Plan {
    rounds: usize,
    turn: Duration,
    bytes: usize,
}

/// Which way the blobs go.
#[derive(Clone, Copy)]
enum Direction {
    Arguments,
    Answers,
}

/// What all turns have measured.
#[derive(Default)]
struct Measured {
    alone: Vec<Duration>,
    beside: Vec<Duration>,
    rate_alone: Rate,
    rate_beside: Rate,
}

/// Bytes in a time.
#[derive(Default)]
struct Rate {
    bytes: usize,
    time: Duration,
}

/// Returns a blob that is made once, so that a call costs nothing but its way.
#[pleach::rpc]
async fn give(bytes: usize) -> Result<Bytes> {
    static MADE: OnceLock<Bytes> = OnceLock::new();
    Ok(MADE.get_or_init(|| blob(bytes)).clone())
}

fn measure(key: &Key, direction: Direction, plan: &Plan) -> Measured {
    in_tree(key, async |nursery| {
        let portal = nursery.start_actor("bench").enable(common::MODULE).enable(module_path!()).await?;
        let made = blob(plan.bytes);
        let mut measured = Measured::default();
        move_blobs(&portal, direction, &made, Duration::ZERO).await?; // warms up
        for _ in 0..plan.rounds {
            small_calls(&portal, plan.turn, &mut measured.alone).await?;
            measured.rate_alone.add(move_blobs(&portal, direction, &made, plan.turn).await?);
            let (rate, small) = tokio::join!(
                move_blobs(&portal, direction, &made, plan.turn),
                small_calls(&portal, plan.turn, &mut measured.beside),
            );
            small?;
            measured.rate_beside.add(rate?);
        }
        portal.cancel_actor().await?;
        Ok(measured)
    })
}

/// Has some callers move blobs for a while, at least one each.
async fn move_blobs(portal: &Portal, direction: Direction, made: &Bytes, turn: Duration) -> Result<Rate> {
    let started = Instant::now();
    let mut callers = JoinSet::<Result<usize>>::new();
    for _ in 0..CALLERS {
        let (portal, made) = (portal.clone(), made.clone());
        callers.spawn(async move {
            let mut moved = 0;
            while moved == 0 || started.elapsed() < turn {
                match direction {
                    Direction::Arguments => drop(portal.run(size(made.clone())).await?),
                    Direction::Answers => drop(portal.run(give(made.len())).await?),
                }
                moved += made.len();
            }
            Ok(moved)
        });
    }
    let mut bytes = 0;
    while let Some(caller) = callers.join_next().await {
        bytes += caller.expect("no caller panics")?;
    }
    Ok(Rate { bytes, time: started.elapsed() })
}

/// Makes a small call each [`PACE`] for a while, at least one.
async fn small_calls(portal: &Portal, turn: Duration, latencies: &mut Vec<Duration>) -> Result<()> {
    let started = Instant::now();
    while latencies.is_empty() || started.elapsed() < turn {
        let asked = Instant::now();
        portal.run(echo(message())).await?;
        latencies.push(asked.elapsed());
        tokio::time::sleep(PACE.saturating_sub(asked.elapsed())).await;
    }
    Ok(())
}

impl Rate {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.time += other.time;
    }

    fn mib_per_second(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / self.time.as_secs_f64()
    }
}

impl Measured {
    fn print(mut self, key: &Key, direction: Direction) {
        let kept = self.rate_beside.mib_per_second() / self.rate_alone.mib_per_second();
        println!(
            "{:<24} {:>15} {:>15} {:>13.0} {:>8.2}",
            format!("{} {}", key.protocol, direction.name()),
            percentiles(&mut self.alone),
            percentiles(&mut self.beside),
            self.rate_alone.mib_per_second(),
            kept,
        );
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Answers => "answers",
        }
    }
}

/// The median and the 99th percentile, in milliseconds.
fn percentiles(latencies: &mut [Duration]) -> String {
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100].as_secs_f64() * 1e3;
    format!("{:.2} / {:.2}", at(50), at(99))
}

/// The size of a blob, which leaves room for the rest of its message within the usual limit.
const BLOB: usize = (64 << 20) - 4096;

/// Callers that move blobs.
const CALLERS: usize = 4;

/// The time between the starts of two small calls.
const PACE: Duration = Duration::from_millis(1);
