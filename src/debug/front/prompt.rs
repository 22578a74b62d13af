//! The prompt for one actor: a line is read, and answered here or in the process concerned, until that goes on.
//!
//! # Invariants
//! 1. The end of the actor's process ends the prompt at once, also while the user types.
//! 2. An interrupt at the prompt ends nothing: it gives up a command that waits for its answer.

use std::convert::identity;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::editor::{Editor, Typed};
use super::native;
use super::screen::Screen;
use super::tree;
use crate::debug::commands::{COMMANDS, Command, find};
use crate::debug::source;
use crate::inspect::stops::{self, GoesOn, Said, Stop, Told, Why};
use crate::inspect::transfer::Transfer;
use crate::os::signals;
use crate::os::terminal::Held;

/// Shows an actor on the terminal until it goes on, or is gone.
pub(in crate::debug) fn on(terminal: &Held, stop: &Stop, mut actor: Transfer) -> GoesOn {
    let granted = actor.send(&Told::Granted { by: stop.is_near().then(std::process::id) });
    let (Ok(()), Ok(output), Ok(mut editor), Ok(listening)) =
        (granted, terminal.file(), Editor::open(), actor.try_clone())
    else {
        return GoesOn::Continued; // it is gone; or files have run out, and it goes on when its connection ends
    };
    let ((said_here, said), waker) = (sync_channel(QUEUED), editor.waker());
    let has_gone = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| waker.run());
        threads.spawn(|| {
            listen(listening, &said_here);
            has_gone.store(true, Ordering::Release);
            waker.wake();
        });
        let screen = Screen::divert(waker.clone());
        let mut prompt = Prompt { terminal, stop, actor, said, output, screen, has_gone: &has_gone, number: 0 };
        let goes_on = prompt.run(&mut editor);
        prompt.end();
        waker.end();
        goes_on
    })
}

/// Passes on what an actor says, until it has nothing more to say.
fn listen(mut actor: Transfer, said: &SyncSender<Said>) {
    while let Ok(message) = actor.receive(MAX_ANSWER) {
        if said.send(message).is_err() {
            return;
        }
    }
}

struct Prompt<'a> {
    terminal: &'a Held,
    stop: &'a Stop,
    actor: Transfer,
    said: Receiver<Said>,
    output: File,
    screen: Screen,
    has_gone: &'a AtomicBool,
    /// Of the last command.
    number: u64,
}

impl Prompt<'_> {
    fn run(&mut self, editor: &mut Editor) -> GoesOn {
        self.introduce();
        loop {
            self.show_lines();
            if self.has_gone() {
                return self.note_gone();
            }
            let line = match editor.read(&format!("(pleach) {}> ", self.name()), &self.output) {
                Typed::Line(line) => line,
                Typed::Woken => continue,
                Typed::Interrupt => {
                    self.print("(Ctrl-C ends nothing here: `continue` goes on, `quit` ends the program)");
                    continue;
                }
                Typed::End => "continue".into(),
            };
            if let Some(goes_on) = self.carry_out(line.trim()) {
                return goes_on;
            }
        }
    }

    /// Shows what the other actors have written.
    fn show_lines(&mut self) {
        let lines = self.screen.take();
        let _ = self.output.write_all(lines.as_bytes()); // a terminal that hung up shows nothing
    }

    /// Carries a command out; returns how the actor goes on, if it does.
    fn carry_out(&mut self, line: &str) -> Option<GoesOn> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match find(word).filter(|_| !word.is_empty()).map(|command| command.name) {
            None if word.is_empty() => {}
            Some("help") => self.print(&help(rest.trim())),
            Some("log") => self.print(&self.screen.last(rest.trim().parse().unwrap_or(LOG_LINES))),
            Some("tree") => self.print(&tree::drawn(self.stop).unwrap_or_else(identity)),
            Some("actors") => self.print(&tree::table(self.stop).unwrap_or_else(identity)),
            Some(debugger @ ("gdb" | "lldb")) => {
                let ran = native::run(debugger, self.terminal, self.stop);
                self.terminal.take_back();
                ran.unwrap_or_else(|why| self.print(&why));
            }
            _ => return self.ask(line),
        }
        None
    }

    /// Has a command answered in the process concerned.
    fn ask(&mut self, line: &str) -> Option<GoesOn> {
        if line.len() > MAX_LINE {
            self.print(&format!("a command has at most {MAX_LINE} bytes"));
            return None;
        }
        self.number += 1;
        signals::take_interrupt();
        let command = Told::Command { number: self.number, line: line.into() };
        if self.actor.send(&command).is_err() {
            return None; // it is gone, as will be noticed
        }
        loop {
            match self.said.recv_timeout(LOOK_AGAIN) {
                Ok(Said::GoesOn(how)) => return Some(how),
                Ok(Said::Answer { number, text }) if number == self.number => {
                    self.print(&text);
                    return None;
                }
                Ok(Said::Answer { .. }) => {} // to a command that was given up
                Err(RecvTimeoutError::Timeout) if signals::take_interrupt() => {
                    let _ = self.actor.send(&Told::GivenUp); // if it is gone, that will be noticed
                    self.print("(interrupted: its answer will be dropped)");
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn introduce(&mut self) {
        let Stop { why, message, place, .. } = self.stop;
        let what = match why {
            Why::Paused => "pauses".to_owned(),
            Why::Panicked => format!("panicked: {message}"),
            Why::Failed => format!("failed: {message}"),
            Why::PostMortem => format!("post-mortem: {message}"),
        };
        self.print(&format!("\n── {} ({}) {what}", self.stop.shown_path(), self.stop.shown_process()));
        if let Some(place) = place {
            self.print(&format!("   at {place}"));
            let line = source::line(place).map(|line| format!("   {:>5} -> {line}", place.line));
            line.into_iter().for_each(|line| self.print(&line));
        }
        match stops::count() {
            0 => self.print("   `help` lists the commands"),
            1 => self.print("   another one is waiting; `help` lists the commands"),
            others => self.print(&format!("   {others} others are waiting; `help` lists the commands")),
        }
    }

    fn note_gone(&mut self) -> GoesOn {
        self.print(&format!("── {} ({}) is gone", self.stop.shown_path(), self.stop.shown_process()));
        GoesOn::Continued
    }

    fn has_gone(&self) -> bool {
        self.has_gone.load(Ordering::Acquire)
    }

    fn name(&self) -> &str {
        self.stop.path.last().map_or("?", |actor| actor.name())
    }

    fn print(&mut self, text: &str) {
        let _ = writeln!(self.output, "{text}"); // a terminal that hung up shows nothing
    }

    /// Ends the connection, and with it the thread that listens.
    fn end(self) {
        self.actor.shut_down();
    }
}

/// Explains one command, or lists all.
fn help(word: &str) -> String {
    if let Some(Command { name, arguments, brief, more }) = find(word).filter(|_| !word.is_empty()) {
        return format!("{} ({brief})\n{more}", format!("{name} {arguments}").trim_end());
    }
    let mut text = String::from(
        "A part of your program stands still, in a process of its own; the rest of the tree waits for it without losing \
         patience, and goes on otherwise. You can look around, and then let it go on:\n",
    );
    for Command { name, arguments, brief, .. } in COMMANDS {
        text.push_str(&format!("\n  {:<16} {brief}", format!("{name} {arguments}")));
    }
    text + "\n\nThe beginning of a name is enough (`c`, `l`, `b`); `help COMMAND` tells more."
}

/// Answers that may wait for the prompt.
const QUEUED: usize = 16;

/// How often to look for an interrupt while an answer is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The largest answer, in bytes: a stack may be long.
const MAX_ANSWER: usize = 16 << 20;

/// The longest command, in bytes.
const MAX_LINE: usize = 32 << 10;

/// How many lines `log` shows.
const LOG_LINES: usize = 20;
