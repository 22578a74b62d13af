//! The line editor: history over all prompts of this process, completion of commands and functions, and a way to
//! interrupt it for a moment without losing what was typed.
//!
//! The library's own printer above the prompt is not used: with it, the editor takes pasted text one key at a time.
//!
//! # Invariants
//! 1. Only a thread that waits for a key is woken, by a signal that the editor handles then.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use rustyline::completion::Completer;
use rustyline::error::{ReadlineError, Signal};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::{DefaultHistory, History as _, SearchDirection};
use rustyline::validate::Validator;
use rustyline::{Behavior, Config, Context, Helper, Result};

use crate::debug::commands::COMMANDS;
use crate::rpc::export;
use crate::sync::lock;

/// An editor on the terminal of this process.
pub(super) struct Editor {
    editor: rustyline::Editor<Names, DefaultHistory>,
    waker: Arc<Waker>,
    /// What was typed when it was last woken, before the cursor and behind it.
    typed: (String, String),
}

/// What a user has typed.
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the terminal hung up.
    End,
    /// It was woken; the next call goes on with what has been typed.
    Woken,
}

impl Editor {
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn open() -> Result<Self> {
        let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
        let mut editor = rustyline::Editor::with_config(config)?;
        let waker = Arc::new(Waker::default());
        editor.set_helper(Some(Names(waker.clone())));
        for line in &*lock(&HISTORY) {
            editor.add_history_entry(line)?;
        }
        Ok(Self { editor, waker, typed: Default::default() })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Reads a line on `terminal`.
    pub(super) fn read(&mut self, prompt: &str, mut terminal: impl AsFd + io::Write) -> Typed {
        let (before, behind) = std::mem::take(&mut self.typed);
        let read = self.editor.readline_with_initial(prompt, (&before, &behind));
        let (typed, was_woken) = self.waker.end_of_reading();
        match read {
            Ok(line) => Typed::Line(line),
            // The editor does not tell Ctrl-C from the signal that wakes it.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(Signal::Interrupt)) if was_woken => {
                // The editor has left the line as it was, and the cursor below: nothing of it stays.
                let columns = tcgetwinsize(&terminal).map_or(80, |size| size.ws_col.max(1) as usize);
                let above = (prompt.chars().count() + typed.0.chars().count()) / columns + 1;
                let _ = write!(terminal, "\r\x1b[{above}A\x1b[J"); // a terminal that hung up shows nothing
                self.typed = typed;
                Typed::Woken
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Typed::Interrupt,
            Err(_) => Typed::End,
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let history = self.editor.history();
        let first = history.len().saturating_sub(KEPT);
        let lines = (first..history.len()).filter_map(|at| history.get(at, SearchDirection::Forward).ok().flatten());
        *lock(&HISTORY) = lines.map(|line| line.entry.into_owned()).collect();
    }
}

/// Wakes the thread that reads a line.
#[derive(Default)]
pub(super) struct Waker {
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Default)]
struct State {
    /// The thread that waits for a key.
    reads: Option<libc::pthread_t>,
    typed: (String, String),
    is_wanted: bool,
    ended: bool,
}

impl Waker {
    /// Wakes the reader, now or when it is about to wait again.
    pub(super) fn wake(&self) {
        self.state().is_wanted = true;
        self.wanted.notify_one();
    }

    /// Ends [`run`](Self::run).
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.wanted.notify_one();
    }

    /// Carries out the wake-ups, until the end; on a thread of its own.
    pub(super) fn run(&self) {
        let mut state = self.state();
        while !state.ended {
            match state.reads.filter(|_| state.is_wanted) {
                Some(thread) => {
                    interrupt(thread);
                    // It may have been just about to wait: then once more.
                    state = self.wanted.wait_timeout(state, AGAIN).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Notes what has been typed so far: the calling thread is about to wait for the next key.
    fn note_typed(&self, line: &str, at: usize) {
        let mut state = self.state();
        state.typed = (line[..at].into(), line[at..].into());
        // SAFETY of its use: the thread lives while it reads, and `end_of_reading` comes before its end.
        state.reads = Some(this_thread());
        if state.is_wanted {
            self.wanted.notify_one();
        }
    }

    /// Returns what had been typed, and whether the thread was to be woken.
    fn end_of_reading(&self) -> ((String, String), bool) {
        let mut state = self.state();
        state.reads = None;
        (std::mem::take(&mut state.typed), std::mem::take(&mut state.is_wanted))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[allow(unsafe_code)]
fn this_thread() -> libc::pthread_t {
    // SAFETY: it takes nothing, and always succeeds.
    unsafe { libc::pthread_self() }
}

#[allow(unsafe_code)]
fn interrupt(thread: libc::pthread_t) {
    // SAFETY: the thread is alive: it reads, and takes itself out of the state, which is locked, when it does no more.
    unsafe {
        libc::pthread_kill(thread, libc::SIGINT);
    }
}

/// What can be typed; and what has been.
struct Names(Arc<Waker>);

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let candidates: Vec<String> = match typed.split_once(' ') {
            None => COMMANDS.iter().map(|command| format!("{} ", command.name)).collect(),
            Some(("help", _)) => COMMANDS.iter().map(|command| command.name.into()).collect(),
            Some((call, _)) if "call".starts_with(call) && call.len() > 2 => functions(),
            Some(_) => Vec::new(),
        };
        let word = typed.rfind(' ').map_or(0, |space| space + 1);
        let fits = |candidate: &String| candidate.starts_with(&typed[word..]);
        Ok((word, candidates.into_iter().filter(fits).collect()))
    }
}

fn functions() -> Vec<String> {
    let table = export::table().map(|table| table.values().map(|export| export.name.to_owned()).collect());
    table.unwrap_or_default()
}

impl Hinter for Names {
    type Hint = String;

    // Called before each wait for a key.
    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        self.0.note_typed(line, at);
        None
    }
}

impl Highlighter for Names {
    // Called when only the cursor moves.
    fn highlight_char(&self, line: &str, at: usize, _: CmdKind) -> bool {
        self.0.note_typed(line, at);
        false
    }
}

impl Validator for Names {}
impl Helper for Names {}

/// The lines of former prompts.
static HISTORY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many of them are kept.
const KEPT: usize = 200;

/// How soon to wake a thread again that has not noticed; also the least time between two wake-ups.
const AGAIN: Duration = Duration::from_millis(30);
