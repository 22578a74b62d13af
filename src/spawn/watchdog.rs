//! The end of a child whose parent has died, on a thread of its own.
//!
//! On one host the kernel kills a child when its parent is gone ([`ties`]), but there are ways to make it forget or
//! refuse that. From another host there is only the end of standard input, which may never come over a line that is
//! cut, and the lease ([`crate::proto::failure_detector`]). Each ends the actor in order, as long as its message loop
//! runs; where a task blocks the loop's thread, nothing async does. So this thread watches all of them and, when the
//! orderly end has not come within its bound, kills the process with all that it has started.
//!
//! # Invariants
//! 1. The thread waits for nothing that the actor's other threads hold for long: one short lock, no log. Its last
//!    words go to standard error at once, or not at all.
//! 2. It never outlives the process, and ends only with it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::channel::Channel;
use crate::holds;
use crate::inspect::listener::Listener;
use crate::os::mark::TreeMark;
use crate::os::{marked, ties};
use crate::runtime::actor_spec::ActorSpec;

/// A started watchdog. Dropping it changes nothing: the thread goes on.
pub(super) struct Watchdog(Arc<OnceLock<Channel>>);

impl Watchdog {
    /// Starts to watch standard input, and the parent's process where that is known, and answers at `inspection`; `gone`
    /// tells the actor of the end of either.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        stdin: File,
        parent: Option<OwnedFd>,
        inspection: Option<Listener>,
        gone: CancellationToken,
        spec: &ActorSpec,
    ) -> io::Result<Self> {
        let connected = Arc::new(OnceLock::<Channel>::new());
        let (config, mark) = (&spec.config, spec.mark);
        let mut watched = Watched { stdin, parent, inspection, connected: connected.clone(), look_again: None };
        let bound = match spec.heartbeats {
            true => {
                watched.look_again = Some(config.heartbeat);
                config.ladder()
            }
            false => AT_ONCE,
        };
        let name = spec.name.clone();
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let why = watched.wait_for_end(&gone);
            wait(bound);
            kill_all(
                mark,
                &format!("actor {name} kills itself: {why}, and it has not ended in order within {bound:?}\n"),
            );
        })?;
        Ok(Self(connected))
    }

    /// Watches the lease that the parent holds, too.
    pub(super) fn watch_lease(&self, parent: &Channel) {
        self.0.get_or_init(|| parent.clone());
    }
}

/// The sign of the parent's death.
struct Watched {
    stdin: File,
    /// Readable when that process has ended. Another process may hold the other end of standard input, too.
    parent: Option<OwnedFd>,
    /// Where other processes ask what this one does: no business of the watchdog, but it waits anyway.
    inspection: Option<Listener>,
    connected: Arc<OnceLock<Channel>>,
    /// How soon to look for a lease again before there is one; nothing, if there will be none.
    look_again: Option<Duration>,
}

impl Watched {
    /// Waits until the parent has died, or the lease has expired; returns which.
    fn wait_for_end(&mut self, gone: &CancellationToken) -> &'static str {
        loop {
            // Also after each signal: the C library changes the credentials of all threads by one.
            ties::die_with_parent();
            if holds::stands_still() {
                self.connected.get().into_iter().for_each(Channel::put_off_watch); // nothing answers heartbeats meanwhile
            }
            let left = match self.connected.get().and_then(Channel::leased_until) {
                Some(until) => Some(until.saturating_duration_since(Instant::now())),
                None => self.look_again,
            };
            if left.is_some_and(|left| left.is_zero()) {
                return "its lease has expired"; // the message loop ends the actor by itself
            }
            if let Some(why) = self.has_ended(left) {
                gone.cancel();
                return why;
            }
        }
    }

    /// Waits that long, or for ever; returns how the parent's end showed, if it did.
    fn has_ended(&mut self, within: Option<Duration>) -> Option<&'static str> {
        let within = within.and_then(|within| Timespec::try_from(within).ok());
        let mut polled = vec![PollFd::new(&self.stdin, PollFlags::IN)];
        polled.extend(self.parent.iter().map(|parent| PollFd::new(parent, PollFlags::IN)));
        polled.extend(self.inspection.iter().map(|inspection| PollFd::new(inspection, PollFlags::IN)));
        match poll(&mut polled, within.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return None,
            Ok(_) => {}
            Err(_) => return Some("its parent can't be watched"),
        }
        let mut told = polled.iter().map(|polled| !polled.revents().is_empty());
        let stdin = told.next().unwrap_or_default();
        if self.parent.is_some() && told.next().unwrap_or_default() {
            return Some("its parent's process has ended");
        }
        if let Some(inspection) = self.inspection.as_ref().filter(|_| told.next().unwrap_or_default()) {
            inspection.answer_next();
        }
        (stdin && is_at_end(&mut self.stdin)).then_some("its parent has closed its standard input")
    }
}

fn is_at_end(stdin: &mut File) -> bool {
    match stdin.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock),
    }
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left); // may wake up early
    }
}

/// Kills this process's children in its group, and itself.
fn kill_all(mark: Option<TreeMark>, last_words: &str) {
    let own = rustix::process::getpid();
    if let Some(mark) = mark {
        marked::signal_group(own.as_raw_nonzero().get().unsigned_abs(), mark, Signal::KILL);
    }
    say_at_once(last_words);
    // Nothing can forbid a process to kill itself; and if it did, nothing would be left to do.
    let _ = rustix::process::kill_process(own, Signal::KILL);
}

/// Writes a line to standard error if that takes it now; other threads may hold Rust's lock of it for ever.
fn say_at_once(line: &str) {
    let stderr = rustix::stdio::stderr();
    let mut polled = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let takes_it = poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
    if takes_it && polled[0].revents().contains(PollFlags::OUT) {
        // A pipe that polls as writable takes a line as short as this whole. No reader may be left.
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}

/// How long a child may take to end in order when its parent on this host is gone: most are killed by the kernel by then.
const AT_ONCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    fn watched(parent: Option<OwnedFd>) -> (Watched, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let stdin = File::from(OwnedFd::from(reader));
        (
            Watched {
                stdin,
                parent,
                inspection: None,
                connected: Arc::default(),
                look_again: Some(Duration::from_secs(60)),
            },
            writer,
        )
    }

    #[test]
    fn the_end_of_standard_input_is_told() {
        let (mut watched, writer) = watched(None);
        let gone = CancellationToken::new();
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| watched.wait_for_end(&gone));
            (&writer).write_all(b"not the end").unwrap();
            assert!(!gone.is_cancelled());
            drop(writer);
            assert!(watching.join().unwrap().contains("standard input"));
        });
        assert!(gone.is_cancelled());
    }

    // SEC-24
    #[test]
    fn those_that_ask_and_say_nothing_hide_no_end() {
        let (mut watched, writer) = watched(None);
        let listener = Listener::open().unwrap();
        let address = listener.address();
        watched.inspection = Some(listener);
        let asking: Vec<_> = (0..20).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        assert_eq!(watched.has_ended(Some(Duration::from_secs(60))), None, "one asks");
        drop(writer);
        assert!(watched.wait_for_end(&CancellationToken::new()).contains("standard input"));
        drop(asking);
    }

    /// Another process holds the other end of the pipe, as one does that the parent has forked.
    #[test]
    fn the_end_of_the_process_is_told_while_the_pipe_is_open() {
        let mut parent = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&parent);
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let (mut watched, _writer) = watched(Some(fd));
        assert_eq!(watched.has_ended(Some(Duration::ZERO)), None);
        parent.kill().unwrap();
        let gone = CancellationToken::new();
        assert!(watched.wait_for_end(&gone).contains("process"));
        assert!(gone.is_cancelled());
        parent.wait().unwrap();
    }
}
