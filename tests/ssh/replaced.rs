//! An actor is not replaced before it must have ended: the end of its launcher says nothing about it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ChildSpec, EndedBy, Supervision, SupervisorEvent, WaitStatus};
use pleach_patience::patience;
use rustix::process::{Pid, Signal, kill_process};

use crate::relay::{BOTH, Relay};
use crate::site::{agent, dir, in_nursery, lineage, node, process_with, quick, raw, test};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for (line, is_cut) in [("without_ssh", false), ("behind_a_cut_line", true)] {
        for (state, blocked) in [("an_idle_actor", false), ("a_blocked_actor", true)] {
            let name = format!("replaced::{state}_{line}_ends_before_another_takes_its_place");
            tests.push(test(&name, move || replaced(is_cut, blocked)));
        }
    }
    tests
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

/// Makes a file, and blocks the thread of its actor for ever.
#[pleach::rpc]
async fn block(file: String) -> Result<()> {
    fs::write(file, "blocked").unwrap();
    loop {
        std::thread::park();
    }
}

/// What is on the way over `ssh` is held up: its session there stands still, and is killed in the end.
struct Frozen(Pid);

impl Frozen {
    fn session_of(agent: Pid) -> Self {
        let is_session = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"sshd: ");
        let session = raw(lineage(agent.as_raw_nonzero().get() as u32).find(is_session).unwrap());
        kill_process(session, Signal::STOP).unwrap();
        Self(session)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL); // it may be gone, and then nothing holds anything up
    }
}

fn is_gone(pid: u32) -> bool {
    !fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

async fn replaced(line_is_cut: bool, blocked: bool) {
    let relay = Relay::start("quic", Duration::ZERO).await;
    let config = quick(relay.config.clone());
    // To learn of the loss, to climb the ladder in vain, and then the longest that the actor may live.
    let bound = config.lease + config.ladder() * 2 + patience();
    let mut frozen = None;
    let n = in_nursery(config, async |n| {
        let actor = n.start_actor("far").on(node()).enable(module_path!());
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(actor))).await?;
        let portal = supervisor.portal("far").await?;
        let first = portal.run(pid()).await?;
        if blocked {
            let file = tempfile::tempdir_in(dir()).unwrap().keep().join("blocked");
            tokio::select! {
                ended = portal.run(block(file.display().to_string())) => panic!("{ended:?}"),
                () = is_there(&file) => {}
            }
        }
        let mut events = supervisor.events();
        if line_is_cut {
            relay.cut(&BOTH);
            frozen = Some(Frozen::session_of(agent()));
        }
        kill_process(process_with(&format!("-F {}", dir().join("ssh_config").display())), Signal::KILL).unwrap();
        let begun = Instant::now();
        let mut died = None;
        loop {
            match events.recv().await.unwrap() {
                SupervisorEvent::Died { error, .. } => died = Some(error),
                SupervisorEvent::Started { .. } if died.is_some() => break,
                _ => {}
            }
        }
        assert!(is_gone(first), "there are two of it, {:?} later", begun.elapsed());
        eprintln!("another was there {:?} later; the first: {died:?}", begun.elapsed());
        assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
        let Some(Error::ActorDied(died)) = died else { panic!("{died:?}") };
        assert_eq!(died.status, WaitStatus::Unknown);
        relay.mend();
        assert_ne!(supervisor.portal("far").await?.run(pid()).await?, first);
        n.cancel().await;
        Ok(n)
    })
    .await
    .unwrap();
    let endings = n.report().endings;
    let told: Vec<_> = endings.iter().map(|ending| ending.status).collect();
    assert_eq!(told, [WaitStatus::Unknown, WaitStatus::Exited(0)], "{endings:?}");
    assert!(endings[0].by >= EndedBy::Request, "it is never said to have ended by itself: {endings:?}");
}

async fn is_there(file: &Path) {
    while !file.exists() {
        tokio::task::yield_now().await;
    }
}
