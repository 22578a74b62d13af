//! How states end: not made, with their actor, by a panic; and what follows restarts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ChildSpec, Handle, Retry, StopReason, Supervision};

use super::{Counter, Late, bump};
use crate::support::{Notes, PROCESSES, assert_says, in_nursery, matrix_fn, matrix_over, note, patience};

/// Says how it ends.
struct Last {
    notes: String,
    returns: bool,
}

#[pleach::actor]
impl Last {
    pub(crate) async fn new(notes: String, returns: bool) -> Result<Self> {
        Ok(Self { notes, returns })
    }

    pub(crate) async fn fail(&mut self) -> Result<()> {
        panic!("this one is expected")
    }

    async fn stopping(self, why: StopReason) {
        let why = match why {
            StopReason::Requested { by } => format!("asked by {}", by.name()),
            other => other.to_string(),
        };
        note(&self.notes, format!("{why}, in {:?}", pleach::current_actor().map(|actor| actor.id().name().to_owned())));
        if !self.returns {
            std::future::pending().await
        }
    }
}

/// Ends its process.
#[pleach::rpc]
async fn abort() -> Result<()> {
    std::process::abort()
}

pub(super) fn tests() -> Vec<Trial> {
    let everywhere = [
        matrix_fn(a_state_that_can_not_be_made_ends_its_actor),
        matrix_fn(a_start_that_is_dropped_ends_the_actor),
        matrix_fn(stopping_gets_the_state_and_the_reason),
        matrix_fn(stopping_is_bounded),
        matrix_fn(a_panic_in_a_method_that_changes_the_state_fails_the_actor),
        matrix_fn(a_panic_in_a_method_that_looks_fails_the_call_alone),
    ];
    let of_processes =
        matrix_over(&PROCESSES, "a_supervised_handle_follows_restarts", a_supervised_handle_follows_restarts);
    everywhere.into_iter().flatten().chain(of_processes).collect()
}

async fn a_state_that_can_not_be_made_ends_its_actor(config: Config) {
    in_nursery(config, async |n| {
        let failed = n.start(Counter::new(-1)).name("never").await;
        assert_says(&failed, &["it counts from 0 up"]);
        let panicked = n.start(Counter::new(13)).name("never").await;
        assert_says(&panicked, &["this one is expected"]);
        Ok(())
    })
    .await // which waits for both
    .unwrap();
}

async fn a_start_that_is_dropped_ends_the_actor(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let mut starting = pin!(n.start(Late::new(notes.address())).into_future());
        tokio::select! {
            started = &mut starting => panic!("{started:?}"),
            begun = notes.expect_async("is being made") => drop(begun),
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn stopping_gets_the_state_and_the_reason(config: Config) {
    let notes = Notes::new();
    in_nursery(config, async |n| {
        let last = n.start(Last::new(notes.address(), true)).name("last").await?;
        Handle::stop(&last).await
    })
    .await
    .unwrap();
    assert_eq!(notes.next(), "asked by root, in Some(\"last\")");
}

async fn stopping_is_bounded(config: Config) {
    let notes = Notes::new();
    let config = Config { soft_reap: Duration::from_secs(1), ..config };
    in_nursery(config, async |n| {
        let last = n.start(Last::new(notes.address(), false)).name("last").await?;
        Handle::stop(&last).await
    })
    .await
    .unwrap();
    assert_eq!(notes.next(), "asked by root, in Some(\"last\")");
}

async fn a_panic_in_a_method_that_changes_the_state_fails_the_actor(config: Config) {
    let ended = in_nursery(config, async |n| {
        let counter = n.start(Counter::new(1)).await?;
        let (panicked, queued) = tokio::join!(counter.panic_while_changing(), counter.get());
        assert!(panicked.is_err());
        assert!(queued.is_err(), "{queued:?}");
        std::future::pending::<Result<()>>().await
    })
    .await;
    assert_says(&ended, &["a task panicked: `Counter` was left half-changed by a panic in `panic_while_changing`"]);
}

async fn a_panic_in_a_method_that_looks_fails_the_call_alone(config: Config) {
    in_nursery(config, async |n| {
        let counter = n.start(Counter::new(1)).await?;
        assert_says(&counter.panic_while_looking().await, &["this one is expected"]);
        assert_eq!(counter.add(1).await?, 2);
        Handle::stop(&counter).await
    })
    .await
    .unwrap();
}

async fn a_supervised_handle_follows_restarts(config: Config) {
    in_nursery(config, async |n| {
        let kept = ChildSpec::actor(n.start(Counter::new(40)).name("kept").enable(module_path!()));
        let plain = ChildSpec::daemon(n.start_actor("plain"));
        let supervision = Supervision::one_for_one().intensity(9, Duration::from_secs(5)).child(kept).child(plain);
        let supervisor = n.supervise(supervision).await?;
        assert_says(&supervisor.handle::<Counter>("plain"), &["`plain`", "it has no state"]);
        assert_says(&supervisor.handle::<Late>("kept"), &["`kept` is a", "Counter`, not a", "Late`"]);
        assert_says(&supervisor.handle::<Late>("missing"), &["no `missing` is supervised here"]);
        let kept = supervisor.handle::<Counter>("kept")?;
        assert!(Handle::follows_restarts(&kept));
        let other = n.start_actor("other").enable("it::stateful").await?;
        assert_eq!((kept.add(2).await?, other.run(bump(kept.clone(), 1)).await?), (42, 43));
        let before = Handle::portal(&kept).await?;
        assert!(before.run(abort()).await.is_err());
        assert_eq!(kept.add(2).await?, 42, "its state is new");
        assert_ne!(Handle::portal(&kept).await?.id(), before.id());
        assert_eq!(other.run(bump(kept.clone(), 1)).await?, 43);
        assert_says(&kept.panic_while_changing().await, &["this one is expected"]);
        assert_eq!(kept.get().await?, 40);
        // A call that may run twice can be repeated: it waits out the restart.
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("aborted");
        let lost = kept.abort_once(marker.clone()).await;
        assert!(lost.as_ref().is_err_and(Retry::is_lost), "{lost:?}");
        std::fs::remove_file(&marker).unwrap();
        assert_eq!(kept.abort_once(marker).retry(Retry::times(1)).timeout(patience()).await?, 40);
        // Another one of the same name is another one, also for those that a handle was sent to.
        let second = ChildSpec::actor(n.start(Counter::new(900)).name("kept"));
        let second = n.supervise(Supervision::one_for_one().child(second)).await?;
        let beside = second.handle::<Counter>("kept")?;
        assert_eq!(other.run(bump(beside.clone(), 1)).await?, 901);
        assert_eq!(other.run(bump(kept.clone(), 1)).await?, 41);
        supervisor.shutdown().await;
        let after = other.run(bump(kept.clone(), 1)).await;
        assert!(after.is_err(), "{after:?}");
        assert_eq!(other.run(bump(beside.clone(), 1)).await?, 902);
        second.shutdown().await;
        other.cancel_actor().await
    })
    .await
    .unwrap();
}
