//! One call: the attempts to run it, until it has a result.
//!
//! ```text
//! in a worker, beside others ── result ──────────────────────────────► done
//!        │ the worker died                                              ▲
//!        ▼                                                              │
//! in a worker of its own ── result ─────────────────────────────────────┤
//!        │  ▲ it died                                                   │
//!        └──┘ as often as may be ── it died again ──► poison ───────────┘
//! ```
//! When a worker dies, each call that it had may be the cause. So each is tried again alone: what dies then is the cause,
//! unless the worker was killed from outside.
//!
//! # Invariants
//! 1. A call has one result; it may have run several times.
//! 2. Only deaths of workers that had no other call are held against a call.
//! 3. A worker that was lost is known to be down before a place in it is given to the next call.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::board::{Place, Want};
use super::inside;
use crate::error::{Error, Poison, Result, WaitStatus};
use crate::portal::Portal;
use crate::retry::limited;
use crate::rpc::call::Call;
use crate::scope;
use crate::sync::lock;

/// How an attempt ended.
enum Attempt<T> {
    /// With the call's own result.
    Ended(Result<T>),
    /// Its worker died, or hung.
    Lost(Error),
}

/// Runs a call until it has a result, in one worker if `worker` says so.
///
/// The lock is not held across a wait.
pub(super) async fn run<T>(shared: &Shared, worker: Option<usize>, call: &Mutex<Call<T>>) -> Result<T> {
    let mut deaths = Deaths::default();
    loop {
        let place = shared.board.place(Want { worker, alone: deaths.all > 0 }).await?;
        let alone = place.grant.alone;
        let ended = match shared.hedge {
            Some(after) if !alone && worker.is_none() => Box::pin(hedged(shared, place, call, after)).await,
            _ => attempt(shared, place, call).await,
        };
        let lost = match ended {
            Attempt::Ended(result) => return result,
            Attempt::Lost(lost) => lost,
        };
        scope::checkpoint()?;
        deaths.count(&lost, alone);
        if deaths.are_too_many(shared.retries) {
            let poison = Poison { function: lock(call).name().into(), attempts: deaths.all, last: lost };
            return Err(Error::Poison(Box::new(poison)));
        }
        shared.progress.retried();
    }
}

/// Sends a call to the worker of its place.
async fn attempt<T>(shared: &Shared, place: Place<'_, Portal>, call: &Mutex<Call<T>>) -> Attempt<T> {
    let portal = &place.grant.process;
    let ended = match shared.timeout {
        Some(after) => {
            let what = format!("`{}` in {}", lock(call).name(), portal.id());
            limited(&what, after, Box::pin(portal.run_again(call))).await
        }
        None => portal.run_again(call).await,
    };
    match ended {
        Err(late @ Error::Timeout { .. }) if !answers(shared, &place).await => {
            drop(portal.kill().await); // how it ended is of no interest
            shared.board.lose(&place);
            match place.grant.alone {
                true => Attempt::Ended(Err(late)),
                // Another one that it had may have blocked it.
                false => Attempt::Lost(late),
            }
        }
        Err(lost) if is_lost(&lost, portal) => {
            shared.board.lose(&place);
            Attempt::Lost(lost)
        }
        ended => Attempt::Ended(ended),
    }
}

/// Sends a call to a second worker if the first one takes long and another has room. The first result counts.
async fn hedged<T>(shared: &Shared, place: Place<'_, Portal>, call: &Mutex<Call<T>>, after: Duration) -> Attempt<T> {
    let taken = place.grant.worker;
    let mut first = pin!(attempt(shared, place, call));
    let second = loop {
        if let Either::Left((ended, _)) = select(first.as_mut(), pin!(sleep(after))).await {
            return ended;
        }
        if let Some(place) = shared.board.place_beside(taken) {
            break place;
        }
    };
    let second = pin!(attempt(shared, second, call));
    match select(first, second).await {
        Either::Left((Attempt::Lost(_), second)) => second.await,
        Either::Right((Attempt::Lost(_), first)) => first.await,
        Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
    }
}

/// Returns whether a worker still runs what it is sent: nothing blocks its thread.
async fn answers(shared: &Shared, place: &Place<'_, Portal>) -> bool {
    let answer = place.grant.process.run(inside::answers());
    matches!(timeout(shared.patience, answer).await, Ok(Ok(())))
}

/// Returns whether an error says that the worker is gone.
fn is_lost(error: &Error, worker: &Portal) -> bool {
    match error {
        Error::ActorDied(_) | Error::Disconnected { .. } => true,
        // Its process got the signal, and is about to end.
        Error::ContextCancelled(cancelled) => cancelled.by_signal.is_some() && cancelled.actor == *worker.id(),
        _ => false,
    }
}

/// Returns whether a worker may have been killed from outside.
fn may_be_from_outside(lost: &Error) -> bool {
    match lost {
        Error::ActorDied(died) => match died.status {
            WaitStatus::Signalled(signal) => {
                [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal)
            }
            // Its own group has bounds for it alone.
            WaitStatus::Exited(_) | WaitStatus::OutOfMemory => false,
            WaitStatus::Unknown => true,
        },
        _ => true,
    }
}

/// The deaths of workers that had a call.
#[derive(Default)]
struct Deaths {
    all: u32,
    /// Of those that had no other call, those that may have been caused from outside.
    from_outside: u32,
}

/// How many deaths that may have been caused from outside are not held against a call.
const FORGIVEN: u32 = 4;

impl Deaths {
    fn count(&mut self, lost: &Error, alone: bool) {
        self.all += 1;
        self.from_outside += u32::from(alone && may_be_from_outside(lost));
    }

    /// Returns whether a call has been tried again as often as it may.
    fn are_too_many(&self, retries: u32) -> bool {
        self.all - self.from_outside.min(FORGIVEN) > retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ActorId;
    use crate::error::{ActorDied, ActorPhase};

    fn died(status: WaitStatus) -> Error {
        let actor = ActorId::new("worker-1").in_process(7);
        Error::ActorDied(Box::new(ActorDied::new(actor, status, ActorPhase::Running)))
    }

    /// How many deaths it takes until a call is poison.
    fn until_poison(retries: u32, lost: &Error, first_is_alone: bool) -> u32 {
        let mut deaths = Deaths::default();
        loop {
            deaths.count(lost, first_is_alone || deaths.all > 0);
            if deaths.are_too_many(retries) {
                return deaths.all;
            }
        }
    }

    #[test]
    fn a_call_is_poison_after_its_retries() {
        let aborted = died(WaitStatus::Signalled(libc::SIGABRT));
        assert_eq!([0, 1, 2].map(|retries| until_poison(retries, &aborted, false)), [1, 2, 3]);
        assert_eq!([0, 1, 2].map(|retries| until_poison(retries, &aborted, true)), [1, 2, 3]);
        assert_eq!(until_poison(1, &died(WaitStatus::Exited(3)), false), 2);
    }

    #[test]
    fn workers_that_may_have_been_killed_from_outside_are_forgiven_a_few_times() {
        for killed in [died(WaitStatus::Signalled(libc::SIGKILL)), died(WaitStatus::Unknown)] {
            assert_eq!(until_poison(2, &killed, false), 3 + FORGIVEN);
            assert_eq!(until_poison(0, &killed, true), 1 + FORGIVEN);
        }
    }
}
