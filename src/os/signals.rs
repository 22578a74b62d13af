//! Signals that end a program or an actor: taken by a thread of their own, whatever the async runtime does.
//!
//! ```text
//! signal ─► handler ─► pipe ─► thread ─┬─ the program finishes its work first ─► it is told, once
//!                                      ├─ the first, and there are listeners ─► the listeners end in order
//!                                      ├─ an interrupt, and a debugger has the terminal ─► it gives up its command
//!                                      ├─ within REPEAT of that ─► the same signal: nothing
//!                                      └─ any other ─► the process ends at once
//! ```
//! The handler writes a few bytes and returns. So no signal is ever blocked, and children of this process inherit
//! neither a mask nor a handler. Signals that the launcher had ignored stay ignored (SIGTERM excepted), here and below.
//!
//! # Invariants
//! 1. The thread waits for nothing but the pipe: not for the runtime, a lock of its tasks, a subscriber, or
//!    standard error (beyond a bound).
//! 2. From the moment in which signals are taken to the end of the process, one of them is never without effect, but
//!    an interrupt while the program is being debugged.

use std::future::poll_fn;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::terminal;
use crate::error::signal_name;
use crate::holds;
use crate::telemetry::{last_words, stderr};

/// Listens for the first signal. While one of these is held, there is something that can end in order.
#[derive(Clone, Debug)]
pub(crate) struct Signals(watch::Receiver<Option<i32>>);

impl Signals {
    /// Takes the signals of this process, from now to its end.
    ///
    /// If the system refuses that, they keep their default action: the process ends at once.
    pub(crate) fn take(whose: Whose) -> Self {
        Self(Listeners::of_process(whose).ending.subscribe())
    }

    /// Has the first signal told to this listener only, as long as it is held: the program finishes its work. The one
    /// after that is the first for all others. In an actor, no signal is told so: its parent decides how it ends.
    pub(crate) fn take_first_for_finishing() -> Self {
        Self(Listeners::of_process(Whose::Program).finishing.subscribe())
    }

    /// Returns the signal that has come, if one has.
    pub(crate) fn came(&self) -> Option<i32> {
        *self.0.borrow()
    }

    /// Waits for a signal and returns its number; at once, if one has come.
    ///
    /// All listeners agree: once one of them has seen a signal, each of the others sees it at its next poll.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn first(&mut self) -> i32 {
        let this = self.clone();
        let mut told = std::pin::pin!(self.0.wait_for(Option::is_some));
        // The channel wakes its receivers one after the other, and a receiver that was not woken yet does not look.
        poll_fn(|cx| {
            if this.came().is_none() && told.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.came().map_or(Poll::Pending, Poll::Ready) // never pending here: the sender is never dropped
        })
        .await
    }

    /// As [`first`](Self::first); for ever where there are none to listen for.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn first_of(signals: &mut Option<Self>) -> i32 {
        match signals {
            Some(signals) => signals.first().await,
            None => std::future::pending().await,
        }
    }
}

/// The listeners of this process, by what they do first; each is told of one signal.
#[derive(Clone, Debug, Default)]
struct Listeners {
    /// Those that finish their work.
    finishing: watch::Sender<Option<i32>>,
    /// Those that end in order.
    ending: watch::Sender<Option<i32>>,
}

impl Listeners {
    /// Takes the signals of this process, if that was not done before.
    fn of_process(whose: Whose) -> &'static Self {
        static TAKEN: OnceLock<Listeners> = OnceLock::new();
        let mut fault = None;
        let listeners = TAKEN.get_or_init(|| {
            let listeners = Self::default();
            fault = start(listeners.clone(), whose).err();
            listeners
        });
        if let Some(error) = fault {
            warn!(target: "pleach::cancel", %error, "signals keep their default action");
        }
        listeners
    }
}

/// The receiver of the signals: it decides how an immediate end looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A program's: it exits with 128 plus the signal's number, as shells have it.
    Program,
    /// An actor's: it dies of the signal, as its parent will see.
    Actor,
}

impl Whose {
    fn leave_at_once(self, signal: i32) -> ! {
        let name = signal_name(signal);
        terminal::put_back();
        stderr::offer(format!("interrupted by {name} again: leaving without clean-up\n").into());
        last_words::wait_a_moment();
        match self {
            Self::Program => exit_unconditionally(128 + signal),
            Self::Actor => die_of(signal),
        }
    }
}

/// Ends this process by a signal, after everything in it has ended: its parent sees which.
#[allow(unsafe_code)]
pub(crate) fn die_of(signal: i32) -> ! {
    if signal == libc::SIGQUIT {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none); // then it leaves a core file
    }
    // SAFETY: both calls take plain numbers, and the default action is not a function of this program.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    exit_unconditionally(128 + signal) // the thread blocks that signal
}

/// Ends this process, whatever its threads hold: nothing of the program's own runs any more.
#[allow(unsafe_code)]
fn exit_unconditionally(code: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Installs the handlers and starts the thread.
fn start(listeners: Listeners, whose: Whose) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&writer, true)?; // a handler never waits
    let (writer, epoch) = (Arc::new(writer), Instant::now());
    std::thread::Builder::new().name("pleach-signals".into()).spawn(move || listen(reader, &listeners, whose))?;
    for signal in ENDING.into_iter().filter(|signal| *signal == libc::SIGTERM || !is_ignored(*signal)) {
        handle(signal, writer.clone(), epoch)?;
    }
    Ok(())
}

/// Has a handler write each signal, and its time, into the pipe.
#[allow(unsafe_code)]
fn handle(signal: i32, pipe: Arc<PipeWriter>, epoch: Instant) -> io::Result<()> {
    let own = std::process::id();
    let handler = move |info: &libc::siginfo_t| {
        if std::process::id() != own {
            // A process that was forked off this one has the handler too, but not its thread.
            // SAFETY: both functions are async-signal-safe, and take plain numbers.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal); // delivered when this handler returns
            }
            return;
        }
        let _ = rustix::io::write(
            &*pipe,
            &Came { signal, at: epoch.elapsed(), to_thread: info.si_code == libc::SI_TKILL }.to_bytes(),
        ); // full: many have come
    };
    // SAFETY: the handler makes system calls only (getpid, clock_gettime, write). It does not allocate, lock or panic.
    unsafe { signal_hook_registry::register_sigaction(signal, handler) }.map(drop)
}

/// Returns whether the launcher of this process had it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    action_of(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

/// Returns what this process does about a signal; `None` if there is none of this number.
#[allow(unsafe_code)]
pub(super) fn action_of(signal: i32) -> Option<libc::sigaction> {
    // SAFETY: all zeros is a valid `sigaction`, and the call only fills it in.
    unsafe {
        let mut current = std::mem::zeroed::<libc::sigaction>();
        (libc::sigaction(signal, std::ptr::null(), &mut current) == 0).then_some(current)
    }
}

/// Returns whether an interrupt has come that was meant for the debugger, once.
pub(crate) fn take_interrupt() -> bool {
    INTERRUPTED.swap(false, Ordering::AcqRel)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The thread's loop.
fn listen(mut pipe: PipeReader, listeners: &Listeners, whose: Whose) {
    let (mut seen, mut bytes) = (Seen::default(), [0; Came::SIZE]);
    // The handlers hold the other end for as long as the process lives.
    while pipe.read_exact(&mut bytes).is_ok() {
        let came = Came::from_bytes(bytes);
        if came.signal == libc::SIGINT && (terminal::is_held() || holds::stands_still()) {
            if !came.to_thread {
                INTERRUPTED.store(true, Ordering::Release);
            }
            continue;
        }
        let can_finish = whose == Whose::Program && listeners.finishing.receiver_count() > 0;
        match seen.judge(came.at, can_finish, listeners.ending.receiver_count() > 0) {
            Verdict::Finish => drop(listeners.finishing.send_replace(Some(came.signal))),
            Verdict::Ask => drop(listeners.ending.send_replace(Some(came.signal))),
            Verdict::Repeat => {}
            Verdict::Leave => whose.leave_at_once(came.signal),
        }
    }
}

/// A signal as it goes through the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Came {
    signal: i32,
    at: Duration,
    /// Whether a thread of this process has sent it to another: the debugger wakes its line editor so.
    to_thread: bool,
}

impl Came {
    const SIZE: usize = 13;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0] = self.to_thread.into();
        bytes[1..5].copy_from_slice(&self.signal.to_ne_bytes());
        bytes[5..].copy_from_slice(&(self.at.as_millis() as u64).to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [to_thread, a, b, c, d, at @ ..] = bytes;
        let (signal, at) = (i32::from_ne_bytes([a, b, c, d]), Duration::from_millis(u64::from_ne_bytes(at)));
        Self { signal, at, to_thread: to_thread != 0 }
    }
}

/// The signals that have had an effect.
#[derive(Debug, Default)]
struct Seen {
    /// When the last one came.
    last: Option<Duration>,
    asked: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Finish,
    Ask,
    Repeat,
    Leave,
}

impl Seen {
    /// Judges a signal. `can_finish` says whether the program finishes its work first, and `can_ask` whether there is
    /// something that can end in order.
    fn judge(&mut self, at: Duration, can_finish: bool, can_ask: bool) -> Verdict {
        let verdict = match self.last {
            Some(last) if at.saturating_sub(last) < REPEAT => return Verdict::Repeat,
            None if can_finish => Verdict::Finish,
            _ if can_ask && !self.asked => Verdict::Ask,
            _ => return Verdict::Leave,
        };
        self.last = Some(at);
        self.asked |= verdict == Verdict::Ask;
        verdict
    }
}

/// The signals that end a program or an actor.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// A signal so soon after the first is the same one: `timeout` and terminals send to a process and to its
/// group, a service manager may send SIGHUP after SIGTERM. A user can't press a key twice that fast.
const REPEAT: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_asks_a_repeat_is_nothing_and_the_second_ends() {
        let at = Duration::from_millis;
        let mut seen = Seen::default();
        let verdicts = [1000, 1001, 1199, 1200].map(|time| seen.judge(at(time), false, true));
        assert_eq!(verdicts, [Verdict::Ask, Verdict::Repeat, Verdict::Repeat, Verdict::Leave]);
    }

    #[test]
    fn one_more_is_needed_where_the_work_is_finished_first() {
        let at = Duration::from_millis;
        let mut seen = Seen::default();
        let verdicts = [1000, 1199, 1200, 1300, 1400].map(|time| seen.judge(at(time), true, true));
        assert_eq!(verdicts, [Verdict::Finish, Verdict::Repeat, Verdict::Ask, Verdict::Repeat, Verdict::Leave]);
        // Once others have been asked to end, it is too late to finish.
        let mut seen = Seen::default();
        assert_eq!(seen.judge(at(0), false, true), Verdict::Ask);
        assert_eq!(seen.judge(at(200), true, true), Verdict::Leave);
    }

    #[test]
    fn where_nothing_can_end_in_order_the_first_ends_the_process() {
        let mut seen = Seen::default();
        assert_eq!(seen.judge(Duration::ZERO, false, false), Verdict::Leave);
        assert_eq!(seen.judge(Duration::ZERO, false, true), Verdict::Ask);
        assert_eq!(seen.judge(REPEAT, false, false), Verdict::Leave);
    }

    /// Which of several waits is woken first is random: each must see a signal that one has seen.
    #[test]
    fn all_who_listen_have_it_once_one_has() {
        use std::pin::pin;
        use std::task::{Context, Waker};

        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2000 {
            let (came, listens) = watch::channel(None);
            let mut all = vec![Signals(listens); 8];
            let (first, others) = all.split_first_mut().expect("there are eight");
            let mut first = pin!(first.first());
            let mut others: Vec<_> = others.iter_mut().map(|other| Box::pin(other.first())).collect();
            assert!(others.iter_mut().all(|other| other.as_mut().poll(&mut cx).is_pending()));
            let sent = std::thread::spawn(move || came.send_replace(Some(libc::SIGTERM)));
            while first.as_mut().poll(&mut cx).is_pending() {}
            assert!(others.iter_mut().all(|other| other.as_mut().poll(&mut cx).is_ready()));
            sent.join().expect("sending does not panic");
        }
    }

    #[test]
    fn a_signal_passes_the_pipe_unchanged() {
        let came = Came { signal: libc::SIGTERM, at: Duration::from_millis(1 << 40), to_thread: true };
        assert_eq!(Came::from_bytes(came.to_bytes()), came);
    }
}
