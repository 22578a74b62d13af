//! The embedded registry: the suite of all registries, and what it costs.
//!
//! The suite runs twice: in the registrar, on its own table; and in a root that has joined it, where each
//! registration is a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use pleach::discovery::{Registered, Registration, Registry};
use pleach::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use crate::registry_suite::{CHECKS, Check, actor};
use crate::support::{
    FOREVER, Meeting, Notes, RootProcess, anonymous_memory, in_root, note, over, patience, test, with_joined,
};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for &(name, check) in CHECKS {
        tests.push(test(format!("registry::{name}_in_the_registrar"), move || in_the_registrar(check)));
        for protocol in ["mem", "tcp", "uds"] {
            tests.push(test(format!("registry::{name}_over_{protocol}"), move || over_connections(check, protocol)));
        }
    }
    tests.push(Trial::test("registry::ten_thousand_lookups_among_a_thousand", || {
        ten_thousand_lookups_among_a_thousand();
        Ok(())
    }));
    tests
}

async fn in_the_registrar(check: Check) {
    in_root(over("uds"), async |actor| check(Others::of(&actor).await?).await).await.unwrap();
}

async fn over_connections(check: Check, protocol: &'static str) {
    let meeting = Meeting::new();
    let config = meeting.config(&[meeting.address(protocol)]);
    // Many at once.
    let joining = Config { dial: patience(), ..config.clone() };
    with_joined(config, joining, async |_, actor| check(Others::of(&actor).await?).await).await;
}

/// A registry without those who were there before.
#[derive(Debug)]
struct Others {
    registry: Arc<dyn Registry>,
    before: Vec<Registered>,
}

impl Others {
    async fn of(actor: &pleach::Actor) -> Result<Arc<dyn Registry>> {
        let registry = actor.registry().expect("it has begun");
        let before = registry.list().await?;
        Ok(Arc::new(Self { registry, before }))
    }
}

#[async_trait]
impl Registry for Others {
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>> {
        self.registry.register(actor).await
    }

    async fn find(&self, name: &str) -> Result<Vec<Registered>> {
        self.registry.find(name).await
    }

    async fn wait_for(&self, name: &str) -> Result<Vec<Registered>> {
        self.registry.wait_for(name).await
    }

    async fn list(&self) -> Result<Vec<Registered>> {
        let mut all = self.registry.list().await?;
        all.retain(|actor| !self.before.contains(actor));
        Ok(all)
    }

    async fn remove(&self, stale: &Registered) -> Result<()> {
        self.registry.remove(stale).await
    }
}

fn ten_thousand_lookups_among_a_thousand() {
    let notes = Notes::new();
    let mut root = RootProcess::start("registry_load", &notes, "");
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| serde_json::from_str(&notes.expect("round ")).unwrap()).collect();
    notes.expect("done");
    assert!(root.0.wait().unwrap().success());
    println!("registrations: {REGISTRATIONS}, lookups: {LOOKUPS}; each round: {rounds:?}");
    // Most are as fast as ever. What the slowest take is the scheduler's to say.
    let fastest = rounds.iter().map(|round| round.p50).min().unwrap();
    assert!(rounds.iter().all(|round| round.p50 <= 5 * fastest), "lookups get slower: {rounds:?}");
    // What is allocated once is there after the first rounds.
    let memory = || rounds[2..].iter().map(|round| round.memory);
    let (least, most) = (memory().min().unwrap(), memory().max().unwrap());
    assert!(most - least <= FLAT, "the memory went from {least} to {most} KiB: {rounds:?}");
}

/// What one round took: times in microseconds, memory in KiB after all have left.
///
/// Asker and registrar share one thread, so a lookup takes as long as that computes. On the wall clock it
/// takes longer whenever other tests have the processor; and as the thread loses it once in about a hundred lookups,
/// those cost it more, too, with caches that are cold.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Round {
    registered_in: u128,
    p50: u128,
    p90: u128,
    p99: u128,
    wall_p50: u128,
    wall_p99: u128,
    memory: u64,
}

/// A registrar, and beside it in the same process a root that has joined it and does all the work.
pub(crate) fn load_root(notes: &str) {
    let meeting = Meeting::new();
    let config = Config { dial: FOREVER, ..meeting.config(&[meeting.address("mem")]) };
    let tree = with_joined(config.clone(), config, async |_, here| {
        let registry = here.registry().expect("it has begun");
        for _ in 0..ROUNDS {
            note(notes, format!("round {}", serde_json::to_string(&round(&*registry).await?).unwrap()));
        }
        Ok(())
    });
    pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    note(notes, "done");
}

async fn round(registry: &dyn Registry) -> Result<Round> {
    let began = Instant::now();
    let actors: Vec<_> = (0..REGISTRATIONS).map(|number| actor(&format!("worker-{}", number % NAMES))).collect();
    let registrations = try_join_all(actors.iter().map(|actor| registry.register(actor.clone()))).await?;
    let registered_in = began.elapsed().as_micros();
    assert_eq!(registry.list().await?.len(), REGISTRATIONS + 2);
    let (mut taken, mut wall) = (Vec::with_capacity(LOOKUPS), Vec::with_capacity(LOOKUPS));
    for number in 0..LOOKUPS {
        let (asked, computed) = (Instant::now(), computed());
        let found = registry.find(&format!("worker-{}", number % NAMES)).await?;
        taken.push((self::computed() - computed).as_micros());
        wall.push(asked.elapsed().as_micros());
        assert_eq!(found.len(), REGISTRATIONS / NAMES);
    }
    try_join_all(registrations.into_iter().map(|registration| registration.leave())).await?;
    while registry.list().await?.len() > 2 {
        tokio::task::yield_now().await;
    }
    let [[p50, p90, p99], [wall_p50, _, wall_p99]] = [taken, wall].map(percentiles);
    Ok(Round { registered_in, p50, p90, p99, wall_p50, wall_p99, memory: anonymous_memory(std::process::id()) })
}

fn percentiles(mut taken: Vec<u128>) -> [u128; 3] {
    taken.sort_unstable();
    [50, 90, 99].map(|percent| taken[LOOKUPS * percent / 100].max(1))
}

/// How long this thread has computed.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

const ROUNDS: usize = 6;
const REGISTRATIONS: usize = 1000;
const LOOKUPS: usize = 10_000;

/// Each is borne by several.
const NAMES: usize = 500;

/// How much the memory may vary, in KiB.
const FLAT: u64 = 4 << 10;
