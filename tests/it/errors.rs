//! Errors over several processes: types, groups, findings, panics, and where all of them came from.

use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::error::WaitStatus;
use pleach::prelude::*;
use pleach::{ActorId, RemoteError};
use serde::{Deserialize, Serialize};

use crate::support::{ALL, Notes, PROCESSES, assert_says, in_root, note, over, test, test_fn};

/// What a caller any number of hops away wants to know.
#[derive(Debug, thiserror::Error, Serialize, Deserialize, PartialEq)]
#[error("{n} exceeds {limit}")]
struct TooBig {
    n: u64,
    limit: u64,
}

pleach::register_error!(TooBig);

/// Fails in one way or another.
#[pleach::rpc]
async fn fails(how: String) -> anyhow::Result<()> {
    use anyhow::Context as _;
    match how.as_str() {
        "too big" => Err(TooBig { n: 7, limit: 5 }).context("measuring"),
        "words" => Err(anyhow::anyhow!("only words").context("speaking")),
        "usage" => Err(Error::Usage("too early".into()).into()),
        other => panic!("no way to fail like {other:?}"),
    }
}

/// Passes on what fails so many actors further down.
#[pleach::rpc]
async fn passes_on(hops: u32, how: String) -> anyhow::Result<()> {
    use anyhow::Context as _;
    pleach::open_nursery(async |n| {
        let below = n.start_actor(format!("level{hops}")).enable(module_path!()).await?;
        match hops {
            1 => Ok(below.run(fails(how)).await?),
            _ => below.run(passes_on(hops - 1, how)).await.with_context(|| format!("from level {hops}")),
        }
    })
    .await
}

/// Has two children fail, and reports both.
#[pleach::rpc]
async fn fails_twice() -> Result<()> {
    pleach::open_nursery(async |n| {
        let one = n.start_actor("one").enable(module_path!()).await?;
        let other = n.start_actor("other").enable(module_path!()).await?;
        let failures = vec![
            one.run(fails("too big".into())).await.expect_err("it fails"),
            other.run(fails("usage".into())).await.expect_err("it fails"),
        ];
        Error::join(failures)
    })
    .await
}

/// Passes on two failures of each of two children: a group of groups.
#[pleach::rpc]
async fn fails_four_times() -> Result<()> {
    pleach::open_nursery(async |n| {
        let mid = n.start_actor("mid").enable(module_path!()).await?;
        let failures = vec![
            mid.run(fails_twice()).await.expect_err("it fails"),
            mid.run(fails_twice()).await.expect_err("it fails"),
        ];
        Error::join(failures)
    })
    .await
}

#[pleach::rpc]
async fn leaves(code: i32) -> Result<()> {
    eprintln!("going now");
    std::process::exit(code)
}

/// Loses a child.
#[pleach::rpc]
async fn loses_a_child() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(leaves(7)).name("short").await?;
        Ok(())
    })
    .await
}

#[pleach::rpc]
async fn panics_in_spans() -> Result<()> {
    let _outer = tracing::info_span!("outer").entered();
    let _inner = tracing::info_span!("inner", n = 7).entered();
    panic!("on purpose")
}

/// Fails while it is cancelled, when its caller has left.
#[pleach::rpc]
async fn fails_late(notes: String) -> Result<()> {
    let _shield = pleach::scope::Shield::enter();
    note(&notes, "begun");
    pleach::scope::cancelled().await;
    Err(Error::Usage("the clean-up failed".into()))
}

#[pleach::rpc]
async fn answers() -> Result<()> {
    Ok(())
}

/// Leaves a call that then fails, and ends the process, so that its last words can be read.
#[pleach::rpc]
async fn leaves_a_call() -> Result<()> {
    let notes = Arc::new(Notes::new());
    pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        tokio::select! {
            ended = below.run(fails_late(notes.address())) => return ended,
            _ = notes.expect_async("begun") => {}
        }
        below.run(answers()).await?; // the failure came before this answer
        below.cancel_actor().await
    })
    .await?;
    drop(notes);
    std::process::exit(3)
}

/// Opens a stream, and takes nothing from it.
#[pleach::context]
async fn deaf(ctx: &mut Context<(), u64, ()>) -> Result<()> {
    ctx.started(()).await?;
    let _stream = ctx.open_stream().buffer(1).backpressure(false).await?;
    std::future::pending().await
}

/// Sends more than its callee takes.
#[pleach::rpc]
async fn overruns() -> Result<()> {
    pleach::open_nursery(async |n| {
        let deaf_one = n.start_actor("deaf").enable(module_path!()).await?;
        deaf_one
            .open_context(deaf(), async |ctx, ()| {
                let stream = ctx.open_stream().await?;
                loop {
                    stream.send(1).await?;
                }
            })
            .await
    })
    .await
}

/// A context that fails with what failed further down.
#[pleach::context]
async fn relays(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    pleach::open_nursery(async |n| n.start_actor("sender").enable(module_path!()).await?.run(overruns()).await).await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ALL {
        tests.push(test(format!("errors::a_registered_error_crosses_three_hops_over_{protocol}"), move || {
            a_registered_error_crosses_three_hops(protocol)
        }));
        tests.push(test(format!("errors::a_group_keeps_its_members_over_{protocol}"), move || {
            a_group_keeps_its_members(protocol)
        }));
        tests
            .push(test(format!("errors::a_context_passes_on_an_overrun_with_its_source_over_{protocol}"), move || {
                a_context_passes_on_an_overrun_with_its_source(protocol)
            }));
    }
    for protocol in PROCESSES {
        tests.push(test(format!("errors::a_death_further_down_is_one_for_the_root_over_{protocol}"), move || {
            a_death_further_down_is_one_for_the_root(protocol)
        }));
    }
    tests.push(test_fn(a_failure_whose_caller_has_left_is_logged));
    tests.push(test_fn(backtraces_and_spans_come_with_an_error));
    tests
}

/// Runs `body` with an actor that exposes this module.
async fn with_top<F, Fut>(config: Config, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let top = n.start_actor("top").enable(module_path!()).await?;
            body(top.clone()).await?;
            top.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

fn remote(error: &Error) -> &RemoteError {
    match error {
        Error::Remote(remote) => remote,
        other => panic!("not remote: {other:?}"),
    }
}

/// The names of the actor that raised it and of those that passed it on.
fn route(error: &Error) -> Vec<&str> {
    let remote = remote(error);
    std::iter::once(&remote.src).chain(&remote.relay_path).map(ActorId::name).collect()
}

async fn a_registered_error_crosses_three_hops(protocol: &'static str) {
    with_top(over(protocol), async |top| {
        let error = top.run(passes_on(2, "too big".into())).await.unwrap_err();
        assert_eq!(route(&error), ["level1", "level2", "top"]);
        assert_eq!(error.downcast_ref(), Some(&TooBig { n: 7, limit: 5 }));
        let found = remote(&error);
        assert_eq!(found.type_name, std::any::type_name::<TooBig>());
        assert_eq!((found.message.as_str(), &found.chain[..]), ("measuring", &["7 exceeds 5".to_owned()][..]));
        assert_eq!(found.context, ["from level 2"]);

        let report = error.report().color(false).to_string();
        for part in [
            "╭─ from level 2: actor `level1`",
            "│  caused by: 7 exceeds 5\n",
            "│  raised in actor `level1`",
            "│  relayed by actor `level2`",
            "│  relayed by actor `top`",
        ] {
            assert!(report.contains(part), "no {part:?} in: {report}");
        }
        let record = serde_json::to_value(&error).unwrap();
        assert_eq!((&record["kind"], &record["message"]), (&"remote".into(), &"measuring".into()));
        assert_eq!((&record["chain"][0], &record["src"]["name"]), (&"7 exceeds 5".into(), &"level1".into()));
        assert_eq!((&record["relay_path"][0]["name"], &record["relay_path"][2]), (&"level2".into(), &().into()));
        assert_eq!(error.downcast::<TooBig>().unwrap(), TooBig { n: 7, limit: 5 });

        let words = top.run(passes_on(1, "words".into())).await.unwrap_err();
        assert_eq!((route(&words), remote(&words).type_name.as_str()), (vec!["level1", "top"], "anyhow::Error"));
        assert_eq!(remote(&words).chain, ["only words"]);
        assert!(!words.is::<TooBig>());
        Ok(())
    })
    .await;
}

async fn a_group_keeps_its_members(protocol: &'static str) {
    with_top(over(protocol), async |top| {
        let error = top.run(fails_four_times()).await.unwrap_err();
        let Error::Group(group) = &error else { panic!("{error:?}") };
        assert_eq!((group.errors.len(), group.count()), (2, 4));
        for pair in &group.errors {
            let members = pair.members();
            assert_eq!(route(members[0]), ["one", "mid", "top"]);
            assert_eq!(members[0].downcast_ref(), Some(&TooBig { n: 7, limit: 5 }));
            assert_eq!(route(members[1]), ["other", "mid", "top"]);
            assert!(matches!(members[1].origin(), Error::Usage(why) if why == "too early"), "{:?}", members[1]);
        }
        assert_eq!(error.find::<TooBig>().unwrap().n, 7);
        let report = error.report().color(false).to_string();
        assert!(report.contains("╭─ 4 errors\n│  ├─ 2 errors\n│  │  ├─ actor `one`"), "{report}");
        Ok(())
    })
    .await;
}

// S13
async fn a_context_passes_on_an_overrun_with_its_source(protocol: &'static str) {
    with_top(over(protocol), async |top| {
        let ended: Result<()> =
            top.open_context(relays(), async |_, ()| std::future::pending::<Result<()>>().await).await;
        let error = ended.unwrap_err();
        assert_eq!(route(&error), ["sender", "top"]);
        assert_eq!(remote(&error).type_name, "pleach::Error::StreamOverrun");
        assert!(matches!(error.origin(), Error::StreamOverrun(why) if why.contains("actor `deaf`")), "{error:?}");
        Ok(())
    })
    .await;
}

async fn a_death_further_down_is_one_for_the_root(protocol: &'static str) {
    with_top(over(protocol), async |top| {
        let error = top.run(loses_a_child()).await.unwrap_err();
        assert_eq!(route(&error), ["top"]);
        let died = error.actor_died().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!((died.actor.name(), died.status), ("short", WaitStatus::Exited(7)));
        assert_eq!(died.stderr, ["going now"]);
        let report = error.report().color(false).to_string();
        assert!(report.contains("its last words:\n│    going now"), "{report}");
        let payload = serde_json::to_value(error.origin()).unwrap();
        assert_eq!((&payload["kind"], &payload["status"]["exited"]), (&"actor_died".into(), &7.into()));
        Ok(())
    })
    .await;
}

async fn a_failure_whose_caller_has_left_is_logged() {
    in_root(over("uds"), async |_| {
        let ended = pleach::open_nursery(async |n| {
            n.run_in_actor(leaves_a_call()).await?;
            Ok::<_, Error>(())
        })
        .await;
        assert_says(&ended, &["exited with code 3", "WARN", "failed after its caller had left", "the clean-up failed"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn backtraces_and_spans_come_with_an_error() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let quiet = n.start_actor("quiet").enable(module_path!()).env("RUST_BACKTRACE", "0");
            let loud =
                n.start_actor("loud").enable(module_path!()).env("RUST_BACKTRACE", "1").env("PLEACH_LOG", "info");
            let (quiet, loud) = (quiet.await?, loud.await?);
            let panicked = loud.run(panics_in_spans()).await.unwrap_err();
            assert_eq!(remote(&panicked).span_trace, ["inner", "outer"]);
            let report = panicked.report().color(false).to_string();
            for part in
                ["panicked: on purpose", "│  in span inner\n│  in span outer\n", "backtrace:", "panics_in_spans"]
            {
                assert!(report.contains(part), "no {part:?} in: {report}");
            }
            let failed = loud.run(fails("words".into())).await.unwrap_err();
            let backtrace = remote(&failed).backtrace.as_deref().unwrap_or_default();
            assert!(backtrace.contains("fails"), "{failed:?}");
            let panicked = quiet.run(panics_in_spans()).await.unwrap_err();
            assert_eq!((remote(&panicked).backtrace.is_none(), remote(&panicked).span_trace.len()), (true, 0));
            assert_eq!(remote(&quiet.run(fails("words".into())).await.unwrap_err()).backtrace, None);
            tokio::try_join!(quiet.cancel_actor(), loud.cancel_actor()).map(|_| ())
        })
        .await
    })
    .await
    .unwrap();
}
