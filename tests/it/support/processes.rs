//! Processes of a test: watched from outside, and roots of trees of their own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::notes::{Notes, note};

/// The resident memory of a process, in KiB, that is not a file's.
pub(crate) fn anonymous_memory(pid: u32) -> u64 {
    memory(pid, "RssAnon:")
}

/// The resident memory of a process, in KiB.
pub(crate) fn resident_memory(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, kind: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(kind)).expect("Linux has it");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The state of a process, as `ps` shows it; nothing if it is gone.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
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
        "signals" => crate::signals::programs::root(&notes, &args),
        "story" => crate::story::root(&notes, &args),
        "log_lines" => crate::log_lines::root(&notes, &args),
        "outputs" => crate::outputs::root(&notes, &args),
        "logging" => crate::logging::root(&notes, &args),
        "unsubscribed" => crate::unsubscribed::root(&args),
        "subscribers" => crate::subscribers::root(&notes, &args),
        "daemon" => crate::runtime::daemon_root(&notes, &args),
        "what_is_left" => crate::clauses_order::what_is_left_root(&notes),
        "shutdown_order" => crate::runtime::ordered_root(&notes),
        "namesake" => crate::namesakes::namesake_root(&notes, &args),
        "service" => crate::joining::service_root(&notes, &args),
        "idle" => crate::probe_cost::idle_root(&notes),
        "another_user_asks" => crate::inspect::another_user_asks(&args),
        "another_user" => crate::inspect::another_user(&args),
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

/// Returns whether there is a process of this id, be it a zombie.
pub(crate) fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
