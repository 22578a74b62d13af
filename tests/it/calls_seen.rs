//! What an actor works on, and what it waits for, is seen from outside by name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use pleach::ActorId;
use pleach::inspect::{self, FunctionKind, PeerReport, ProcessReport, RunningFunction, WaitingCall};
use pleach::prelude::*;

use crate::support::{assert_says, in_root, matrix_fn, over, patience, scaled, test_fn};

#[pleach::rpc]
async fn rest() -> Result<()> {
    std::future::pending().await
}

#[pleach::context]
async fn dwell(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

#[pleach::stream]
async fn drip(out: &mut StreamSender<u8>) -> Result<()> {
    out.send(1).await?;
    std::future::pending().await
}

/// Calls from a task and a scope inside of it.
#[pleach::rpc]
async fn pass_on() -> Result<()> {
    let root = pleach::get_root().await?;
    pleach::open_task_nursery(async |t| {
        t.spawn(fail_after(Duration::from_secs(3600), async move { root.run(rest()).await }))?;
        Ok(())
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(what_runs_and_what_waits_is_named);
    tests.extend(matrix_fn(a_chain_that_comes_back_is_seen));
    tests.extend([test_fn(of_many_some_are_left_out), test_fn(a_cancelled_call_is_seen_until_it_has_ended)]);
    tests
}

async fn what_runs_and_what_waits_is_named(config: Config) {
    in_root(config, async |root| {
        pleach::open_nursery(async |n| {
            let busy = n.start_actor("busy").enable(module_path!()).await?;
            let call = busy.run(rest());
            let context = busy.open_context(dwell(), async |_ctx, ()| std::future::pending::<Result<()>>().await);
            let looking = busy.open_stream_from(drip(), async |mut stream| {
                stream.recv().await?;
                let waits = |line: &PeerReport| line.waiting.as_ref().is_some_and(|all| all.len() == 3);
                let waits = line_that(root.id(), busy.id(), waits).await.waiting.unwrap();
                let runs = |line: &PeerReport| line.running.as_ref().is_some_and(|all| all.len() == 3);
                let runs = line_that(busy.id(), root.id(), runs).await.running.unwrap();
                assert_named(&waits, &runs);
                Ok::<_, Error>(())
            });
            tokio::select! {
                ended = call => panic!("it rests: {ended:?}"),
                ended = context => panic!("it dwells: {ended:?}"),
                looked = looking => looked?,
            }
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

fn assert_named(waits: &[WaitingCall], runs: &[RunningFunction]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let kinds = [("rest", FunctionKind::Rpc), ("dwell", FunctionKind::Context), ("drip", FunctionKind::Stream)];
    for (name, kind) in kinds {
        let path = format!("{}::{name}", module_path!());
        let wait = waits.iter().find(|call| call.function == path).unwrap_or_else(|| panic!("{waits:?}"));
        let run = runs.iter().find(|task| task.function == path).unwrap_or_else(|| panic!("{runs:?}"));
        assert_eq!((wait.kind, wait.cid, wait.inside, wait.cancelled), (kind, run.cid, None, false));
        assert_eq!((run.kind, run.cancelled), (kind, false));
        for began in [wait.began_ms, run.began_ms].map(u128::from) {
            assert!(began <= now && began + 2 * patience().as_millis() > now, "{began} {now}");
        }
    }
}

async fn a_chain_that_comes_back_is_seen(config: Config) {
    in_root(config, async |root| {
        root.enable(module_path!());
        pleach::open_nursery(async |n| {
            let between = n.start_actor("between").enable(module_path!()).await?;
            let (who, here) = (between.id().clone(), root.id().clone());
            let seen = async {
                loop {
                    let chains = inspect::call_chains(&processes().await);
                    if let Some(chain) = chains.into_iter().find(|chain| chain.from == here) {
                        return chain;
                    }
                }
            };
            let chain = tokio::select! {
                answer = between.run(pass_on()) => panic!("it rests: {answer:?}"),
                chain = tokio::time::timeout(patience(), seen) => chain.expect("the chain is not seen"),
            };
            let calls: Vec<_> = chain.calls.iter().map(|call| (&*call.function, &call.at)).collect();
            let (first, second) = (concat!(module_path!(), "::pass_on"), concat!(module_path!(), "::rest"));
            assert_eq!(calls, [(first, &who), (second, &here)]);
            assert_eq!(chain.to_string(), format!("{} → {first} in between → {second} in {0}", here.name()));
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn of_many_some_are_left_out() {
    in_root(over("mem"), async |root| {
        pleach::open_nursery(async |n| {
            let busy = n.start_actor("busy").enable(module_path!()).await?;
            let all = futures_util::future::join_all((0..MANY).map(|_| busy.run(rest())));
            let seen = line_that(busy.id(), root.id(), |line| line.tasks == Some(MANY));
            let line = tokio::select! {
                _ended = all => panic!("they rest"),
                line = seen => line,
            };
            let listed = line.running.unwrap();
            assert!((10..MANY).contains(&listed.len()), "{}", listed.len());
            assert!(listed.is_sorted_by_key(|task| task.cid), "the oldest first");
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn end_late() -> Result<()> {
    shield(std::future::pending()).await
}

async fn a_cancelled_call_is_seen_until_it_has_ended() {
    let quick = scaled(Duration::from_millis(50));
    let config = Config { cancel_ack: 2 * patience(), soft_reap: quick, kill_after: quick, ..over("mem") };
    let ended: Result<()> = in_root(config, async |root| {
        pleach::open_nursery(async |n| {
            let slow = n.start_actor("slow").enable(module_path!()).await?;
            let scope = CancelScope::new();
            let looking = async {
                let runs = |line: &PeerReport| line.tasks == Some(1);
                line_that(slow.id(), root.id(), runs).await;
                scope.cancel();
                let runs = |line: &PeerReport| line.running.iter().flatten().any(|task| task.cancelled);
                line_that(slow.id(), root.id(), runs).await;
                let waits = |line: &PeerReport| line.waiting.iter().flatten().any(|call| call.cancelled);
                line_that(root.id(), slow.id(), waits).await
            };
            let line = tokio::select! {
                _ended = scope.run(slow.run(end_late())) => panic!("it ends late"),
                line = looking => line,
            };
            assert_eq!(line.waiting.unwrap()[0].function, concat!(module_path!(), "::end_late"));
            Err(Error::Usage("over".into()))
        })
        .await
    })
    .await;
    assert_says(&ended, &["over"]);
}

/// Looks until an actor is seen with a connection to a peer that is as expected.
pub(crate) async fn line_that(who: &ActorId, peer: &ActorId, is_expected: impl Fn(&PeerReport) -> bool) -> PeerReport {
    let looking = async {
        loop {
            let all = processes().await;
            let actor = all.iter().flat_map(|process| &process.actors).find(|actor| actor.who == *who);
            let mut lines = actor.into_iter().flat_map(|actor| actor.peers.iter().flatten());
            if let Some(line) = lines.find(|line| line.who == *peer && is_expected(line)) {
                return line.clone();
            }
        }
    };
    tokio::time::timeout(patience(), looking).await.unwrap_or_else(|_| panic!("{who} is not seen like that"))
}

async fn processes() -> Vec<ProcessReport> {
    let found = tokio::task::spawn_blocking(inspect::processes).await.unwrap().unwrap();
    found.into_iter().filter_map(|process| process.report.ok()).collect()
}

const MANY: usize = 100;
