//! A process with a debugger attached is not ended by force.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use libtest_mimic::Trial;
use nix::sys::ptrace;
use nix::unistd::Pid;
use pleach::prelude::*;

use crate::support::{Log, Notes, Watched, assert_says, in_root, note, over, patience, scaled, test};

/// Blocks its actor for good: only force ends that.
#[pleach::rpc]
async fn wedge(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    loop {
        std::thread::park();
    }
}

/// As [`wedge`], in an actor below this one.
#[pleach::rpc]
async fn wedge_below(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        below.run(wedge(notes)).await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("debuggers::a_debugged_actor_is_killed_when_the_debugger_lets_go", async || debugged(wedge).await),
        test("debuggers::an_actor_above_a_debugged_one_lives_as_long", async || debugged(wedge_below).await),
    ]
}

// S36, S70, C-12
async fn debugged(stuck: fn(String) -> Call<()>) {
    let notes = std::sync::Arc::new(Notes::new());
    let (log, lines) = sync_channel(LINES);
    let _captured =
        tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(move || Log(log.clone())).finish());
    let quick = scaled(Duration::from_millis(50));
    let config = Config { cancel_ack: quick, soft_reap: quick, kill_after: quick, ..over("uds") };
    in_root(config, async |_| {
        let mut debugger = None;
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("stuck").enable(module_path!()).await?;
            let stuck_at: u32 = tokio::select! {
                answer = portal.run(stuck(notes.address())) => panic!("it is stuck: {answer:?}"),
                pid = notes.expect_async("") => pid.parse().unwrap(),
            };
            debugger = Some(Debugger::attach(stuck_at, lines));
            Err(Error::Usage("over".into()))
        })
        .await;
        assert_says(&ended, &["over"]);
        debugger.unwrap().assert_it_lived();
        Ok(())
    })
    .await
    .unwrap();
}

/// A thread that traces a process, until the log says that this delays an end.
struct Debugger {
    thread: JoinHandle<bool>,
    stuck: Watched,
}

impl Debugger {
    fn attach(pid: u32, lines: Receiver<String>) -> Self {
        let stuck = Watched::new(pid);
        let (attached, is_attached) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            ptrace::seize(Pid::from_raw(pid as i32), ptrace::Options::empty()).unwrap();
            attached.send(()).unwrap();
            let mut lines = std::iter::from_fn(|| lines.recv_timeout(patience()).ok());
            let told = lines.any(|line| line.contains("a debugger is attached"));
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            told && !state.is_empty() && !state.contains(") Z ")
            // The end of the thread detaches it.
        });
        is_attached.recv().unwrap();
        Self { thread, stuck }
    }

    /// The nursery has ended: the process was alive when the log was written, and is gone now.
    fn assert_it_lived(self) {
        assert!(self.thread.join().unwrap(), "it was killed under the debugger, or the log did not say so");
        self.stuck.assert_gone_within(patience());
    }
}

/// Lines of the log that may wait for a reader: more than there are.
const LINES: usize = 1000;
