//! Ends beside other things: a value, a function's error, an open context, a second request.

use std::sync::Arc;

use pleach::EndedBy;
use pleach::prelude::*;
use pleach::scope::{self};

use super::{
    Ends, Last, MODULE, answers_and, at_exit, cancels, died, ends_in_a_context, ends_in_clean_up, fails_and_at_exit,
    leaves, patient,
};
use crate::support::{Notes, Watched, in_nursery, note, patience};

// C-10, C-16
pub(super) async fn answered_and_crashed(config: Config) {
    for how in [Ends::Exit(0), Ends::Exit(3), Ends::Kill] {
        let notes = Arc::new(Notes::new());
        let ended: Result<()> = in_nursery(config.clone(), async |n| {
            let once = n.run_in_actor(answers_and(how, notes.address())).name("victim").await?;
            assert_eq!(once.result().await?, 42);
            note(&notes.next(), "now");
            scope::cancelled().await;
            assert_eq!(once.result().await?, 42);
            Ok(())
        })
        .await;
        let error = ended.expect_err("it was swallowed");
        assert_eq!((died(&error).actor.name(), died(&error).status), ("victim", how.status()));
    }
}

/// The actor of a function crashes when that has returned, has failed, or is cut short.
// C-10
pub(super) async fn one_shots(config: Config) {
    let (config, how) = (patient(config), Ends::Exit(3));
    // While the nursery has the actor in hand only for its body.
    let behind: Result<()> = in_nursery(config.clone(), async |n| {
        let notes = Notes::new();
        let once = n.run_in_actor(answers_and(how, notes.address())).await?;
        assert_eq!(once.result().await?, 42);
        let watched = Watched::new(once.id().pid());
        note(&notes.next(), "now");
        watched.assert_gone_within(patience());
        Ok(())
    })
    .await;
    assert_eq!(died(&behind.expect_err("it was swallowed")).status, how.status());
    let returned: Result<()> =
        in_nursery(config.clone(), async |n| n.run_in_actor(at_exit(Last::Ends(how))).await?.result().await).await;
    assert_eq!(died(&returned.expect_err("it was swallowed")).status, how.status());
    let failed: Result<()> = in_nursery(config.clone(), async |n| {
        n.run_in_actor(fails_and_at_exit(Last::Ends(how))).await?;
        std::future::pending().await
    })
    .await;
    assert!(matches!(&failed, Err(Error::Remote(remote)) if remote.message == "the function failed"), "{failed:?}");
    let notes = Arc::new(Notes::new());
    let cut_short: Result<()> = in_nursery(config, async |n| {
        let once = n.run_in_actor(ends_in_clean_up(how, notes.address())).await?;
        notes.expect_async("begun").await;
        shield(n.cancel()).await;
        let result = once.result().await;
        assert_eq!(died(&result.expect_err("there is none")).status, how.status());
        Ok(())
    })
    .await;
    assert_eq!(died(&cut_short.expect_err("it was swallowed")).status, how.status());
}

// C-10, C-23
pub(super) async fn ends_with_a_context(config: Config) {
    for how in [Ends::Exit(0), Ends::Exit(3), Ends::Abort] {
        let ended: Result<()> = in_nursery(config.clone(), async |n| {
            let portal = n.start_actor("victim").enable(MODULE).await?;
            let block: Result<()> = shield(portal.open_context(ends_in_a_context(how), async |ctx, ()| {
                let stream = ctx.open_stream().await?;
                stream.send(1).await?;
                ctx.result().await
            }))
            .await;
            assert_eq!(died(&block.unwrap_err()).status, how.status());
            Ok(())
        })
        .await;
        assert_eq!(died(&ended.unwrap_err()).status, how.status());
    }
}

// C-12
pub(super) async fn asked_again(config: Config) {
    in_nursery(config, async |n| {
        let portal = n.start_actor("asked").enable(MODULE).await?;
        let other = portal.clone();
        tokio::try_join!(portal.cancel_actor(), other.cancel_actor())?;
        other.cancel_actor().await?;
        while !n.children().is_empty() {
            tokio::task::yield_now().await;
        }
        other.cancel_actor().await?;
        let portal = n.start_actor("itself").enable(MODULE).await?;
        portal.run(leaves()).await?;
        while !n.children().is_empty() {
            tokio::task::yield_now().await;
        }
        portal.cancel_actor().await?;
        let by: Vec<_> = n.report().endings.iter().map(|ending| ending.by).collect();
        assert_eq!(by, [EndedBy::Request, EndedBy::Itself]);
        Ok(())
    })
    .await
    .unwrap();
}

// C-10: another actor had asked, though not this side.
pub(super) async fn third_actor(config: Config) {
    in_nursery(config, async |n| {
        let third = n.start_actor("third").enable(MODULE).await?;
        let victim = n.start_actor("victim").enable(MODULE).await?;
        third.run(cancels("victim".into())).await?;
        while n.children().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(n.report().endings[0].by, EndedBy::Itself);
        assert!(!victim.cancel_called());
        third.cancel_actor().await
    })
    .await
    .unwrap();
}
