//! A daemon is killed with SIGKILL while its parent waits for it, or before: whatever the parent does ends
//! with an error that says so, within a bound, and so does the nursery. Each row of reference 3.14.
//!
//! Not here: whole trees of which a member is killed, which is `kill_matrix.rs`.

use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use libtest_mimic::Trial;
use pleach::Resource;
use pleach::error::WaitStatus;
use pleach::prelude::*;
use pleach::scope::Shield;
use rustix::process::getrlimit;

use crate::support::{PROCESSES, WITHIN_TLS, Watched, in_root, matrix_over, patience};

/// What the parent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    HoldingThePortal,
    Running,
    CancellingTheActor,
    /// The rest happens inside a context.
    ForItsResult,
    LeavingTheBlock,
    Receiving,
    Sending,
    CancellingTheContext,
}

/// When it begins to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// It is waiting when the daemon is killed.
    Before,
    /// It begins when the death has been noticed: "later" in 3.14.
    Afterwards,
}

/// Says who it is, opens its stream, and takes nothing.
#[pleach::context]
async fn holds(ctx: &mut Context<u32, u64, u64>) -> Result<()> {
    ctx.started(std::process::id()).await?;
    let stream = ctx.open_stream().buffer(64).await?;
    stream.send(0).await?;
    std::future::pending().await
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

#[pleach::rpc]
async fn returns() -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn aborts() -> Result<()> {
    std::process::abort()
}

pub(crate) fn tests() -> Vec<Trial> {
    use Begins::{Afterwards, Before};
    let rows = [
        ("holding_its_portal", Waits::HoldingThePortal, Before),
        ("pending_call", Waits::Running, Before),
        ("later_call", Waits::Running, Afterwards),
        ("later_cancel_of_the_actor", Waits::CancellingTheActor, Afterwards),
        ("pending_result", Waits::ForItsResult, Before),
        ("later_result", Waits::ForItsResult, Afterwards),
        ("pending_exit_of_a_block", Waits::LeavingTheBlock, Before),
        ("later_exit_of_a_block", Waits::LeavingTheBlock, Afterwards),
        ("pending_recv", Waits::Receiving, Before),
        ("later_recv", Waits::Receiving, Afterwards),
        ("pending_send", Waits::Sending, Before),
        ("later_send", Waits::Sending, Afterwards),
        ("later_cancel_of_a_context", Waits::CancellingTheContext, Afterwards),
    ];
    let make = |(name, waits, begins)| {
        let protocols = PROCESSES.into_iter().chain(WITHIN_TLS.into_iter().filter(|_| begins == Before));
        let protocols: Vec<_> = protocols.collect();
        matrix_over(&protocols, &format!("deaths::of_a_daemon_end_a_{name}"), move |config| dies(config, waits, begins))
    };
    let name = "deaths::tell_what_ran_and_where_the_core_is";
    rows.into_iter().flat_map(make).chain(matrix_over(&PROCESSES, name, tells_what_ran)).collect()
}

// 3.14: all rows.
async fn dies(config: Config, waits: Waits, begins: Begins) {
    in_root(config, async |_| {
        let mut killed = None;
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("victim").enable(module_path!()).await?;
            let victim = Victim(Watched::new(portal.id().pid()));
            killed = Some(Instant::now());
            match waits {
                Waits::HoldingThePortal => {
                    victim.0.kill();
                    std::future::pending().await
                }
                Waits::Running => assert_says_gone(victim.meets(begins, portal.run(for_ever())).await),
                Waits::CancellingTheActor => victim.meets(begins, portal.cancel_actor()).await?,
                in_a_context => {
                    let _shield = Shield::enter(); // the nursery learns of the death too: this looks first
                    assert_died(&block(&portal, &victim, in_a_context, begins).await, in_a_context);
                }
            }
            Ok(())
        })
        .await;
        assert!(matches!(&ended, Err(Error::ActorDied(_))), "the nursery said {ended:?}");
        assert_died(&ended, Waits::HoldingThePortal);
        let took = killed.expect("it was").elapsed();
        // Without load it is some milliseconds; the silence of a peer is noticed much later than this.
        assert!(took < patience() / 4, "it took {took:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn tells_what_ran(config: Config) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().canonicalize().unwrap();
    let most = getrlimit(rustix::process::Resource::Core).maximum.unwrap_or(64 << 20);
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let victim =
                n.start_actor("victim").enable(module_path!()).cwd(&at).limit(Resource::CoreFile, most).await?;
            victim.run(returns()).await?;
            let (first, second, third) =
                tokio::join!(victim.run(for_ever()), victim.run(for_ever()), victim.run(aborts()));
            for ended in [first, second, third] {
                assert_says_gone(ended);
            }
            Ok(())
        })
        .await;
        let Err(Error::ActorDied(died)) = ended else { panic!("{ended:?}") };
        let path = |name: &str| format!("{}::{name}", module_path!());
        assert_eq!((&died.calls, died.asked), (&vec![path("for_ever"), path("aborts")], None));
        let is_piped = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with('|');
        let said = died.to_string();
        match died.core_dump.as_deref() {
            None => assert!(most == 0 && !said.contains("core dumped"), "{said}"),
            Some(place) if is_piped => assert!(place.starts_with("handed to /"), "{place}"),
            Some(place) => assert!(place.contains('*') || std::fs::metadata(place).unwrap().len() > 0, "{place}"),
        }
        let rest = format!(", with `{}` and `{}` running", path("for_ever"), path("aborts"));
        assert!(said.contains("was killed by signal 6 (SIGABRT)") && said.ends_with(&rest), "{said}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Kills the daemon in a context with it; returns what leaving the block said.
async fn block(portal: &Portal, victim: &Victim, waits: Waits, begins: Begins) -> Result<()> {
    portal
        .open_context(holds(), async |ctx, pid| {
            assert_eq!(pid, portal.id().pid());
            let mut stream = ctx.open_stream().await?;
            assert_eq!(stream.recv().await?, Some(0));
            match waits {
                Waits::ForItsResult => assert_says_gone(victim.meets(begins, ctx.result()).await),
                Waits::Receiving => assert_says_gone(victim.meets(begins, stream.recv()).await),
                Waits::Sending => {
                    for n in 0..64 {
                        stream.send(n).await?; // as many as fit there
                    }
                    assert_says_gone(victim.meets(begins, stream.send(64)).await);
                }
                Waits::CancellingTheContext => victim.meets(begins, ctx.cancel()).await?,
                _ if begins == Begins::Afterwards => victim.meets(begins, std::future::ready(())).await,
                _ => victim.0.kill(),
            }
            Ok(())
        })
        .await
}

struct Victim(Watched);

impl Victim {
    /// Has the daemon killed while `operation` waits, or before it begins; returns what came of it.
    ///
    /// What the death cancels around this is looked at by the operation only in so far as it waits for it.
    async fn meets<T>(&self, begins: Begins, operation: impl Future<Output = T>) -> T {
        let _shield = Shield::enter();
        let mut operation = pin!(shield(operation));
        match begins {
            Begins::Before => {
                let waits = std::future::poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx).is_pending())).await;
                assert!(waits, "it did not wait");
                self.0.kill();
            }
            Begins::Afterwards => {
                self.0.kill();
                pleach::scope::cancelled().await; // the nursery's body, or the block in it
            }
        }
        operation.await
    }
}

fn assert_says_gone<T>(ended: Result<T>) {
    let error = ended.err().expect("it succeeded with a dead actor");
    assert!(matches!(error, Error::ActorDied(_) | Error::Disconnected { .. }), "{error:?}");
}

/// Asserts that an error names who died, and what of; only who had cancelled a context is not told.
fn assert_died(ended: &Result<()>, waits: Waits) {
    match ended {
        Ok(()) => assert_eq!(waits, Waits::CancellingTheContext),
        Err(Error::ActorDied(died)) => {
            assert_eq!((died.actor.name(), died.status), ("victim", WaitStatus::Signalled(9)));
        }
        Err(other) => panic!("{waits:?}: {other:?}"),
    }
}
