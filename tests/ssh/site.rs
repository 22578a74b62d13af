//! The server, the hosts that lead to it, and the search for what a tree has left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::{Config, Host, Nursery};
use pleach_patience::{patience, scaled, soon};
use rustix::process::Pid;
use tempfile::TempDir;
use tokio::runtime::Builder;

/// A server; ended with this value.
pub(crate) struct Server(TempDir);

static DIR: OnceLock<PathBuf> = OnceLock::new();

/// Starts servers on this machine: `node` and `other` as they are, `alien` whose machine is of another kind, `bare`
/// where no program can be run from the cache, and `narrow` with one session in a login.
pub(crate) fn start() -> Server {
    let server = Server(TempDir::with_prefix("pleach-ssh-").unwrap());
    let dir = server.0.path().to_owned();
    DIR.set(dir.clone()).unwrap();
    for name in ["tmp", "there", "bin", "noexec"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    fs::write(dir.join("bin/uname"), "#!/bin/sh\necho Linux s390x\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(dir.join("bin/uname")).status().unwrap().success());
    let there = |cache: &str| format!("XDG_CACHE_HOME={0}/{cache} TMPDIR={0}/there", dir.display());
    let path = format!("PATH={}/bin:/usr/local/bin:/usr/bin:/bin", dir.display());
    run_server("node", &format!("SetEnv {}", there("cache")));
    run_server("other", &format!("SetEnv {}", there("cache")));
    run_server("alien", &format!("SetEnv {} {path}", there("cache")));
    run_server("bare", &format!("SetEnv {}", there("noexec")));
    run_server("narrow", &format!("SetEnv {}\nMaxSessions 1", there("cache")));
    server
}

fn run_server(alias: &str, lines: &str) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut start = script();
    start.arg("start").arg(dir()).arg(port.to_string()).args(["127.0.0.1", alias]).env("SSHD_LINES", lines);
    assert!(start.stdout(Stdio::null()).status().unwrap().success(), "the server `{alias}` did not start");
}

fn script() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/sshd"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its output goes to the terminal, its only reader.
        let _ = script().arg("stop").arg(self.0.path()).status();
    }
}

/// The directory of the servers and of everything that the tests make.
pub(crate) fn dir() -> &'static Path {
    DIR.get().unwrap()
}

/// The server that is as one should be.
pub(crate) fn node() -> Host {
    host("node")
}

pub(crate) fn host(alias: &str) -> Host {
    Host::ssh(alias).config_file(dir().join("ssh_config"))
}

/// A configuration of `ssh` of our own: the servers', with `lines` before it.
pub(crate) fn with_lines(name: &str, lines: &str) -> PathBuf {
    let path = dir().join(name);
    let usual = fs::read_to_string(dir().join("ssh_config")).unwrap();
    fs::write(&path, format!("{lines}\n{usual}")).unwrap();
    path
}

/// Makes a test of an async body; afterwards nothing may be left.
pub(crate) fn test<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial {
    let name = name.to_owned();
    Trial::test(name.clone(), move || {
        let patience = 3 * patience();
        let body = async { tokio::time::timeout(patience, body()).await };
        let ended = Builder::new_current_thread().enable_all().build()?.block_on(body);
        ended.map_err(|_| format!("{name} took longer than {patience:?}"))?;
        expect_nothing_left();
        Ok(())
    })
}

/// Runs `body` in the nursery of a new root.
pub(crate) async fn in_nursery<T, F, Fut>(config: Config, body: F) -> pleach::Result<T>
where
    F: FnOnce(Nursery) -> Fut,
    Fut: Future<Output = pleach::Result<T>>,
{
    pleach::open_root(config, async |_| pleach::open_nursery(body).await).await
}

/// Asserts that, before patience ends, nothing of any tree runs any more, and that no directory is left.
pub(crate) fn expect_nothing_left() {
    let bound = patience();
    let until = Instant::now() + bound;
    loop {
        let left = [leftover_processes(), leftover_directories()].concat();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "this is left {bound:?} later:\n{}", left.join("\n"));
        std::thread::yield_now();
    }
}

/// The processes of this machine, ourselves excepted, whose command line has `what` in it.
pub(crate) fn processes_with(what: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| shown(&line).contains(what));
    pids.filter(|pid| *pid != std::process::id()).filter(has).collect()
}

/// The first of those that there are.
pub(crate) fn process_with(what: &str) -> Pid {
    let found = processes_with(what);
    raw(*found.first().unwrap_or_else(|| panic!("no process with {what}")))
}

/// The first agent that there is; not the `ssh` that has it started.
pub(crate) fn agent() -> Pid {
    process_with(" --pleach-agent")
}

pub(crate) fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).unwrap()
}

/// A configuration with which nothing takes long.
pub(crate) fn quick(config: Config) -> Config {
    Config {
        heartbeat: scaled(Duration::from_millis(100)),
        lease: scaled(Duration::from_secs(2)),
        cancel_ack: soon(),
        soft_reap: soon(),
        kill_after: soon(),
        ..config
    }
}

fn shown(command_line: &[u8]) -> String {
    String::from_utf8_lossy(command_line).replace('\0', " ")
}

/// A process and those above it, the nearest first; as far as they still are.
pub(crate) fn lineage(pid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(pid), |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        (parent != 0).then_some(parent)
    })
}

/// Whether the servers of this test have started it. Those of others may run at the same time.
fn is_of_our_servers(pid: u32) -> bool {
    let config_files = format!("{}/", dir().display());
    let is_server =
        |pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| shown(&line).contains(&config_files));
    lineage(pid).skip(1).any(is_server)
}

/// Actors and agents of this program, wherever they run from, and every `ssh` and session that has to do with
/// the servers.
fn leftover_processes() -> Vec<String> {
    let ourselves = std::env::current_exe().unwrap();
    let left = processes_with("").into_iter().filter_map(|pid| {
        let at = PathBuf::from(format!("/proc/{pid}"));
        let command = shown(&fs::read(at.join("cmdline")).ok()?);
        let status = fs::read_to_string(at.join("status")).ok()?;
        let exe = fs::read_link(at.join("exe")).unwrap_or_default();
        let is_ours = exe == ourselves || exe.starts_with(dir());
        let is_session = command.starts_with("sshd: ") && is_of_our_servers(pid) && !command.contains("[listener]");
        let starts_ours = command.starts_with("ssh ") && command.contains(ourselves.to_str()?);
        let is_ssh = starts_ours || command.contains(dir().to_str()?) && !command.contains("sshd");
        let is_zombie = status.contains("State:\tZ");
        ((is_ours || is_session || is_ssh) && !is_zombie).then(|| format!("process {pid}: {command}"))
    });
    left.collect()
}

/// The directories of sockets here and there.
fn leftover_directories() -> Vec<String> {
    let found = [std::env::temp_dir(), dir().join("there")].map(|at| fs::read_dir(at).unwrap().flatten());
    let ours = format!("-{}-", std::process::id());
    let is_left = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_there = path.starts_with(dir().join("there").to_str().unwrap());
        name.starts_with("pleach-") && (is_there || name.contains(&ours))
    };
    let paths = found.into_iter().flatten().map(|entry| entry.path().display().to_string());
    paths.filter(is_left).collect()
}

/// Asserts that an error's text has all of `parts` in it.
pub(crate) fn assert_says<T: std::fmt::Debug>(result: &pleach::Result<T>, parts: &[&str]) {
    let text = match result {
        Ok(value) => panic!("expected an error that says {parts:?}, got {value:?}"),
        Err(error) => format!("{error:?}"),
    };
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}
