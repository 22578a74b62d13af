//! The last moments of an actor: exits that take time, crash, or never end, and deaths before it connects.

use std::sync::Arc;
use std::time::Duration;

use pleach::EndedBy;
use pleach::error::{ActorPhase, WaitStatus};
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

use super::{Ends, Last, MODULE, at_exit, cleans_up_slowly, died, ends_above_another, leaves, patient};
use crate::support::{Notes, Watched, in_nursery, in_root, patience};

/// It takes longer than `death_notice`.
// C-11
pub(super) async fn slow_exit(config: Config) {
    let n = in_nursery(Config { death_notice: Duration::from_millis(50), ..patient(config) }, async |n| {
        for who in ["itself", "asked"] {
            let portal = n.start_actor(who).enable(MODULE).await?;
            portal.run(at_exit(Last::Sleeps(300))).await?;
            match who {
                "itself" => portal.run(leaves()).await?,
                _ => portal.cancel_actor().await?,
            }
        }
        while !n.children().is_empty() {
            tokio::task::yield_now().await;
        }
        Ok(n)
    })
    .await
    .unwrap();
    for ending in n.report().endings {
        let by = if ending.actor.name() == "itself" { EndedBy::Itself } else { EndedBy::Request };
        assert_eq!((ending.by, ending.status), (by, WaitStatus::Exited(0)), "{ending}");
    }
}

// C-10
pub(super) async fn ends_at_exit(config: Config) {
    for last in [Last::Ends(Ends::Exit(3)), Last::Ends(Ends::Abort), Last::Ends(Ends::Kill), Last::Panics] {
        for asked in [false, true] {
            let ended: Result<()> = in_nursery(patient(config.clone()), async |n| {
                let portal = n.start_actor("victim").enable(MODULE).await?;
                portal.run(at_exit(last)).await?;
                match asked {
                    true => portal.cancel_actor().await,
                    false => portal.run(leaves()).await,
                }
            })
            .await;
            match last {
                Last::Ends(how) => {
                    let error = ended.expect_err("it was swallowed");
                    assert_eq!((died(&error).status, died(&error).when), (how.status(), ActorPhase::Ending));
                }
                _panics => ended.unwrap(),
            }
        }
    }
}

// C-12
pub(super) async fn never_exits(config: Config) {
    // It may strike as soon as it likes: there is only the one that is stuck.
    let bound = Duration::from_millis(100);
    let config = Config { soft_reap: bound, kill_after: bound, ..config };
    for asked in [false, true] {
        let n = in_nursery(config.clone(), async |n| {
            let portal = n.start_actor("stuck").enable(MODULE).await?;
            portal.run(at_exit(Last::Sleeps(600_000))).await?;
            match asked {
                true => portal.cancel_actor().await?,
                false => portal.run(leaves()).await?,
            }
            Ok(n)
        })
        .await
        .unwrap();
        let ending = &n.report().endings[0];
        assert!(ending.was_escalated(), "{ending}");
    }
}

/// As when a service manager signals all processes of a tree at once.
// C-12
pub(super) async fn terminated_too(config: Config) {
    in_nursery(patient(config), async |n| {
        let notes = Arc::new(Notes::new());
        let portal = n.start_actor("asked").enable(MODULE).await?;
        let pid = Pid::from_raw(portal.id().pid() as i32).unwrap();
        let signalled = async {
            notes.expect_async("begun").await;
            portal.cancel_actor().await?;
            notes.expect_async("cleaning up").await;
            kill_process(pid, Signal::TERM).unwrap();
            Ok(())
        };
        tokio::try_join!(portal.run(cleans_up_slowly(notes.address())), signalled).map(drop)
    })
    .await
    .unwrap();
}

// C-10, C-13
pub(super) async fn killed_in_start(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let start = n.start_actor("early").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address()));
        let kills = async {
            let pid: u32 = notes.expect_async("hung ").await.parse().unwrap();
            Watched::new(pid).kill();
        };
        let (started, ()) = tokio::join!(start.into_future(), kills);
        let error = started.expect_err("it is dead");
        assert_eq!((died(&error).status, died(&error).when), (WaitStatus::Signalled(9), ActorPhase::Starting));
        // The nursery is none the worse for it.
        n.start_actor("other").await?.cancel_actor().await
    })
    .await
    .unwrap();
}

// C-9, C-14
pub(super) async fn middle_crashes(config: Config) {
    for how in [Ends::Exit(3), Ends::Abort, Ends::Kill] {
        let notes = Arc::new(Notes::new());
        in_root(patient(config.clone()), async |_| {
            let mut below = None;
            let ended: Result<()> = pleach::open_nursery(async |n| {
                let middle = n.start_actor("middle").enable(MODULE).await?;
                let asks = async {
                    below = Some(Watched::new(notes.expect_async("").await.parse().unwrap()));
                    middle.cancel_actor().await
                };
                let call = middle.run(ends_above_another(how, notes.address()));
                shield(async { tokio::join!(call, asks).1 }).await
            })
            .await;
            let error = ended.expect_err("it was swallowed");
            assert_eq!((died(&error).actor.name(), died(&error).status), ("middle", how.status()));
            below.unwrap().assert_gone_within(patience());
            Ok(())
        })
        .await
        .unwrap();
    }
}
