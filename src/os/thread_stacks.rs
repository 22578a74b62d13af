//! The stacks of this process's threads, also of those that never return to a loop of ours.
//!
//! A thread is interrupted by a signal whose handler walks its stack into a fixed array. The handler is installed for
//! that moment alone, for a signal that the program has left alone and that is ignored by default: one that comes late
//! does nothing. A handler of the user is never replaced.
//!
//! # Invariants
//! 1. The handler neither allocates nor locks, and keeps `errno`. It writes only after it has taken the request, of which
//!    there is one at a time.
//! 2. The handler runs on the stack of the thread. The alternate one of the standard library has 8 KiB, of which the
//!    registers of a wide processor take 3 and more: too little for the unwinder.
//! 3. A system call that is interrupted is started again, where the system does that (`SA_RESTART`).

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::frames::{self, MAX_FRAMES};
use crate::sync::lock;

/// A thread, and where it is.
pub(crate) struct ThreadStack {
    pub(crate) id: i32,
    pub(crate) name: String,
    /// The innermost frame first; `None` if the thread did not answer: it blocks the signal, or waits in the kernel.
    pub(crate) frames: Option<Vec<u64>>,
}

/// Interrupts the threads whose names are wanted, at most `most` of them, and waits `bound` for each; `None` if the program
/// handles all the signals that would do.
pub(crate) fn take(
    is_wanted: impl Fn(&str) -> bool,
    most: usize,
    bound: impl Fn() -> Duration,
) -> Option<Vec<ThreadStack>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = lock(&ONE_AT_A_TIME);
    frames::here(); // its first walk may initialise the unwinder
    let handler = Handler::install()?;
    let own = own_id();
    let others = threads().into_iter().filter(|(id, name)| *id != own && is_wanted(name));
    let stack = |(id, name)| ThreadStack { id, name, frames: handler.stack_of(id, bound()) };
    Some(others.take(most).map(stack).collect())
}

/// Returns the threads of this process, by id and name.
fn threads() -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let id_of = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let named = |id| Some((id, fs::read_to_string(format!("/proc/self/task/{id}/comm")).ok()?.trim_end().to_owned()));
    entries.flatten().filter_map(id_of).filter_map(named).collect()
}

/// The installed handler. Dropping it puts back what was there before.
struct Handler {
    signal: i32,
    before: libc::sigaction,
}

#[expect(unsafe_code, reason = "the standard library knows no signals")]
impl Handler {
    /// Installs it for the first signal that the program does not handle.
    fn install() -> Option<Self> {
        SIGNALS.into_iter().find_map(|signal| {
            // SAFETY: all zeros is a valid `sigaction`, which is filled in; the handler is of the type that is expected.
            unsafe {
                let mut ours: libc::sigaction = std::mem::zeroed();
                ours.sa_sigaction = handle as *const () as usize;
                ours.sa_flags = libc::SA_RESTART;
                let mut before: libc::sigaction = std::mem::zeroed();
                let installed = libc::sigaction(signal, &raw const ours, &raw mut before) == 0;
                let handler = installed.then_some(Self { signal, before })?;
                // If it was the user's after all, dropping ours puts it back.
                matches!(before.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN).then_some(handler)
            }
        })
    }

    fn stack_of(&self, thread: i32, bound: Duration) -> Option<Vec<u64>> {
        // A walk that has ended too late to be waited for.
        let _ = REQUEST.compare_exchange(DONE, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if REQUEST.compare_exchange(IDLE, thread, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return None; // an earlier walk has never ended
        }
        // SAFETY: it takes three numbers. The thread is one of this process, or is not there any more.
        unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, self.signal) };
        let until = Instant::now() + bound;
        while REQUEST.load(Ordering::Acquire) != DONE {
            if Instant::now() >= until {
                // If it is walking by now, the walk keeps the array, and later requests are refused until it ends.
                let _ = REQUEST.compare_exchange(thread, IDLE, Ordering::AcqRel, Ordering::Acquire);
                return None;
            }
            std::thread::park_timeout(PAUSE);
        }
        let count = COUNT.load(Ordering::Relaxed);
        let frames = FRAMES[..count].iter().map(|frame| frame.load(Ordering::Relaxed) as u64).collect();
        REQUEST.store(IDLE, Ordering::Release);
        Some(frames)
    }
}

#[expect(unsafe_code, reason = "the standard library knows no signals")]
impl Drop for Handler {
    fn drop(&mut self) {
        // SAFETY: `before` is what the system has returned, and `current` is filled in.
        unsafe {
            let mut current: libc::sigaction = std::mem::zeroed();
            libc::sigaction(self.signal, &raw const self.before, &raw mut current);
            if current.sa_sigaction != handle as *const () as usize {
                // The user has installed one meanwhile.
                libc::sigaction(self.signal, &raw const current, std::ptr::null_mut());
            }
        }
    }
}

/// The handler. It may be called without a request too: by a signal that comes from elsewhere, or late.
#[expect(unsafe_code, reason = "the standard library knows no signals")]
extern "C" fn handle(_signal: i32) {
    // SAFETY: the location is that of this thread, and always valid.
    let errno = unsafe { *libc::__errno_location() };
    if REQUEST.compare_exchange(own_id(), WALKING, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        let mut frames = [0; MAX_FRAMES];
        let count = frames::walk(&mut frames);
        FRAMES.iter().zip(frames).for_each(|(to, frame)| to.store(frame, Ordering::Relaxed));
        COUNT.store(count, Ordering::Relaxed);
        REQUEST.store(DONE, Ordering::Release);
    }
    // SAFETY: see above.
    unsafe { *libc::__errno_location() = errno };
}

#[expect(unsafe_code, reason = "the calls of rustix are not documented to be async-signal-safe")]
fn own_id() -> i32 {
    // SAFETY: it takes nothing, and can't fail.
    unsafe { libc::gettid() }
}

/// The thread that is to answer, or one of the following.
static REQUEST: AtomicI32 = AtomicI32::new(IDLE);
const IDLE: i32 = 0;
const WALKING: i32 = -1;
const DONE: i32 = -2;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static FRAMES: [AtomicUsize; MAX_FRAMES] = [const { AtomicUsize::new(0) }; MAX_FRAMES];

/// Those that do nothing by default: when the handler is gone, a late one does no harm.
const SIGNALS: [i32; 2] = [libc::SIGURG, libc::SIGWINCH];

/// Between two looks for an answer.
const PAUSE: Duration = Duration::from_micros(200);

#[cfg(test)]
#[expect(unsafe_code, reason = "the standard library knows no signals")]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::os::signals;

    static CAME: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn of_the_user(_signal: i32) {
        CAME.fetch_add(1, Ordering::Relaxed);
    }

    fn handler_of(signal: i32) -> usize {
        signals::action_of(signal).unwrap().sa_sigaction
    }

    fn handle_by(signal: i32, handler: usize) {
        // SAFETY: it is the default, or a handler that adds to a number.
        unsafe { libc::signal(signal, handler) };
    }

    fn takes(name: &str) -> Option<Vec<ThreadStack>> {
        take(|found| found == name, 9, pleach_patience::patience)
    }

    // SEC-25
    /// One test, as handlers belong to the whole process.
    #[test]
    fn threads_are_interrupted_by_a_signal_that_is_free_and_handlers_stay_as_they_were() {
        let stop = AtomicBool::new(false);
        let user = of_the_user as *const () as usize;
        thread::scope(|scope| {
            let busy = || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            let waiting = || {
                while !stop.load(Ordering::Relaxed) {
                    thread::park();
                }
            };
            thread::Builder::new().name("seen-busy".into()).spawn_scoped(scope, busy).unwrap();
            let parked = thread::Builder::new().name("seen-waiting".into()).spawn_scoped(scope, waiting).unwrap();
            let [first, second] = SIGNALS;
            for (handled, told) in [(&[][..], true), (&[first][..], true), (&[first, second][..], false)] {
                handled.iter().for_each(|signal| handle_by(*signal, user));
                for name in ["seen-busy", "seen-waiting"] {
                    let seen = takes(name);
                    assert_eq!(seen.is_some(), told, "{handled:?}");
                    for thread in seen.into_iter().flatten() {
                        assert!(thread.frames.unwrap().len() > 3, "{name}");
                    }
                }
                for signal in SIGNALS {
                    let left = if handled.contains(&signal) { user } else { libc::SIG_DFL };
                    assert_eq!(handler_of(signal), left);
                }
            }
            // SAFETY: the user's handler adds to a number.
            unsafe { libc::raise(first) };
            assert_eq!(CAME.load(Ordering::Relaxed), 1, "the user's handler gets its own signals only");
            SIGNALS.into_iter().for_each(|signal| handle_by(signal, libc::SIG_DFL));
            handle(first); // late, from elsewhere: nothing is asked
            assert_eq!(REQUEST.load(Ordering::Relaxed), IDLE);
            stop.store(true, Ordering::Relaxed);
            parked.thread().unpark();
        });
        assert_eq!(takes("no such thread").map(|threads| threads.len()), Some(0));
    }
}
