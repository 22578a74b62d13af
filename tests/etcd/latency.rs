//! How long it takes to enter and to find one of many.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use libtest_mimic::Trial;
use pleach::Error;
use pleach::error::Result;

use crate::registry_suite::{Subject, actor};
use crate::server::Server;
use crate::{LEASE, test_alone, with_registry};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_alone("latency::the_slowest_are_not_far_behind", slowest)]
}

/// What else the machine does can only make it worse, so one good round is enough.
async fn slowest() -> Result<()> {
    let server = Server::start();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let address = server.address(&format!("p{round}"));
        with_registry(&address, LEASE, async |registry| {
            rounds.push(measured(registry).await?);
            Ok(())
        })
        .await?;
        if rounds.last().is_some_and(|distances| distances.iter().all(|distance| *distance <= 10.0)) {
            return Ok(());
        }
    }
    panic!("in each round the slowest hundredth was more than 10 times behind the middle: {rounds:?}")
}

/// Returns how far behind the slowest are, in entering and in finding.
async fn measured(registry: Subject) -> Result<[f64; 2]> {
    let entering = stream::iter(0..ACTORS).map(async |number| {
        let began = Instant::now();
        let registration = registry.register(actor(&format!("worker-{number}"))).await?;
        Ok::<_, Error>((registration, began.elapsed()))
    });
    let entered: Vec<_> = entering.buffer_unordered(AT_ONCE).try_collect().await?;
    let (registrations, entering): (Vec<_>, Vec<_>) = entered.into_iter().unzip();
    let finding = stream::iter(0..LOOKUPS).map(async |number| {
        let began = Instant::now();
        assert_eq!(registry.find(&format!("worker-{}", number % ACTORS)).await?.len(), 1);
        Ok::<_, Error>(began.elapsed())
    });
    let finding: Vec<_> = finding.buffer_unordered(AT_ONCE).try_collect().await?;
    try_join_all(registrations.into_iter().map(|registration| registration.leave())).await?;
    assert_eq!(registry.list().await?, []);
    Ok([distance("entering", entering), distance("finding", finding)])
}

/// How many times longer the slowest hundredth took than the middle one.
fn distance(what: &str, mut times: Vec<Duration>) -> f64 {
    times.sort();
    let [median, slow] = [50, 99].map(|percent| times[times.len() * percent / 100]);
    println!("{what}: p50 {median:?}, p99 {slow:?}, {} times", times.len());
    slow.as_secs_f64() / median.as_secs_f64()
}

const ROUNDS: usize = 3;
const ACTORS: usize = 1000;
const LOOKUPS: usize = 10_000;

/// How many are under way: enough that each waits for others, and one that is held up stands out less.
const AT_ONCE: usize = 100;
