//! A program at a terminal: what it has drawn, keys, signals, sizes, and what it leaves.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use pleach_patience::patience;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Parser, Screen};

/// A terminal with a program. Dropping it kills that.
pub(crate) struct Terminal {
    controller: File,
    /// Held so that its modes can be read after the end of the program.
    line: OwnedFd,
    child: Child,
    drawn: Arc<Drawn>,
    reader: Option<JoinHandle<()>>,
}

/// What is on the screen.
struct Drawn {
    parser: Mutex<Parser>,
    changed: Condvar,
}

impl Terminal {
    /// Starts a program in a session of its own, whose terminal this is.
    pub(crate) fn start(program: &Command, rows: u16, columns: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let line = open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&line, size(rows, columns)).unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.current_dir(program.get_current_dir().unwrap()).env("TERM", "xterm-256color");
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let drawn = Arc::new(Drawn { parser: Mutex::new(Parser::new(rows, columns, 0)), changed: Condvar::new() });
        let controller = File::from(controller);
        let (mut reading, screen) = (controller.try_clone().unwrap(), drawn.clone());
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reading.read(&mut buffer) {
                screen.parser.lock().unwrap().process(&buffer[..read]);
                screen.changed.notify_all();
            }
        });
        Self { controller, line, child, drawn, reader: Some(reader) }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.drawn.parser.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.line, size(rows, columns)).unwrap();
    }

    /// Waits until the screen is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let until = Instant::now() + patience();
        let mut parser = self.drawn.parser.lock().unwrap();
        while !is_so(parser.screen()) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} never came:\n{}", parser.screen().contents());
            parser = self.drawn.changed.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits until this text is on the screen.
    pub(crate) fn until_shown(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.drawn.parser.lock().unwrap().screen().contents().lines().map(str::to_owned).collect()
    }

    /// The modes of the terminal, as `stty -a` has them.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.line).unwrap()
    }

    /// Waits for the end of the program.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + patience();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it has not ended:\n{}", self.lines().join("\n"));
            thread::yield_now();
        }
    }

    /// Asserts that the terminal is as a program should leave it.
    pub(crate) fn assert_restored(&self, modes: &Termios) {
        self.until("the main screen, with a cursor", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        assert_eq!(format!("{:?}", self.modes()), format!("{modes:?}"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
        // The reader ends with the last holder of the line.
        self.line = File::open("/dev/null").unwrap().into();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn size(ws_row: u16, ws_col: u16) -> Winsize {
    Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }
}
