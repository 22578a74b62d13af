//! `pleach reap`: a root is killed, and leaves what its actor has started; another tree, beside it, lives.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::{fs, thread};

use libtest_mimic::Trial;
use pleach::Config;
use pleach_patience::patience;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PLEACH, json, pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(what_a_crashed_root_has_left_goes_and_a_living_tree_stays),
        test_fn(directories_and_sockets_that_no_process_uses_go),
        test_fn(what_is_debugged_is_left_alone),
        test_fn(what_runs_the_command_is_left_alone),
    ]
}

/// Set in a process that is to be the root of a tree.
pub(crate) const ROOT: &str = "CLI_ROOT";

/// Its value for a root that cancels its actor, so that only the daemon of that is left.
const ALONE: &str = "alone";

/// Its value for a root whose actor leaves a shell that runs the tool, when it is told for which tree.
const SHELL: &str = "shell";

/// The root of a tree whose actor has started two processes that outlive it: until standard input ends.
pub(crate) fn root() -> ExitCode {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { transport: "uds".into(), soft_reap: patience(), ..Config::default() };
    let ended = tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let worker = n.start_actor("worker").enable(module_path!()).await?;
            let left = worker.run(leave()).await?;
            if std::env::var(ROOT).unwrap() == ALONE {
                worker.cancel_actor().await?;
            }
            println!("{}", json!({ "actor": worker.id().pid(), "left": left }));
            tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
            worker.cancel_actor().await
        })
        .await
    }));
    ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Starts a daemon, and copies this actor; returns the numbers of both processes.
#[pleach::rpc]
async fn leave() -> anyhow::Result<[u32; 2]> {
    let shell = format!("read tree <$TMPDIR/tree; {PLEACH} reap --json --tree $tree >$TMPDIR/said; exec sleep 1000");
    let daemon = if std::env::var(ROOT)? == SHELL { shell } else { "exec sleep 1000".to_owned() };
    let daemon = format!("setsid sh -c '{daemon}' >&- 2>&- & echo $!");
    let output = Command::new("sh").args(["-c", &daemon]).stdin(Stdio::null()).output()?;
    Ok([String::from_utf8(output.stdout)?.trim().parse()?, copy()])
}

#[expect(unsafe_code, reason = "a copy of an actor is what is tried")]
fn copy() -> u32 {
    // SAFETY: the copy makes no call but one that waits for a signal, which ends it.
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: it touches no memory.
            unsafe { libc::pause() };
        },
        pid => pid.unsigned_abs(),
    }
}

/// A root and what it has said of its tree.
struct Root {
    process: Child,
    at: TempDir,
    actor: u32,
    left: [u32; 2],
}

impl Root {
    fn start(how: &str) -> Self {
        Self::start_at(TempDir::new().unwrap(), how)
    }

    fn start_at(at: TempDir, how: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROOT, how).env("TMPDIR", at.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        let pid = |value: &Value| value.as_u64().unwrap() as u32;
        let (actor, left) = (pid(&said["actor"]), [0, 1].map(|at| pid(&said["left"][at])));
        Self { process, at, actor, left }
    }

    /// Kills the root; its actor goes with it.
    fn crash(&mut self) {
        let actor = pidfd_open(Pid::from_raw(self.actor as i32).unwrap(), PidfdFlags::empty()).unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let ended = rustix::io::retry_on_intr(|| {
            let patience = Timespec::try_from(patience()).unwrap();
            poll(&mut [PollFd::new(&actor, PollFlags::IN)], Some(&patience))
        });
        assert_eq!(ended, Ok(1), "the actor has outlived its root");
    }
}

/// Ends what a test that has failed would leave.
impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it has ended, if all went well
        let _ = self.process.wait();
        for pid in self.left.into_iter().filter(|pid| is_alive(*pid)) {
            let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL); // this test has started it
        }
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn what_a_crashed_root_has_left_goes_and_a_living_tree_stays() {
    let (mut crashed, mut living, mut alone) = (Root::start(""), Root::start(""), Root::start(ALONE));
    let at = crashed.at.path().to_owned();
    let found_of = |root: &Root| -> Vec<Value> {
        let (_, found) = json(&at, "reap --dry-run");
        let of_root = |record: &&Value| root.left.iter().chain([&root.actor]).any(|pid| record["pid"] == *pid);
        found.as_array().unwrap().iter().filter(of_root).cloned().collect()
    };
    assert_eq!(found_of(&crashed), [Value::Null; 0], "its root is alive");
    crashed.crash();

    let mut found = found_of(&crashed);
    found.sort_by_key(|record| record["pid"] != crashed.left[0]);
    let tree = found[0]["tree"].as_str().unwrap().to_owned();
    let (daemon, copy) = (&found[0], &found[1]);
    let is = |record: &Value, pid: u32, actor: Value| {
        let same = json!({ "what": "process", "pid": pid, "actor": actor, "tree": tree, "outcome": "found" });
        assert!(record["age_seconds"].is_u64(), "{record}");
        same.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(record[name], *value, "{name}: {record}"));
    };
    is(daemon, crashed.left[0], Value::Null);
    is(copy, crashed.left[1], "worker".into());
    // It may not be further than the shell that starts it.
    assert!(daemon["command"].as_str().unwrap().contains("sleep 1000"), "{daemon}");
    assert_eq!([&living, &alone].map(found_of), [Vec::<Value>::new(), Vec::new()], "their roots are alive");
    assert!(crashed.left.into_iter().all(is_alive), "that was a dry run");
    assert!(pleach(&at, &format!("reap --dry-run --tree {tree}")).is_err(), "there is something to remove");

    let said = pleach(&at, &format!("reap --tree {tree}")).unwrap();
    for (pid, actor) in crashed.left.into_iter().zip(["", ", actor `worker`"]) {
        let (found, killed) = (format!("found process {pid}{actor} of tree {tree}, "), format!("killed process {pid}"));
        let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?} in: {said}"));
        assert!(at(&found) < at(&killed), "{said}");
        assert!(!is_alive(pid));
    }
    assert_eq!(pleach(&at, &format!("reap --tree {tree}")).unwrap(), "nothing is left over\n");

    assert!(
        living.left.into_iter().chain([living.actor]).chain([alone.left[0]]).all(is_alive),
        "a living tree was touched"
    );
    for root in [&mut living, &mut alone] {
        drop(root.process.stdin.take());
        assert!(root.process.wait().unwrap().success());
        assert!(!root.left.into_iter().any(is_alive) && is_empty(root.at.path()));
    }
}

fn directories_and_sockets_that_no_process_uses_go() {
    let (mut crashed, mut living) = (Root::start(""), Root::start(""));
    let directory = |root: &Root| fs::read_dir(root.at.path()).unwrap().next().unwrap().unwrap().path();
    let (dead, used) = (directory(&crashed), directory(&living));
    crashed.crash();
    // The copy of the actor has its files.
    let found = |root: &Root| json(root.at.path(), "reap --dry-run").1;
    let is_in = |found: Value, path: &Path| {
        found.as_array().unwrap().iter().any(|record| record["path"] == path.to_str().unwrap())
    };
    assert!(!is_in(found(&crashed), &dead), "a process uses it");
    let tree = tree_of(&crashed);
    pleach(crashed.at.path(), &format!("reap --tree {tree}")).unwrap();
    assert!(dead.exists() && is_in(found(&crashed), &dead));
    assert!(!is_in(found(&living), &used), "a living tree uses it");

    // And a named directory, with a socket that listens and one that does not.
    let named = TempDir::new().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(named.path().join("1f-1.sock")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(named.path().join("1f-2.sock")).unwrap());
    reap_alone(crashed.at.path(), named.path());
    if is_empty(crashed.at.path()) {
        assert!(used.exists() && named.path().join("1f-1.sock").exists() && !named.path().join("1f-2.sock").exists());
    }
    drop(listener);
    drop(living.process.stdin.take());
    assert!(living.process.wait().unwrap().success());
}

fn what_is_debugged_is_left_alone() {
    let mut crashed = Root::start("");
    crashed.crash();
    let [debugged, copy] = crashed.left;
    let tree = tree_of(&crashed);
    let pid = nix::unistd::Pid::from_raw(debugged as i32);
    let (attached, is_attached) = mpsc::sync_channel(1);
    let (done, is_done) = mpsc::sync_channel::<()>(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            attached.send(nix::sys::ptrace::attach(pid).is_ok()).unwrap();
            let _ = is_done.recv(); // the end of this thread detaches it
        });
        if !is_attached.recv().unwrap() {
            drop(done);
            return eprintln!("skipped: this user may attach no debugger");
        }
        let (succeeded, records) = json(crashed.at.path(), &format!("reap --tree {tree}"));
        let is_left = is_alive(debugged) && !is_alive(copy);
        drop(done);
        assert!(succeeded && is_left, "{records}");
        let record = records.as_array().unwrap().iter().find(|record| record["pid"] == debugged).unwrap();
        assert_eq!(record["outcome"], "left_alone", "{record}");
        assert!(record["why"].as_str().unwrap().starts_with("a debugger is attached: process "), "{record}");
    });
    pleach(crashed.at.path(), &format!("reap --tree {tree}")).unwrap();
    assert!(!is_alive(debugged), "the debugger has left");
}

fn what_runs_the_command_is_left_alone() {
    let at = TempDir::new().unwrap();
    let pipes = ["tree", "said"].map(|name| at.path().join(name));
    assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
    let mut crashed = Root::start_at(at, SHELL);
    crashed.crash();
    let [shell, copy] = crashed.left;
    fs::write(&pipes[0], format!("{}\n", tree_of(&crashed))).unwrap();
    let said: Value = serde_json::from_str(&fs::read_to_string(&pipes[1]).unwrap()).unwrap();
    let outcome = |pid: u32| {
        let record = said.as_array().unwrap().iter().find(|record| record["pid"] == pid);
        record.map(|record| (record["outcome"].as_str().unwrap(), record["why"].as_str()))
    };
    assert_eq!(outcome(shell), Some(("left_alone", Some("this program runs in it"))), "{said}");
    assert_eq!(outcome(copy), Some(("removed", None)), "{said}");
    assert!(is_alive(shell) && !is_alive(copy));
}

/// The tree of a root that has crashed.
fn tree_of(crashed: &Root) -> String {
    let (_, found) = json(crashed.at.path(), "reap --dry-run");
    let record = found.as_array().unwrap().iter().find(|record| record["pid"] == crashed.left[1]);
    record.unwrap_or_else(|| panic!("{found}"))["tree"].as_str().unwrap().to_owned()
}

/// Removes all that is left over, where no process is seen but this test's: others have leftovers here, too. Does
/// nothing where this user may make no namespaces.
fn reap_alone(at: &Path, socket_dir: &Path) {
    let namespace = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    let mut may = Command::new("unshare");
    if !may.args(namespace).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this user may make no namespaces");
    }
    let mut command = Command::new("unshare");
    command.args(namespace).args([PLEACH, "reap", "--json"]).current_dir(at).env("TMPDIR", at);
    let output = command.env("PLEACH_SOCKET_DIR", socket_dir).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && is_empty(at), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}
