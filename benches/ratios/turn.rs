//! Taking turns: one side repeats a step for a while, then the other one does, and so on.

use std::time::{Duration, Instant};

use pleach::Result;

use crate::common::process::{cpu_time, place};

/// How often the two sides take turns, and how long a turn is.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
}

impl Plan {
    /// The rounds, each with whether it is measured: the first one warms up, unless it is the only one.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = bool> + use<> {
        let rounds = self.rounds;
        (0..=rounds).map(move |round| round > 0 || rounds == 0)
    }
}

/// What one side did in one turn.
#[derive(Clone)]
pub(crate) struct Turn {
    /// How long each step took, the shortest first; or what was measured instead of a time, in units of it.
    pub(crate) times: Vec<f64>,
    /// The processor time of all processes of this side, in seconds; none if some of them have ended meanwhile.
    pub(crate) cpu: Option<f64>,
}

impl Turn {
    pub(crate) fn new(mut times: Vec<f64>, cpu: Option<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { times, cpu }
    }

    pub(crate) fn median(&self) -> f64 {
        self.times[self.times.len() / 2]
    }

    /// The processor time of one step.
    pub(crate) fn cpu_of_a_step(&self) -> Option<f64> {
        Some(self.cpu? / self.times.len() as f64)
    }
}

/// Both sides of one round; a line may have no raw side.
pub(crate) type Round = (Turn, Option<Turn>);

/// Repeats a step until the turn ends. The step says how long it took, since some of it may not count; processor time
/// is that of this process and of `peers`, or not known without any.
pub(crate) async fn turn(plan: &Plan, peers: &[u32], mut step: impl AsyncFnMut() -> Result<Duration>) -> Result<Turn> {
    peers.iter().copied().for_each(place);
    let (started, before, mut times) = (Instant::now(), cpu_of_all(peers), Vec::new());
    while times.is_empty() || started.elapsed() < plan.turn {
        times.push(step().await?.as_secs_f64());
    }
    let spent = cpu_of_all(peers) - before;
    Ok(Turn::new(times, (!peers.is_empty()).then_some(spent.as_secs_f64())))
}

/// Returns how long a step takes.
pub(crate) async fn timed(mut step: impl AsyncFnMut() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    step().await?;
    Ok(started.elapsed())
}

/// A peer over `mem` is this process, which counts once.
fn cpu_of_all(peers: &[u32]) -> Duration {
    let this = std::process::id();
    cpu_time(this) + peers.iter().filter(|peer| **peer != this).map(|peer| cpu_time(*peer)).sum::<Duration>()
}
