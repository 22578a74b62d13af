//! SIGKILL a member of a tree in the worst of states: busy, stopped, under another user, with capabilities, with
//! daemons and with children of the program beside it. No actor survives, and no status of a stranger is lost.
//!
//! A handful of cases run by default. `STORM_RUNS=300 cargo test --test it -- storm` runs as many, drawn by
//! `STORM_SEED`, and says how many members survived and how many statuses were lost.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use rustix::process::{Signal, kill_process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::descendants::{is_alive, leave_daemons};
use crate::support::{FOREVER, Notes, RootProcess, Watched, copy_program, over, scaled};

/// One run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    protocol: Protocol,
    victim: Victim,
    mood: Mood,
    program: Program,
    daemons: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Protocol {
    Uds,
    Tcp,
    Quic,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Victim {
    Root,
    Mid,
    Leaf,
}

/// What `leaf` is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
enum Mood {
    Idle,
    /// Its only thread never waits.
    Busy,
    Stopped,
    /// Busy, after [`pleach::drop_privileges`].
    Dropped,
    /// Stopped after that.
    DroppedAndStopped,
    /// Busy, after what the C library has for that.
    Changed,
}

/// What kind of file the tree runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Program {
    Plain,
    /// With file capabilities, by a user without.
    Capable,
    /// Set-user-id root, by another user.
    SetUserId,
}

/// Runs in `leaf`.
#[pleach::rpc]
async fn live(notes: String, mood: Mood, daemons: bool) -> anyhow::Result<()> {
    let left = if daemons { leave_daemons().await? } else { Vec::new() };
    match mood {
        Mood::Dropped | Mood::DroppedAndStopped => pleach::drop_privileges(UNPRIVILEGED, UNPRIVILEGED, &[])?,
        Mood::Changed => {
            let (user, group) = (nix::unistd::Uid::from_raw(UNPRIVILEGED), nix::unistd::Gid::from_raw(UNPRIVILEGED));
            nix::unistd::setresgid(group, group, group)?;
            nix::unistd::setresuid(user, user, user)?;
        }
        Mood::Idle | Mood::Busy | Mood::Stopped => {}
    }
    say(&notes, &format!("leaf {} {}", std::process::id(), serde_json::to_string(&left)?));
    match mood {
        Mood::Idle => std::future::pending().await,
        Mood::Stopped | Mood::DroppedAndStopped => kill_process(rustix::process::getpid(), Signal::STOP)?,
        Mood::Busy | Mood::Dropped | Mood::Changed => {}
    }
    loop {
        std::thread::park();
    }
}

/// Appends to the file of the notes: other users may not send to the test's socket.
fn say(notes: &str, what: &str) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().append(true).open(Path::new(notes).with_file_name("said"));
    writeln!(file.unwrap(), "{what}").unwrap();
}

/// Runs in `mid`.
#[pleach::rpc]
async fn supervise(notes: String, run: Run) -> Result<()> {
    pleach::open_nursery(async |n| {
        let leaf = n.start_actor("leaf").enable(module_path!()).await?;
        leaf.run(live(notes, run.mood, run.daemons)).await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let plain = |protocol, victim, mood, daemons| Run { protocol, victim, mood, program: Program::Plain, daemons };
    let special = |program| Run { program, ..plain(Protocol::Uds, Victim::Root, Mood::Busy, false) };
    let cases = [
        ("a_busy_actor", plain(Protocol::Tcp, Victim::Root, Mood::Busy, false)),
        ("a_stopped_actor", plain(Protocol::Uds, Victim::Root, Mood::Stopped, false)),
        ("an_actor_that_dropped_its_privileges", plain(Protocol::Uds, Victim::Root, Mood::Dropped, false)),
        ("an_actor_that_did_and_was_stopped", plain(Protocol::Quic, Victim::Root, Mood::DroppedAndStopped, false)),
        ("an_actor_that_changed_its_user", plain(Protocol::Tls, Victim::Root, Mood::Changed, false)),
        ("an_actor_of_a_capable_program", special(Program::Capable)),
        ("an_actor_of_a_set_user_id_program", special(Program::SetUserId)),
        ("daemons_below_a_killed_parent", plain(Protocol::Uds, Victim::Mid, Mood::Changed, true)),
        ("daemons_of_a_killed_actor", plain(Protocol::Tls, Victim::Leaf, Mood::Dropped, true)),
    ];
    let name = |name, victim| format!("storm::{name}_ends_when_the_{victim:?}_is_killed").to_lowercase();
    let mut tests: Vec<_> = cases
        .into_iter()
        .map(|(what, run)| Trial::test(name(what, run.victim), move || check(run).map_err(Into::into)))
        .collect();
    tests.push(Trial::test("storm::as_many_as_are_asked_for", || {
        as_many_as_are_asked_for(number("STORM_RUNS", 3), number("STORM_SEED", 1));
        Ok(())
    }));
    tests
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn as_many_as_are_asked_for(runs: u64, seed: u64) {
    let mut draw = Draw(seed);
    let mut failed = Vec::new();
    for n in 0..runs {
        let run = draw.run();
        if let Err(why) = check(run) {
            eprintln!("run {n} of seed {seed}: {run:?}: {why}");
            failed.push(why);
        }
    }
    eprintln!("storm: {runs} runs of seed {seed}, {} failed", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Makes numbers of a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most) as usize
    }

    fn run(&mut self) -> Run {
        let program = [Program::Plain, Program::Plain, Program::Capable, Program::SetUserId][self.below(4)];
        let moods = [Mood::Idle, Mood::Busy, Mood::Stopped, Mood::Dropped, Mood::DroppedAndStopped, Mood::Changed];
        Run {
            protocol: [Protocol::Uds, Protocol::Tcp, Protocol::Quic, Protocol::Tls][self.below(4)],
            victim: [Victim::Root, Victim::Mid, Victim::Leaf][self.below(3)],
            // One that runs without privileges has none to drop.
            mood: moods[self.below(if program == Program::Capable { 3 } else { 6 })],
            program,
            daemons: self.below(2) == 1,
        }
    }
}

/// Runs a tree, kills the victim, and looks for what is left.
fn check(run: Run) -> Result<(), String> {
    let needs_root = run.program != Program::Plain || run.mood >= Mood::Dropped;
    if needs_root && !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run {run:?}");
        return Ok(());
    }
    let notes = Notes::new();
    let said = notes.dir().join("said");
    std::fs::write(&said, "").unwrap();
    for (path, mode) in [(notes.dir(), 0o777), (&said, 0o666)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let path = run.program.path();
    let mut command = RootProcess::command_at(&path, "storm", &notes, &serde_json::to_string(&run).unwrap());
    if run.program != Program::Plain {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command.stderr(std::fs::File::create(notes.dir().join("log")).unwrap());
    let mut root = RootProcess::spawn(command);
    let heard = Heard::of(&said);
    let members =
        [("root", root.pid()), ("mid", heard.mid), ("leaf", heard.leaf)].map(|(name, pid)| (name, Watched::new(pid)));
    members[run.victim as usize].1.kill();
    members.iter().for_each(|(_, member)| member.assert_gone_within(scaled(Duration::from_secs(2))));
    root.0.wait().unwrap();
    let survivors: Vec<_> = heard.daemons.into_iter().filter(|pid| is_alive(*pid)).collect();
    if run.victim == Victim::Root {
        // Of those nothing is promised then.
        survivors.iter().for_each(|pid| Watched::new(*pid).kill());
        return Ok(());
    }
    let all = std::fs::read_to_string(&said).unwrap();
    let report = all.lines().find_map(|line| line.strip_prefix("ended: ")).unwrap_or("nothing");
    match report {
        "0 lost" if survivors.is_empty() => Ok(()),
        report => Err(format!("the root said `{report}`, and {survivors:?} are alive")),
    }
}

/// What the members have said of themselves.
struct Heard {
    mid: u32,
    leaf: u32,
    daemons: Vec<u32>,
}

impl Heard {
    fn of(said: &Path) -> Self {
        let until = std::time::Instant::now() + crate::support::patience();
        loop {
            let text = std::fs::read_to_string(said).unwrap();
            let find = |what: &str| text.lines().find_map(|line| line.strip_prefix(what).map(str::to_owned));
            if let (Some(mid), Some(leaf)) = (find("mid "), find("leaf ")) {
                let (leaf, daemons) = leaf.split_once(' ').unwrap();
                let daemons = serde_json::from_str(daemons).unwrap();
                return Self { mid: mid.parse().unwrap(), leaf: leaf.parse().unwrap(), daemons };
            }
            assert!(std::time::Instant::now() < until, "the tree did not come up: {text}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Program {
    /// Where such a file of this program is. It goes with the directory of the tests' programs.
    fn path(self) -> PathBuf {
        let own = std::env::current_exe().unwrap();
        if self == Self::Plain {
            return own;
        }
        let mut copy = COPIES[(self == Self::Capable) as usize].lock().unwrap();
        let copy = copy.get_or_insert_with(|| {
            let dir = TempDir::new().unwrap();
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
            let copy = dir.path().join("it");
            copy_program(&own, &copy);
            std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
            match self {
                Self::Capable => {
                    let set = Command::new("setcap").arg("cap_net_raw+ep").arg(&copy).status();
                    assert!(set.is_ok_and(|status| status.success()), "`setcap` is needed (libcap2-bin)");
                }
                _ => std::fs::set_permissions(&copy, Permissions::from_mode(0o4755)).unwrap(),
            }
            dir
        });
        copy.path().join("it")
    }
}

/// One of a program with capabilities, and one that sets its user.
static COPIES: [Mutex<Option<TempDir>>; 2] = [const { Mutex::new(None) }; 2];

/// To be called when the last test has ended.
pub(crate) fn remove_copies() {
    COPIES.iter().for_each(|copy| drop(copy.lock().unwrap().take()));
}

/// The root of the tree, in a process of its own, with children of the program beside it.
pub(crate) fn root(notes: &str, args: &str) {
    let run: Run = serde_json::from_str(args).unwrap();
    let protocol = match run.protocol {
        Protocol::Uds => "uds",
        Protocol::Tcp => "tcp",
        Protocol::Quic => "quic",
        Protocol::Tls => "tls+tcp",
    };
    let socket_dir = Some(Path::new(notes).with_file_name("sockets"));
    let kill_after = Duration::from_millis(200);
    let config = Config { socket_dir, kill_after, soft_reap: kill_after, cancel_ack: FOREVER, ..over(protocol) };
    let mut strangers = Vec::new();
    let tree = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let mid = n.start_actor("mid").enable(module_path!()).await?;
            for group in [0, mid.id().pid() as i32] {
                for (script, due) in [
                    ("exit 7", (Some(7), None)),
                    ("kill -KILL $$", (None, Some(9))),
                    ("read line; exit 8", (Some(8), None)),
                ] {
                    let mut shell = Command::new("sh");
                    shell.args(["-c", script]).stdin(Stdio::piped()).process_group(group);
                    strangers.push((shell.spawn().unwrap(), due));
                }
            }
            say(notes, &format!("mid {}", mid.id().pid()));
            mid.run(supervise(notes.to_owned(), run)).await
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    assert!(ended.is_err());
    let lost = strangers.iter_mut().filter_map(|(child, due)| {
        drop(child.stdin.take()); // ends those that read
        child.wait().ok().filter(|status| (status.code(), status.signal()) == *due).is_none().then_some(())
    });
    say(notes, &format!("ended: {} lost", lost.count()));
}

/// The user without privileges.
const UNPRIVILEGED: u32 = 65534;
