//! The libraries take turns, and a line of the table has the medians.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::{Protocol, Work};
use crate::process::cpu_time;
use crate::server::Server;
use crate::table::Column;
use crate::{LIBRARIES, bound, ours};

/// What is measured for one row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) work: Work,
    pub(crate) protocol: Protocol,
}

impl Line {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let works = Work::ALL.into_iter();
        works.flat_map(|work| Protocol::ALL.map(|protocol| Self { work, protocol }))
    }

    /// What the arguments of the program are compared with.
    pub(crate) fn name(self) -> String {
        format!("{}, {}", self.work.name(), self.protocol.name())
    }
}

/// What one library did in one turn, for each call or item.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// The median over the steps, in seconds.
    pub(crate) time: f64,
    /// The processor time of both processes, in seconds.
    pub(crate) cpu: f64,
}

/// Lets all libraries that can do it take turns.
pub(crate) async fn compare(line: Line, directory: &Path) -> pleach::Result<Vec<Column>> {
    let Line { work, protocol } = line;
    let mut servers = Vec::new();
    for library in &LIBRARIES {
        if library.protocols.contains(&protocol) && library.works.contains(&work) {
            bound::begin(format!("{}: starting {}", line.name(), library.name));
            servers.push(Server::start(library, protocol, directory).await);
        }
    }
    bound::begin(format!("{}: starting {}", line.name(), ours::NAME));
    let turns = ours::with_child(work, protocol, async |ours, pids| {
        let (mut our_turns, mut turns) = (Vec::new(), vec![Vec::new(); servers.len()]);
        for round in 0..=ROUNDS {
            if round == 1 {
                // The first round warms up.
                our_turns.clear();
                turns.iter_mut().for_each(Vec::clear);
            }
            for (server, turns) in servers.iter_mut().zip(&mut turns) {
                bound::begin(format!("{}: {}", line.name(), server.name()));
                turns.push(take_turn(work, &[server.pid()], async || server.step(work).await).await);
            }
            bound::begin(format!("{}: {}", line.name(), ours::NAME));
            our_turns.push(take_turn(work, pids, async || ours.step(work).await).await);
        }
        (our_turns, turns)
    });
    let (our_turns, turns) = turns.await?;
    let raw = &turns[0]; // it is the first library, and does everything
    let ours = Column::new(ours::NAME, &our_turns, raw);
    let others = servers.iter().zip(&turns).map(|(server, turns)| Column::new(server.name(), turns, raw));
    Ok(others.chain([ours]).collect())
}

async fn take_turn(work: Work, pids: &[u32], mut step: impl AsyncFnMut()) -> Turn {
    let spent = || pids.iter().copied().chain([std::process::id()]).map(cpu_time).sum::<Duration>().as_secs_f64();
    let (started, before, mut times) = (Instant::now(), spent(), Vec::new());
    while times.is_empty() || started.elapsed() < TURN {
        let started = Instant::now();
        step().await;
        times.push(started.elapsed().as_secs_f64());
    }
    let (each, steps) = (work.in_a_step() as f64, times.len() as f64);
    Turn { time: median(times.into_iter()) / each, cpu: (spent() - before) / steps / each }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How often each library has its turn.
const ROUNDS: usize = 5;

/// How long a turn is.
const TURN: Duration = Duration::from_millis(200);
