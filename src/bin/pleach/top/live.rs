//! Looks, keys and signals, as they come.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::Command;
use super::rows::Row;
use super::screen::Screen;
use super::view::{Action, View};
use crate::trees::Found;
use crate::trees::rates::Rates;

/// Shows the trees until the user ends it.
///
/// # Errors
/// When the terminal can't be used.
pub(super) fn run(command: Command, first: Found) -> anyhow::Result<ExitCode> {
    let tokio = Builder::new_current_thread().enable_all().build()?;
    let ended = tokio.block_on(async { Live::begin(command, first)?.until_end().await });
    tokio.shutdown_background(); // a look may take two seconds more
    ended
}

struct Live {
    view: View,
    before: Found,
    tree: Option<String>,
    interval: Duration,
    signals: Signals,
    screen: Screen,
}

/// A look that is under way, and since when.
type Looking = Option<(Instant, JoinHandle<anyhow::Result<Found>>)>;

impl Live {
    fn begin(command: Command, first: Found) -> anyhow::Result<Self> {
        let mut view = View::new(command.sort, command.filter);
        view.take(Row::all(&first, &Rates::default()), Vec::new());
        let signals = Signals::caught()?; // before the terminal is taken
        let screen = Screen::take()?;
        let (tree, interval) = (command.tree, command.interval);
        Ok(Self { view, before: first, tree, interval, signals, screen })
    }

    async fn until_end(mut self) -> anyhow::Result<ExitCode> {
        let mut keys = EventStream::new();
        let mut looking: Looking = None;
        let mut next = Instant::now() + SECOND_LOOK.min(self.interval);
        loop {
            self.screen.draw(&mut self.view)?;
            tokio::select! {
                biased;
                caught = self.signals.next() => match caught {
                    Caught::Ended(signal) => return Ok(ExitCode::from(BY_SIGNAL.saturating_add(signal))),
                    Caught::Stop => self.screen.suspend()?,
                    Caught::Continued => self.screen.take_again()?,
                },
                event = keys.next() => match event.map(|event| event.map(|event| self.press(&event))) {
                    None => return Ok(ExitCode::SUCCESS),
                    Some(Ok(Action::Quit)) => return Ok(ExitCode::SUCCESS),
                    Some(Ok(Action::Suspend)) => self.screen.suspend()?,
                    Some(Ok(Action::Redraw)) => {}
                    Some(Err(error)) => return Err(error.into()),
                },
                found = done(&mut looking) => next = Instant::now() + self.take(found).max(self.interval),
                () = sleep_until(next), if looking.is_none() => {
                    let tree = self.tree.clone();
                    looking = Some((Instant::now(), tokio::task::spawn_blocking(move || Found::now(tree.as_deref()))));
                }
            }
        }
    }

    /// Takes in a look; returns how long the next one should wait for the sake of the actors, if that took long.
    fn take(&mut self, (took, found): (Duration, anyhow::Result<Found>)) -> Duration {
        let mut pause = took * PAUSE;
        match found {
            Ok(mut found) => {
                self.view.problem = None;
                let silent = std::mem::take(&mut found.silent);
                if !silent.is_empty() {
                    pause = Duration::ZERO; // what took long was waiting
                }
                self.view.take(Row::all(&found, &Rates::between(&self.before, &found)), silent);
                self.before = found;
            }
            Err(error) => {
                self.view.problem = Some(format!("{error:#}"));
                self.view.take(Vec::new(), Vec::new());
            }
        }
        pause
    }

    fn press(&mut self, event: &Event) -> Action {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.view.press(*key),
            _ => Action::Redraw, // the terminal has another size
        }
    }
}

/// Waits for a look to end; for ever, if there is none.
async fn done(looking: &mut Looking) -> (Duration, anyhow::Result<Found>) {
    let Some((since, look)) = looking else { return std::future::pending().await };
    let (since, found) = (*since, look.await);
    *looking = None;
    (since.elapsed(), found.unwrap_or_else(|error| Err(error.into())))
}

/// The signals that end this, stop it, or let it go on.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    stop: Signal,
    continued: Signal,
}

/// A signal.
enum Caught {
    /// It ends this; its number.
    Ended(u8),
    Stop,
    Continued,
}

impl Signals {
    fn caught() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            continued: signal(SignalKind::from_raw(libc::SIGCONT))?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> Caught {
        let signal = tokio::select! {
            _ = self.hangup.recv() => SignalKind::hangup(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.quit.recv() => SignalKind::quit(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.stop.recv() => return Caught::Stop,
            _ = self.continued.recv() => return Caught::Continued,
        };
        Caught::Ended(signal.as_raw_value() as u8)
    }
}

/// The second look comes soon: there are no rates before it.
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// This many times as long as a look took, the next one waits.
const PAUSE: u32 = 4;

/// Added to the number of a signal, it is the status of a program that this has ended.
const BY_SIGNAL: u8 = 128;
