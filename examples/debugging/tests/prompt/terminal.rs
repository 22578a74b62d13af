//! A shell on a pseudo-terminal: what is typed, and what comes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pleach_patience::patience;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A terminal with a shell in it, in which one program has been started.
pub(crate) struct Terminal {
    keyboard: File,
    shell: Child,
    /// The processes of the shell, which stay until it is ended.
    shells: Vec<i32>,
    screen: Arc<Screen>,
    /// How much of the screen has been looked at.
    at: usize,
    settings: String,
    mark: String,
}

#[derive(Default)]
struct Screen {
    text: Mutex<String>,
    changed: Condvar,
    hung_up: AtomicBool,
}

impl Terminal {
    /// Runs a program of this package.
    pub(crate) fn run(program: &str) -> Self {
        Self::run_with(program, "")
    }

    /// Runs it with words in front, such as variables of its environment.
    pub(crate) fn run_with(program: &str, before: &str) -> Self {
        Self::run_in(Command::new("bash"), program, before)
    }

    /// Runs it in another shell, which the command starts.
    pub(crate) fn run_in(shell: Command, program: &str, before: &str) -> Self {
        let mut terminal = Self::open(shell);
        terminal.type_in(&format!("{before} {} {program}\n", env!("CARGO_BIN_EXE_debugging")));
        terminal
    }

    fn open(mut shell: Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let mark = format!("PROMPT_TEST={}-{}", std::process::id(), name.replace('/', "-"));
        let (key, value) = mark.split_once('=').unwrap();
        let line = File::options().read(true).write(true).open(&name).unwrap();
        shell.args(["--norc", "--noprofile", "-i"]).env(key, value).env("PS1", PROMPT).env("TERM", "xterm");
        shell.env_remove("RUST_BACKTRACE").env("HISTFILE", "/dev/null");
        shell.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line);
        let shell = as_session(shell).spawn().unwrap();
        let (screen, output) = (Arc::new(Screen::default()), File::from(keyboard));
        let keyboard = output.try_clone().unwrap();
        let shown = screen.clone();
        thread::spawn(move || shown.follow(output));
        let (shells, settings) = (Vec::new(), String::new());
        let mut terminal = Self { keyboard, shell, shells, screen, at: 0, settings, mark };
        terminal.expect(PROMPT);
        terminal.shells = terminal.marked();
        terminal.settings = terminal.settings_now();
        terminal
    }

    /// Types something.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the prompt of an actor, and types a command.
    pub(crate) fn command(&mut self, actor: &str, command: &str) {
        self.expect(&format!("(pleach) {actor}> "));
        self.type_in(&format!("{command}\n"));
    }

    /// Waits for the prompt of `gdb`, and types a command.
    pub(crate) fn gdb(&mut self, command: &str) {
        self.expect("(gdb) ");
        self.type_in(&format!("{command}\n"));
    }

    /// Waits until a text has come since the last one; returns what was before it.
    pub(crate) fn expect(&mut self, wanted: &str) -> String {
        let at = self.wait_for(wanted, |text| text.find(wanted));
        let before = self.screen.text.lock().unwrap()[self.at..self.at + at].to_owned();
        self.at += at + wanted.len();
        before
    }

    /// Waits for one of two texts since the last one; returns whether it is the first.
    fn comes_first(&self, first: &str, other: &str) -> bool {
        self.wait_for(&format!("{first}` or `{other}"), |text| match (text.find(first), text.find(other)) {
            (None, None) => None,
            (at, other) => Some(other.is_none_or(|other| at.is_some_and(|at| at < other))),
        })
    }

    /// Waits until what has come since the last text has something.
    fn wait_for<T>(&self, wanted: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let until = Instant::now() + patience();
        let mut text = self.screen.text.lock().unwrap();
        loop {
            if let Some(found) = look(&text[self.at..]) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{wanted}` did not come; this did:\n{}", &text[self.at..]);
            text = self.screen.changed.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Everything that has come.
    pub(crate) fn everything(&self) -> String {
        self.screen.text.lock().unwrap().clone()
    }

    /// The processes of this terminal whose command line begins so, the oldest first.
    pub(crate) fn processes(&self, command: &str) -> Vec<i32> {
        let mut found: Vec<i32> = self.marked().into_iter().filter(|pid| shown(*pid).starts_with(command)).collect();
        found.sort_unstable();
        found
    }

    /// The only process of this terminal with that command line.
    pub(crate) fn process(&self, command: &str) -> i32 {
        let until = Instant::now() + patience();
        loop {
            match self.processes(command)[..] {
                [pid] => return pid,
                ref found => assert!(Instant::now() < until, "{command}: {found:?}"),
            }
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until the program has ended; nothing of it is left, and the terminal is as it was.
    pub(crate) fn end(mut self) -> String {
        self.expect(PROMPT);
        self.none_left(); // one that is about to end may still take what is typed
        let after = self.settings_now();
        assert_eq!(after, self.settings, "the terminal is not as it was");
        self.type_in("exit\n");
        assert!(self.shell.wait().is_ok());
        self.everything()
    }

    /// Lets each actor go on that is shown, until the program has ended.
    pub(crate) fn continue_to_end(mut self) -> String {
        while self.comes_first(SHOWN, PROMPT) {
            self.expect(SHOWN);
            self.expect("(pleach) ");
            self.type_in("c\n");
        }
        self.end()
    }

    /// Ends the shell, and with it the terminal; the program ends, too.
    pub(crate) fn hang_up(mut self) {
        self.screen.hung_up.store(true, Ordering::Release);
        self.keyboard = File::open("/dev/null").unwrap();
        self.shell.kill().unwrap();
        self.shell.wait().unwrap();
        self.none_left();
    }

    /// Waits until no process but the shell is left.
    pub(crate) fn none_left(&self) {
        let until = Instant::now() + patience();
        loop {
            let left: Vec<_> = self.marked().into_iter().filter(|pid| !self.shells.contains(pid)).collect();
            if left.is_empty() {
                return;
            }
            let names: Vec<_> = left.iter().map(|pid| shown(*pid)).collect();
            assert!(Instant::now() < until, "{names:?} are left; on the screen:\n{}", self.everything());
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn settings_now(&mut self) -> String {
        self.type_in("echo SETTINGS=$(stty -g)=END\n");
        self.expect("=END\n");
        self.expect("SETTINGS=");
        let settings = self.expect("=END\n");
        self.expect(PROMPT);
        settings
    }

    fn marked(&self) -> Vec<i32> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_marked = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == self.mark.as_bytes())
        };
        pids.filter(is_marked).collect()
    }
}

impl Drop for Terminal {
    /// After a failure: only what this test has started.
    fn drop(&mut self) {
        for pid in self.marked() {
            kill(pid, Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}

impl Screen {
    /// Waits for output; `false` once the terminal is to be closed.
    fn has_more(&self, output: &File) -> bool {
        let tick = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        while !self.hung_up.load(Ordering::Acquire) {
            if poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&tick)).is_ok_and(|ready| ready > 0) {
                return true;
            }
        }
        false
    }

    fn follow(&self, mut output: File) {
        let (mut bytes, mut raw) = ([0; 4096], Vec::new());
        // The end of the shell is an error here.
        while self.has_more(&output)
            && let Ok(read @ 1..) = output.read(&mut bytes)
        {
            raw.extend_from_slice(&bytes[..read]);
            *self.text.lock().unwrap() = plain(&raw);
            self.changed.notify_all();
        }
    }
}

/// The text without what moves the cursor.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| match part.strip_prefix('[') {
        Some(sequence) => sequence.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest),
        None => part,
    });
    (first + &rest.collect::<String>()).replace('\r', "")
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal); // it may be gone
}

/// Waits until no signal of this kind waits for a thread of a process to take it.
pub(crate) fn until_taken(pid: i32, signal: Signal) {
    let until = Instant::now() + patience();
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let waiting = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
        if u64::from_str_radix(waiting.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) == 0 {
            return;
        }
        assert!(Instant::now() < until, "process {pid} did not take {signal:?}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

fn shown(pid: i32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).replace('\0', " ")
}

/// Has a command lead a session whose terminal is its standard input, with the keyboard's signals at their defaults:
/// tests that run in the background have them ignored.
#[allow(unsafe_code)]
fn as_session(mut command: Command) -> Command {
    let lead = || {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(std::io::stdin())?;
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: it takes a plain number, and the default action is not a function of this program.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between `fork` and `exec` this makes system calls only.
    unsafe { command.pre_exec(lead) };
    command
}

/// The shell's.
pub(crate) const PROMPT: &str = "the-shell$ ";

/// The end of what an actor is shown with, in front of its first prompt.
pub(crate) const SHOWN: &str = "`help` lists the commands";
