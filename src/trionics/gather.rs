//! Entering several blocks at once: one task each, and one body that has all of their values.
//!
//! Blocks that are entered one inside the other take the sum of their times, and their number has to be
//! known when the program is written. Here each is entered in a task of its own, which stays in its block
//! until the body is done.

use std::fmt;
use std::future::Future;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{BoxError, Error, Result, ScopeError};
use crate::scope::{open_task_nursery, wait};

/// Enters several blocks at once, and runs `body` with their values, in the order of `openers`.
///
/// Each opener enters its block and then hands its value to [`Gate::enter`], which waits there until the body is done.
/// The body begins when all are in. When it returns a value, all leave at the same time. When it fails, or one of them
/// does, sooner or later, all others are cancelled.
///
/// ```
/// use pleach::prelude::*;
/// use pleach::trionics::{Gate, gather_contexts};
///
/// #[pleach::context]
/// async fn greeter(ctx: &mut Context<String, (), ()>, name: String) -> Result<()> {
///     ctx.started(format!("hello from {name}")).await
/// }
///
/// #[pleach::main]
/// async fn main() -> Result<()> {
///     pleach::open_nursery(async |n| {
///         let portal = n.start_actor("greeters").enable(module_path!()).await?;
///         let openers = ["ash", "oak"].map(|name| {
///             let portal = portal.clone();
///             async move |gate: Gate<_>| {
///                 portal.open_context(greeter(name.into()), async |_, first| gate.enter(first).await).await
///             }
///         });
///         let greetings = gather_contexts(openers, async |greetings| Ok::<_, Error>(greetings)).await?;
///         assert_eq!(greetings, ["hello from ash", "hello from oak"]);
///         portal.cancel_actor().await
///     })
///     .await
/// }
/// ```
///
/// # Errors
/// As [`open_task_nursery`]: the error of `body` or an opener; several are a group. [`Error::Usage`] without openers,
/// or when one ends without having entered its gate.
///
/// # Cancel safety
/// If dropped, `body` is dropped and the openers are cancelled. Shielded code in them goes on in the background.
pub async fn gather_contexts<T, X, E, O, Block, Failure, F, Fut>(
    openers: impl IntoIterator<Item = O>,
    body: F,
) -> Result<X, E>
where
    T: Send + 'static,
    E: ScopeError,
    O: FnOnce(Gate<T>) -> Block,
    Block: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<BoxError> + 'static,
    F: FnOnce(Vec<T>) -> Fut,
    Fut: Future<Output = Result<X, E>>,
{
    let leave = CancellationToken::new();
    let blocks: Vec<_> = openers.into_iter().map(|open| Gate::before(open, &leave)).collect();
    if blocks.is_empty() {
        return Err(Error::Usage("there is nothing to gather: give at least one opener".into()).into());
    }
    open_task_nursery(async |t| {
        let mut entering = Vec::with_capacity(blocks.len());
        for (block, entered) in blocks {
            entering.push((t.spawn(block)?, entered));
        }
        let mut values = Vec::with_capacity(entering.len());
        for (number, (task, entered)) in entering.into_iter().enumerate() {
            match entered.await {
                Ok(value) => values.push(value),
                Err(_not_entered) => {
                    task.join().await?;
                    return Err(Error::Usage(format!("opener {number} ended without entering its gate")).into());
                }
            }
        }
        let value = body(values).await?;
        leave.cancel();
        Ok(value)
    })
    .await
}

/// Where an opener of [`gather_contexts`] hands its value over, and waits until it is to leave.
///
/// Dropping it without [`enter`](Self::enter) ends the whole, with an error.
pub struct Gate<T> {
    entered: oneshot::Sender<T>,
    leave: CancellationToken,
}

impl<T> Gate<T> {
    /// Makes a gate, and the block that an opener opens with it.
    fn before<Block>(open: impl FnOnce(Self) -> Block, leave: &CancellationToken) -> (Block, oneshot::Receiver<T>) {
        let (entered, value) = oneshot::channel();
        (open(Self { entered, leave: leave.clone() }), value)
    }

    /// Hands over the value of the block that was entered, and waits until the body has returned.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the block is cancelled; else none, so that it can be the end of a block.
    ///
    /// # Cancel safety
    /// If dropped, the value has been handed over; the block is to be left.
    pub async fn enter(self, value: T) -> Result<()> {
        // If the receiver has left, this task is being cancelled.
        let _ = self.entered.send(value);
        wait(self.leave.cancelled()).await
    }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::scope::{CancelScope, Shield, shield};

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn note(&self, what: impl Into<String>) {
            self.0.lock().unwrap().push(what.into());
        }

        fn sorted(&self) -> Vec<String> {
            let mut all = self.0.lock().unwrap().clone();
            all.sort();
            all
        }
    }

    /// Enters after some time, and needs a second to leave, cancelled or not.
    async fn block(gate: Gate<u64>, number: u64, enters_after: Duration, log: Log) -> Result<()> {
        let _shield = Shield::enter();
        sleep(enters_after).await;
        if gate.enter(number).await.is_err() {
            log.note(format!("cancelled {number}"));
        }
        shield(sleep(SECOND)).await;
        log.note(format!("left {number}"));
        crate::scope::checkpoint()
    }

    fn openers(log: &Log) -> Vec<impl FnOnce(Gate<u64>) -> futures_util::future::BoxFuture<'static, Result<()>>> {
        let opener = |number: u64| {
            let log = log.clone();
            move |gate| Box::pin(block(gate, number, SECOND * (3 - number as u32), log)) as _
        };
        (0..3).map(opener).collect()
    }

    // S32, S33
    #[tokio::test(start_paused = true)]
    async fn all_are_entered_at_once_and_left_at_once() {
        let (log, started) = (Log::default(), Instant::now());
        let outcome = gather_contexts(openers(&log), async |values| {
            assert_eq!(started.elapsed(), SECOND * 3, "the slowest counts, not the sum");
            assert!(log.sorted().is_empty());
            // In their order, though the last was the first in; and 0 is a value.
            assert_eq!(values, [0, 1, 2]);
            Ok::<_, Error>("done")
        });
        assert_eq!(outcome.await.unwrap(), "done");
        assert_eq!(log.sorted(), ["left 0", "left 1", "left 2"]);
        assert_eq!(started.elapsed(), SECOND * 4);
    }

    // S32
    #[tokio::test(start_paused = true)]
    async fn the_bodys_error_cancels_all_and_comes_out_as_it_was() {
        let log = Log::default();
        let outcome = gather_contexts(openers(&log), async |_| Err::<(), anyhow::Error>(fmt::Error.into()));
        assert!(outcome.await.unwrap_err().is::<fmt::Error>());
        assert_eq!(log.sorted(), ["cancelled 0", "cancelled 1", "cancelled 2", "left 0", "left 1", "left 2"]);
    }

    // S32
    #[tokio::test(start_paused = true)]
    async fn one_that_fails_cancels_the_others_and_the_body() {
        for (fails_first, began) in [(true, 0), (false, 1)] {
            let bodies = AtomicUsize::new(0);
            let openers = (0..3).map(|number| {
                async move |gate: Gate<()>| {
                    if number == 1 && fails_first {
                        return Err("broken".to_owned());
                    }
                    let stays = gate.enter(());
                    match number {
                        1 => assert!(tokio::time::timeout(SECOND, stays).await.is_err()),
                        _ => stays.await.map_err(|error| error.to_string())?,
                    }
                    Err("broken".into())
                }
            });
            let outcome = gather_contexts(openers, async |_| {
                bodies.fetch_add(1, Ordering::Relaxed);
                pending::<Result<()>>().await
            });
            assert_eq!(outcome.await.unwrap_err().to_string(), "broken");
            assert_eq!(bodies.into_inner(), began);
        }
    }

    // S32
    #[tokio::test(start_paused = true)]
    async fn a_cancellation_around_reaches_all() {
        let (log, scope) = (Log::default(), CancelScope::new());
        let outcome = scope.run(gather_contexts(openers(&log), async |_| {
            scope.cancel();
            pending::<Result<()>>().await
        }));
        assert!(outcome.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(log.sorted().len(), 6);
    }

    // S32
    #[tokio::test]
    async fn misuse_is_an_error_that_says_so() {
        let none = [async |gate: Gate<()>| gate.enter(()).await].into_iter().take(0);
        let nothing = gather_contexts(none, async |_| Ok::<_, Error>(())).await;
        assert!(nothing.unwrap_err().to_string().contains("at least one opener"));
        let openers = [async |gate: Gate<()>| {
            drop(gate);
            Ok::<_, Error>(())
        }];
        let forgot = gather_contexts(openers, async |_| Ok::<_, Error>(())).await;
        assert_eq!(forgot.unwrap_err().to_string(), "opener 0 ended without entering its gate");
    }

    #[test]
    fn it_works_on_many_threads_and_can_be_sent() {
        fn sent<T: Send>(future: T) -> T {
            future
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            for round in 0..100 {
                let openers = (0..4).map(|number| async move |gate: Gate<u32>| gate.enter(number).await);
                let sum = gather_contexts(openers, async |values: Vec<u32>| match round % 2 {
                    0 => Ok(values.into_iter().sum::<u32>()),
                    _ => Err(Error::Usage("odd".into())),
                });
                assert_eq!(sent(sum).await.ok(), (round % 2 == 0).then_some(6));
            }
        });
    }
}
