//! `pleach cancel`: running actors are asked to end, in order.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use pleach::ActorId;
use pleach::inspect::{ActorReport, Process};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use crate::output;
use crate::ps::{Chosen, several_are};

/// Ask a running actor to end, in order, with all that is below it
///
/// It is what another actor's `cancel_actor` does: functions that run are cancelled and clean up, children end first,
/// and a root ends its tree. This waits until the actor has ended.
///
/// An actor whose tasks never yield can't end in order. With --force its process is killed once the time is up: its
/// children end with it.
///
/// Exit status 1 means that an actor has not ended.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach cancel worker                     the actor of that name
  pleach cancel worker --all --tree main   all actors of that name in one tree
  pleach cancel 4711 --within 2 --force    in order within two seconds, or else by a signal")]
pub(crate) struct Command {
    /// The name of the actor, its process id, or its uuid (at least 8 characters of it)
    #[arg(value_name = "NAME|PID")]
    actor: String,
    /// Only in the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// All actors that are meant, if there are several
    #[arg(long)]
    all: bool,
    /// How many seconds it may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    within: u32,
    /// Kill its process if it has not ended by then
    #[arg(long)]
    force: bool,
    /// Print JSON: an array of objects with `actor`, `outcome`, and `why` where it has not ended
    #[arg(long)]
    json: bool,
}

/// An actor, and what became of it.
#[derive(Serialize)]
struct Record {
    actor: ActorId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ended,
    Killed,
    StillThere,
}

/// An actor that is to end.
struct Meant {
    process: Process,
    actor: ActorId,
    /// Whether its process hosts others too.
    shares: bool,
    /// Belongs to this very process, also after another one has got its number.
    handle: Option<OwnedFd>,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let chosen = Chosen::now(self.tree.as_deref(), None)?;
        let meant = Meant::among(&chosen, &self.actor)?;
        if meant.len() > 1 && !self.all {
            bail!("{}, or add --all", several_are(&self.actor, meant.iter().map(|meant| &meant.actor)));
        }
        let records: Vec<_> = thread::scope(|scope| {
            let ending: Vec<_> = meant.iter().map(|meant| scope.spawn(|| self.end(meant))).collect();
            ending.into_iter().flat_map(thread::ScopedJoinHandle::join).collect()
        });
        match self.json {
            true => output::json(&records)?,
            false => records.iter().try_for_each(|record| output::line(record.in_words()))?,
        }
        let all_ended = records.iter().all(|record| record.outcome != Outcome::StillThere);
        Ok(if all_ended && records.len() == meant.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Asks an actor to end, and waits for that.
    fn end(&self, meant: &Meant) -> Record {
        let until = Instant::now() + Duration::from_secs(self.within.into());
        let asked = meant.process.cancel(&meant.actor);
        while asked.is_ok() && Instant::now() < until && meant.is_there() {
            thread::park_timeout(PAUSE);
        }
        let actor = meant.actor.clone();
        let is_there = meant.is_there();
        let (outcome, why) = match asked {
            _ if !is_there => (Outcome::Ended, None),
            _ if self.force => match meant.kill() {
                Ok(()) => (Outcome::Killed, None),
                Err(why) => (Outcome::StillThere, Some(why)),
            },
            Ok(_) => (Outcome::StillThere, Some(format!("it was asked, and has not ended within {} s", self.within))),
            Err(error) => (Outcome::StillThere, Some(format!("it could not be asked: {error}"))),
        };
        Record { actor, outcome, why }
    }
}

impl Meant {
    /// Finds those that have this name, process id or uuid, and have not ended meanwhile.
    fn among(chosen: &Chosen, meant: &str) -> anyhow::Result<Vec<Self>> {
        let held = |(process, actor): (&Process, &ActorReport)| {
            let process = process.again()?;
            let pid = pid_of(process.pid).filter(|_| process.host.is_none());
            let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            let shares = process.report.as_ref().is_ok_and(|report| report.actors.len() > 1);
            Some(Self { process, actor: actor.who.clone(), shares, handle })
        };
        Ok(chosen.meant(meant)?.into_iter().filter_map(held).collect())
    }

    fn is_there(&self) -> bool {
        self.process.again().is_some_and(|process| match process.report {
            Ok(report) => report.actors.iter().any(|actor| actor.who == self.actor),
            Err(_) => true, // it says nothing, and is there
        })
    }

    /// Kills its process.
    fn kill(&self) -> Result<(), String> {
        if self.shares {
            return Err("it is not killed, as its process hosts other actors too".into());
        }
        if let Process { pid, host: Some(host), .. } = &self.process {
            return Err(format!("its process is on another host: end process {pid} there ({host})"));
        }
        let handle = self.handle.as_ref().ok_or("its process can't be held on to")?;
        pidfd_send_signal(handle, Signal::KILL).map_err(|error| format!("its process can't be killed: {error}"))
    }
}

impl Record {
    fn in_words(&self) -> String {
        let why = self.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let outcome = match self.outcome {
            Outcome::Ended => "has ended",
            Outcome::Killed => "was killed",
            Outcome::StillThere => "is STILL THERE",
        };
        format!("{} {outcome}{why}", self.actor)
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.try_into().ok()?)
}

/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
