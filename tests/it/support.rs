//! What the tests share: trees over every transport, notes from other processes, leak checks.

use std::fmt::Debug;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use pleach::{Actor, Config, Portal};
pub(crate) use pleach_patience::{FOREVER, patience, scaled, soon};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::free_address::free_address;

/// The protocols over which actors are processes.
pub(crate) const PROCESSES: [&str; 3] = ["tcp", "uds", "quic"];

/// All built-in protocols but the one in [`WITHIN_TLS`].
pub(crate) const ALL: [&str; 4] = ["mem", "tcp", "uds", "quic"];

/// TCP within TLS: for a few tests only, as everything above the bytes is the same as over TCP.
pub(crate) const WITHIN_TLS: [&str; 1] = ["tls+tcp"];

/// Makes a test of an async body that is run on a current-thread runtime, with a bound.
pub(crate) fn test<F>(name: impl Into<String>, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || bounded(&mut Builder::new_current_thread(), body))
}

/// Makes eight tests of one body: over each built-in protocol, on runtimes of one thread and of several.
///
/// The body boots its tree with the configuration that it gets, or with that and changes of its own. Its
/// root runs on the runtime that the configuration tells, and so do its actors:
/// ```ignore
/// tests.extend(matrix("streams::an_end_is_told_once", end_is_told));
///
/// async fn end_is_told(config: Config) {
///     in_root(config, async |_| …).await.unwrap();
/// }
/// ```
/// One of them is run by `cargo test --test it -- an_end_is_told_once_over_quic_on_threads`.
pub(crate) fn matrix<F>(name: &str, body: impl Fn(Config) -> F + Copy + Send + 'static) -> Vec<Trial>
where
    F: Future<Output = ()>,
{
    matrix_over(&ALL, name, body)
}

/// As [`matrix`], over some protocols only: [`PROCESSES`] for a body whose actors have to be processes.
pub(crate) fn matrix_over<F>(
    protocols: &[&'static str],
    name: &str,
    body: impl Fn(Config) -> F + Copy + Send + 'static,
) -> Vec<Trial>
where
    F: Future<Output = ()>,
{
    let settings = protocols.iter().flat_map(|protocol| [(*protocol, false), (*protocol, true)]);
    let make = |(protocol, multi_thread)| {
        let name = format!("{name}_over_{protocol}{}", if multi_thread { "_on_threads" } else { "" });
        Trial::test(name, move || {
            let mut tokio = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
            bounded(&mut tokio, || body(Config { multi_thread, ..over(protocol) }))
        })
    };
    settings.map(make).collect()
}

/// Runs a body on a runtime of its own until it ends, or its time is up.
fn bounded<F: Future<Output = ()>>(tokio: &mut Builder, body: impl FnOnce() -> F) -> Result<(), Failed> {
    let tokio = tokio.enable_all().build()?;
    let patience = 2 * patience();
    let bounded = async { tokio::time::timeout(patience, body()).await };
    tokio.block_on(bounded).map_err(|_| format!("did not end within {patience:?}").into())
}

/// A configuration for a transport, with bounds that this machine keeps however busy it is.
///
/// A test in which one of them has to strike sets that one, to [`soon`].
pub(crate) fn over(protocol: &str) -> Config {
    let default = Config::default();
    Config {
        transport: protocol.into(),
        cancel_ack: patience(),
        soft_reap: patience(),
        kill_after: patience(),
        give_up_after: patience(),
        connect_back: patience(),
        handshake: patience(),
        task_cancel: scaled(default.task_cancel),
        drain: scaled(default.drain),
        peers: scaled(default.peers),
        dial: scaled(default.dial),
        death_notice: scaled(default.death_notice),
        deregister: scaled(default.deregister),
        ..default
    }
}

/// Runs `body` in the root of a tree.
pub(crate) async fn in_root<T, F, Fut>(config: Config, body: F) -> pleach::Result<T>
where
    F: FnOnce(Actor) -> Fut,
    Fut: Future<Output = pleach::Result<T>>,
{
    pleach::open_root(config, body).await
}

/// Runs the root of a tree, and beside it, in the same process, another one that joins it, with `body` in it.
pub(crate) async fn with_joined<F, Fut>(registrar: Config, joining: Config, body: F)
where
    F: FnOnce(Actor, Actor) -> Fut,
    Fut: Future<Output = pleach::Result<()>>,
{
    let (tell, told) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel::<()>();
    let first = in_root(registrar, async |actor| {
        assert!(actor.is_registrar());
        let _ = tell.send(actor); // the other one may have failed
        let _ = is_done.await; // or may be gone
        Ok(())
    });
    let second = async {
        let _done = done;
        let registrar = told.await.expect("the first root has started");
        in_root(joining, async |actor| {
            assert!(!actor.is_registrar());
            body(registrar, actor).await
        })
        .await
    };
    let (first, second) = tokio::join!(first, second);
    second.unwrap();
    first.unwrap();
}

/// A directory with a key for programs that join each other, and with sockets of theirs.
pub(crate) struct Meeting(TempDir);

impl Meeting {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Where the registrar is, over a protocol that has processes.
    pub(crate) fn address(&self, protocol: &str) -> pleach::wire::Address {
        let address = match protocol {
            "uds" => format!("uds://{}", self.0.path().join("registrar.sock").display()),
            "mem" => format!("mem://{}", self.0.path().display()),
            _ => format!("{protocol}://{}", free_address()),
        };
        address.parse().unwrap()
    }

    /// What all programs that meet at `registry` are configured with.
    pub(crate) fn config(&self, registry: &[pleach::wire::Address]) -> Config {
        let protocol = registry.first().map_or("uds", |address| address.protocol());
        Config { registry: registry.to_vec(), key_file: Some(self.0.path().join("key")), ..over(protocol) }
    }
}

/// Runs `body` in a nursery of the root of a tree.
pub(crate) async fn in_nursery<T, F, Fut>(config: Config, body: F) -> pleach::Result<T>
where
    F: FnOnce(pleach::Nursery) -> Fut,
    Fut: Future<Output = pleach::Result<T>>,
{
    in_root(config, async |_| pleach::open_nursery(body).await).await
}

/// Runs `body` with a daemon `peer` that exposes `module`.
pub(crate) async fn with_peer<F, Fut>(config: Config, module: &str, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = pleach::Result<()>>,
{
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module).await?;
            body(portal.clone()).await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// Asserts that an error's text has all of `parts` in it.
pub(crate) fn assert_says<T: Debug>(result: &pleach::Result<T>, parts: &[&str]) {
    let text = match result {
        Ok(value) => panic!("expected an error that says {parts:?}, got {value:?}"),
        Err(error) => format!("{error:?}"),
    };
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    // An assertion that failed in the body of a nursery is an error beside the expected one.
    let panicked = "a task panicked";
    assert!(!text.contains(panicked) || parts.iter().any(|part| part.contains("panicked")), "{text}");
}

/// Asserts that an error was raised at the bottom of the tree `top` → `level2` → `level1`, and that each
/// actor on its way up is named.
pub(crate) fn assert_climbed(result: pleach::Result<()>) {
    match result {
        Err(pleach::Error::Remote(remote)) => {
            assert_eq!((remote.message.as_str(), remote.src.name()), ("at the bottom", "level1"));
            let hops: Vec<_> = remote.relay_path.iter().map(|hop| hop.name()).collect();
            assert_eq!(hops, ["level2", "top"]);
        }
        other => panic!("{other:?}"),
    }
}

/// Where other processes send short texts to a test.
pub(crate) struct Notes {
    socket: UnixDatagram,
    path: PathBuf,
    /// None in the process of an actor that may end without removing anything.
    _dir: Option<TempDir>,
}

impl Notes {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self::at(dir.path().join("notes"), Some(dir))
    }

    /// Where other processes send texts to this actor of a test: in the directory of the test, which removes it.
    pub(crate) fn beside(address: &str) -> Self {
        Self::at(format!("{address}-{}", std::process::id()).into(), None)
    }

    fn at(path: PathBuf, _dir: Option<TempDir>) -> Self {
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _dir }
    }

    /// What to hand to [`note`] in the other process.
    pub(crate) fn address(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// The directory of this test; it goes with this value.
    pub(crate) fn dir(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// Waits for the next note.
    pub(crate) fn next(&self) -> String {
        self.next_within(patience()).expect("no note came")
    }

    /// Waits for the next note, but not longer than this.
    pub(crate) fn next_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut text = [0; 8192];
        let len = loop {
            match self.socket.recv(&mut text) {
                // The end of a child process, of any test, is a signal.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => break received.ok()?,
            }
        };
        Some(String::from_utf8_lossy(&text[..len]).into_owned())
    }

    /// Waits for the next note, which has to begin with `what`, and returns the rest.
    pub(crate) fn expect(&self, what: &str) -> String {
        let note = self.next();
        let rest = note.strip_prefix(what).unwrap_or_else(|| panic!("expected `{what}…`, got `{note}`"));
        rest.trim().to_owned()
    }

    /// As [`expect`](Self::expect), for use in async code.
    pub(crate) async fn expect_async(self: &std::sync::Arc<Self>, what: &'static str) -> String {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || notes.expect(what)).await.unwrap()
    }
}

/// Sends a note to the test at `address`.
pub(crate) fn note(address: &str, text: impl AsRef<str>) {
    let socket = UnixDatagram::unbound().unwrap();
    let _ = socket.send_to(text.as_ref().as_bytes(), address); // a test that failed does not listen any more
}

/// The resident memory of a process, in KiB, that is not a file's.
pub(crate) fn anonymous_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux has it");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A process watched from outside, by any process.
pub(crate) struct Watched {
    pid: Pid,
    /// None if it had ended before the look: a tree may be dropped faster than it is observed.
    fd: Option<OwnedFd>,
}

impl Watched {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid as i32).unwrap();
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Self { pid, fd: Some(fd) },
            Err(Errno::SRCH) => Self { pid, fd: None },
            Err(error) => panic!("process {} can't be watched: {error}", pid.as_raw_nonzero()),
        }
    }

    pub(crate) fn kill(&self) {
        let process = self.fd.as_ref().expect("it has ended by itself");
        pidfd_send_signal(process, Signal::KILL).unwrap(); // never another one that got its number
    }

    /// Asserts that it ends within `bound`; kills it if it does not.
    pub(crate) fn assert_gone_within(&self, bound: Duration) {
        let Some(fd) = &self.fd else { return };
        let until = Instant::now() + bound;
        // The end of a child process, of any test, is a signal.
        let ended = rustix::io::retry_on_intr(|| {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap();
            poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&left))
        });
        let ended = ended.unwrap() > 0;
        if !ended {
            let _ = pidfd_send_signal(fd, Signal::KILL); // the test fails all the same
        }
        assert!(ended, "process {} is alive {bound:?} later", self.pid.as_raw_nonzero());
    }
}

/// A process of this program that runs a scenario as the root of a tree of its own.
pub(crate) struct RootProcess(pub(crate) Child);

impl RootProcess {
    /// Starts the scenario `name`; see [`become_root_if_told`].
    pub(crate) fn start(name: &str, notes: &Notes, args: &str) -> Self {
        Self::start_with(name, notes, args, &[])
    }

    /// As [`start`](Self::start), with environment variables.
    pub(crate) fn start_with(name: &str, notes: &Notes, args: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Self::command(name, notes, args);
        command.envs(env.iter().copied());
        Self::spawn(command)
    }

    /// Starts the scenario `name` with a standard error that is not read; it is returned.
    pub(crate) fn start_unread(name: &str, notes: &Notes) -> (Self, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let mut command = Self::command(name, notes, "");
        command.stderr(writer);
        (Self::spawn(command), reader)
    }

    /// As [`start`](Self::start), with a standard error that goes to the file `log` beside the notes, which may be
    /// emptied meanwhile. Panics do not fill it with backtraces.
    pub(crate) fn start_logged(name: &str, notes: &Notes, args: &str) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(notes.dir().join("log"));
        let mut command = Self::command(name, notes, args);
        command.env("RUST_BACKTRACE", "0").stderr(log.unwrap());
        Self::spawn(command)
    }

    /// The command that another program runs, which stands in front of it with its arguments.
    pub(crate) fn command_under(front: &[&str], name: &str, notes: &Notes, args: &str) -> Command {
        let mut command = Command::new(front[0]);
        command.args(&front[1..]).arg(std::env::current_exe().unwrap());
        Self::told(command, name, notes, args)
    }

    /// The command that runs a scenario of this program, at whatever path that is.
    pub(crate) fn command_at(path: &Path, name: &str, notes: &Notes, args: &str) -> Command {
        Self::told(Command::new(path), name, notes, args)
    }

    pub(crate) fn command(name: &str, notes: &Notes, args: &str) -> Command {
        Self::command_at(&std::env::current_exe().unwrap(), name, notes, args)
    }

    fn told(mut command: Command, name: &str, notes: &Notes, args: &str) -> Command {
        command.env("IT_ROOT", name).env("IT_NOTES", notes.address()).env("IT_ARGS", args).env("TMPDIR", notes.dir());
        command
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        Self(command.stdin(std::process::Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for RootProcess {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended, if the test went well
        let _ = self.0.wait();
    }
}

/// Runs a scenario instead of the tests, in a process that [`RootProcess::start`] has started.
pub(crate) fn become_root_if_told() {
    let Ok(name) = std::env::var("IT_ROOT") else { return };
    let (notes, args) = (std::env::var("IT_NOTES").unwrap(), std::env::var("IT_ARGS").unwrap());
    match name.as_str() {
        "kill_matrix" => crate::kill_matrix::root(&notes, &args),
        "orphans" => crate::descendants::orphans_root(&notes),
        "first_process" => crate::descendants::first_process_root(&notes),
        "few_files" => crate::surroundings::few_files_root(&notes),
        "storm" => crate::storm::root(&notes, &args),
        "chaos" => crate::chaos::root(&notes, &args),
        "stranger_flood" => crate::strangers::flood_root(&notes, &args),
        "fidelity" => crate::fidelity::root(),
        "flood_memory" => crate::floods::memory_root(&notes, &args),
        "liveness" => crate::liveness::stopping_root(&notes, &args),
        "interrupted" => crate::endings::interrupted_root(&notes, &args),
        "stalled" => crate::promises::stalled_root(&notes),
        "stopped_caller" => crate::deadlines::stopped_caller_root(&notes, &args),
        "roots_dropped" => crate::endings::roots_dropped_root(&notes),
        "configured" => crate::trees::configured_root(&notes),
        "signals" => crate::signals::root(&notes, &args),
        "logging" => crate::logging::root(&notes, &args),
        "subscribers" => crate::subscribers::root(&notes, &args),
        "daemon" => crate::runtime::daemon_root(&notes, &args),
        "what_is_left" => crate::clauses_order::what_is_left_root(&notes),
        "shutdown_order" => crate::runtime::ordered_root(&notes),
        "namesake" => crate::namesakes::namesake_root(&notes, &args),
        "service" => crate::joining::service_root(&notes, &args),
        "registry_load" => crate::registry::load_root(&notes),
        other => panic!("no scenario `{other}`"),
    }
    std::process::exit(0);
}

/// Copies a program that is to be started. No process of this program has the copy open for writing meanwhile, as one
/// would that another test starts at that moment: the system starts no such file.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("--").args([from, to]).status().unwrap().success(), "{}", to.display());
}

/// Gives this process, and so what its tests start, the signals that a terminal gives: a shell has its background
/// jobs ignore SIGINT, `nohup` has them ignore SIGHUP.
#[expect(unsafe_code, reason = "no safe crate here sets a signal back to its default")]
pub(crate) fn restore_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: the default action is not a function of this program.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What an actor process of a test does before it becomes an actor, if its parent says so.
pub(crate) fn hooks_before_entry() {
    let is_actor = std::env::args().nth(1).is_some_and(|argument| argument == "--pleach-actor");
    crate::subscribers::before_entry();
    let Ok(hook) = std::env::var("IT_BEFORE_ENTRY") else { return };
    if !is_actor {
        return;
    }
    match hook.split_once(' ').unwrap_or((&hook, "")) {
        ("hang", notes) => {
            note(notes, format!("hung {}", std::process::id()));
            loop {
                std::thread::park();
            }
        }
        ("hang_if", about) => {
            let (file, notes) = about.split_once(' ').unwrap();
            if Path::new(file).exists() {
                note(notes, format!("hung {}", std::process::id()));
                loop {
                    std::thread::park();
                }
            }
        }
        ("exit", code) => {
            eprintln!("leaving before it starts");
            std::process::exit(code.parse().unwrap())
        }
        ("panic", _) => panic!("broken before it starts"),
        ("tell", notes) => note(notes, format!("begun {}", std::process::id())),
        ("on_exit", notes) => {
            let notes = notes.to_owned();
            pleach::on_exit(move || note(&notes, "first in, last out"));
        }
        (other, _) => panic!("no hook `{other}`"),
    }
}

/// Sends each piece of the log to its reader.
pub(crate) struct Log(pub(crate) SyncSender<String>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(text).into_owned()); // the reader has left
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
