//! The settings of a pool, and its start: all workers at once.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::progress::Progress;
use super::worker::Keeper;
use super::{Pool, PoolProgress, Shared, inside};
use crate::config::Host;
use crate::error::{Cancelled, Error, Result, signal_name};
use crate::nursery::Nursery;
use crate::nursery::stage::Stage;
use crate::nursery::start::Start;
use crate::os::signals::Signals;
use crate::portal::Portal;
use crate::scope;
use crate::spawn::StartOptions;

impl Start<Portal> {
    /// Starts as many actors like this one, as the workers of a [`Pool`].
    ///
    /// They are named after it: `worker-1`, `worker-2`. Await the returned [`PoolStart`], after saying more about the
    /// pool if need be.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[pleach::rpc]
    /// async fn length(text: String) -> Result<usize> {
    ///     Ok(text.len())
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let workers = n.start_actor("worker").enable(module_path!());
    ///     let pool = workers.pool(2).in_flight(8).retries(2).timeout(Duration::from_secs(30)).await?;
    ///     assert_eq!(pool.run(length("seven".into())).await?, 5);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn pool(self, workers: usize) -> PoolStart {
        PoolStart {
            nursery: self.nursery,
            options: self.options,
            workers,
            hosts: Vec::new(),
            in_flight: 2,
            retries: 2,
            timeout: None,
            hedge: None,
            recycle_after: None,
            recycle_above: None,
            drains_on_signal: false,
            progress: Progress::default(),
        }
    }
}

/// A pool about to be started: say more about it, then await it. Dropping it starts nothing.
///
/// # Errors
/// Awaiting it fails with the error of the first worker that can't be started, as [`Start`] describes it, and with
/// [`Error::Usage`] when it is to have no worker, or none of them may have a call. Nothing is left running then.
///
/// # Cancel safety
/// If dropped while it is awaited, the workers that were started are ended.
#[must_use = "a pool starts when this is awaited"]
pub struct PoolStart {
    nursery: Nursery,
    options: StartOptions,
    workers: usize,
    hosts: Vec<Host>,
    in_flight: usize,
    retries: u32,
    timeout: Option<Duration>,
    hedge: Option<Duration>,
    recycle_after: Option<u64>,
    recycle_above: Option<u64>,
    drains_on_signal: bool,
    progress: Progress,
}

impl PoolStart {
    /// Spreads the workers over hosts: the first one is started on the first host, and so on, in turn.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = Host>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Sets how many calls a worker has at a time. Default: 2, so that it is busy while results travel.
    ///
    /// Calls of a worker run beside each other where they wait, and one after the other where they compute. When it
    /// dies, all of them are tried again, one by one.
    pub fn in_flight(self, calls: usize) -> Self {
        Self { in_flight: calls, ..self }
    }

    /// Sets how often a call is tried again after its worker has died. Default: 2.
    ///
    /// Each of these attempts has a worker for itself, so that only the call that is the cause ends as [`Error::Poison`].
    /// Workers that may have been killed from outside, with SIGKILL for example, or have been lost together with their
    /// host, are not counted, up to four of them. With 0 retries a call that was in a worker when it crashed is given up,
    /// whichever call was the cause.
    pub fn retries(self, times: u32) -> Self {
        Self { retries: times, ..self }
    }

    /// Gives up on an attempt after this time: it is cancelled, and its result is [`Error::Timeout`]. Default: never.
    ///
    /// A worker that does not answer either then, because a call blocks its thread, is killed and replaced
    /// ([`Config::cancel_ack`](crate::Config::cancel_ack)); other calls that it had are tried again.
    pub fn timeout(self, after: Duration) -> Self {
        Self { timeout: Some(after), ..self }
    }

    /// Sends a call to a second worker too when it has taken this long and another worker has room; the first result
    /// counts, and the other attempt is cancelled. Default: never. Not for calls that must not run twice, and without
    /// effect on those with keys.
    ///
    /// It is the technique of hedged requests (J. Dean and L. A. Barroso, "The Tail at Scale", 2013).
    pub fn hedge(self, after: Duration) -> Self {
        Self { hedge: Some(after), ..self }
    }

    /// Replaces a worker once it has had as many calls; it ends those that it has first. Default: never.
    pub fn recycle_after(self, calls: u64) -> Self {
        Self { recycle_after: Some(calls), ..self }
    }

    /// Replaces a worker once its resident memory is above so many bytes; it ends the calls that it has first. The memory
    /// is looked at twice a second. Default: never.
    pub fn recycle_above(self, bytes: u64) -> Self {
        Self { recycle_above: Some(bytes), ..self }
    }

    /// Takes no more calls once the program gets a signal that asks it to end, such as Ctrl-C, and lets those that it has
    /// end, as [`Pool::drain`] does: their results come, and the streams of results end. A second signal cancels all.
    ///
    /// The program is to end by itself then: see [`shutdown_signal`](crate::shutdown_signal). Without effect in an actor.
    pub fn drain_on_signal(self) -> Self {
        Self { drains_on_signal: true, ..self }
    }

    /// Runs a callback after each call, in the task of its caller. It must not block.
    pub fn on_progress(mut self, watch: impl Fn(PoolProgress) + Send + Sync + 'static) -> Self {
        self.progress.watch = Some(Box::new(watch));
        self
    }

    fn check(&self) -> Result<()> {
        match (self.workers, self.in_flight, self.recycle_after) {
            (0, ..) => Err(Error::Usage("a pool needs a worker: give `pool` at least 1".into())),
            (_, 0, _) => Err(Error::Usage("its workers could have no call: give `in_flight` at least 1".into())),
            (.., Some(0)) => {
                Err(Error::Usage("its workers could have no call: give `recycle_after` at least 1".into()))
            }
            _ => Ok(()),
        }
    }

    async fn start(self) -> Result<Pool> {
        scope::checkpoint()?;
        self.check()?;
        let Self { nursery, options, workers, hosts, recycle_above, .. } = self;
        let admitted = nursery.admit()?;
        let shared = Arc::new(Shared {
            board: Board::new(workers, self.in_flight, self.recycle_after.unwrap_or(u64::MAX)),
            retries: self.retries,
            timeout: self.timeout,
            hedge: self.hedge,
            patience: nursery.0.runtime.config().cancel_ack,
            keys: Default::default(),
            progress: self.progress,
            is_closed: Default::default(),
            calls: TaskTracker::new(),
            stop: nursery.0.stages.token(Stage::Ending).child_token(),
            workers: TaskTracker::new(),
        });
        let starting = shared.stop.clone().drop_guard();
        let started = (0..workers).map(|number| {
            let mut options = options.clone();
            options.name = format!("{}-{}", options.name, number + 1);
            options.modules.push(inside::MODULE.into());
            // It has the pool to wait for.
            options.ends_with_body = false;
            if !hosts.is_empty() {
                options.host = hosts[number % hosts.len()].clone();
            }
            let (ready, started) = oneshot::channel();
            let keeper = Keeper { nursery: nursery.clone(), shared: shared.clone(), number, options, recycle_above };
            let running = shared.workers.track_future(keeper.run(ready));
            nursery.spawn(running);
            started
        });
        let started: Vec<_> = started.collect();
        shared.workers.close();
        let signals = self.drains_on_signal.then(Signals::take_first_for_finishing);
        nursery.spawn(end_in_order(nursery.clone(), shared.clone(), signals));
        drop(admitted);
        let all_started = try_join_all(started.into_iter().map(async |started| {
            // The task is lost only together with the async runtime below it, or when the pool stops.
            started.await.unwrap_or(Err(Error::Cancelled(Cancelled::Nursery)))
        }));
        let all_started = scope::wait(all_started).await?;
        if let Err(failed) = all_started {
            // The others end first.
            shared.stop();
            let _ = scope::wait(shared.workers.wait()).await; // the caller knows of a cancellation
            return Err(failed);
        }
        drop(starting.disarm());
        Ok(Pool(shared))
    }
}

/// Ends a pool after its calls, when the body of its nursery has returned (invariant 2) or a signal asks for it.
async fn end_in_order(nursery: Nursery, shared: Arc<Shared>, mut signals: Option<Signals>) {
    let returned = nursery.0.stages.token(Stage::Joining);
    let until_last_call = async {
        tokio::select! {
            biased;
            () = returned.cancelled() => {}
            signal = Signals::first_of(&mut signals) => {
                info!(target: "pleach::cancel", signal = signal_name(signal), "a pool takes no more calls");
            }
        }
        shared.close();
        shared.calls.wait().await;
    };
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => {}
        () = until_last_call => {}
    }
    shared.stop();
}

impl IntoFuture for PoolStart {
    type Output = Result<Pool>;
    type IntoFuture = BoxFuture<'static, Result<Pool>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for PoolStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolStart({} of {:?})", self.workers, self.options)
    }
}
