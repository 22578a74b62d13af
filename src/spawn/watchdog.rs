//! The end of a child whose parent is on another host, on a thread of its own.
//!
//! On one host the kernel kills a child when its parent is gone. From another host there is only the end of
//! standard input, which may never come over a line that is cut, and the lease ([`crate::proto::liveness`]).
//! Both end the actor in order, as long as its message loop runs; where a task blocks the loop's thread, nothing
//! async does. So this thread watches both and, when the orderly end has not come within its bound, kills the
//! process with all that it has started.
//!
//! # Invariants
//! 1. The thread waits for nothing that the actor's other threads hold for long: one short lock, no log.
//! 2. It never outlives the process, and ends only with it.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::channel::Channel;
use crate::config::Config;

/// A started watchdog. Dropping it changes nothing: the thread goes on.
pub(super) struct Watchdog(Arc<OnceLock<Channel>>);

impl Watchdog {
    /// Starts to watch standard input; `gone` tells the actor of its end.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(stdin: File, gone: CancellationToken, config: &Config) -> io::Result<Self> {
        let parent = Arc::new(OnceLock::<Channel>::new());
        let (watched, look_again, bound) = (parent.clone(), config.heartbeat, config.ladder());
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            wait_for_end(stdin, &gone, &watched, look_again);
            wait(bound);
            kill_all();
        })?;
        Ok(Self(parent))
    }

    /// Watches the lease that the parent holds, too.
    pub(super) fn watch_lease(&self, parent: &Channel) {
        self.0.get_or_init(|| parent.clone());
    }
}

/// Waits until standard input has ended, or the lease is over.
fn wait_for_end(mut stdin: File, gone: &CancellationToken, parent: &OnceLock<Channel>, look_again: Duration) {
    loop {
        let left = match parent.get().and_then(Channel::leased_until) {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => look_again, // not connected yet
        };
        if left.is_zero() {
            return; // the message loop ends the actor by itself
        }
        if has_ended(&mut stdin, left) {
            gone.cancel();
            return;
        }
    }
}

/// Waits that long; returns whether it has ended.
fn has_ended(stdin: &mut File, within: Duration) -> bool {
    let within = Timespec::try_from(within).ok();
    match poll(&mut [PollFd::new(stdin, PollFlags::IN)], within.as_ref()) {
        Ok(0) | Err(rustix::io::Errno::INTR) => false,
        Ok(_) => match stdin.read(&mut [0; 64]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock),
        },
        Err(_) => true, // nobody will ever learn of its end
    }
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left); // may wake up early
    }
}

/// Kills this process and its group; only the process, if somebody else leads the group.
fn kill_all() {
    let own = rustix::process::getpid();
    let killed = match rustix::process::getpgrp() == own {
        true => rustix::process::kill_current_process_group(Signal::KILL),
        false => rustix::process::kill_process(own, Signal::KILL),
    };
    // Nothing can forbid a process to kill itself; and if it did, nothing would be left to do.
    let _ = killed;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_end_of_standard_input_is_told() {
        let (reader, writer) = io::pipe().unwrap();
        let gone = CancellationToken::new();
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let stdin = File::from(std::os::fd::OwnedFd::from(reader));
                wait_for_end(stdin, &gone, &OnceLock::new(), Duration::from_secs(60));
            });
            (&writer).write_all(b"not the end").unwrap();
            assert!(!gone.is_cancelled());
            drop(writer);
            watching.join().unwrap();
        });
        assert!(gone.is_cancelled());
    }
}
