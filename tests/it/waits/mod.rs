//! C-2: in a cancelled scope nothing of the library waits, also under a shield that is older than the wait.
//!
//! The public async functions are read from the sources, so that a new one can't be forgotten: each of them is in
//! [`WAITS`], and in `cases`, which has it wait for something that does not come.

mod cases;
mod pools;
mod sources;
mod states;

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::Shield;

use crate::support::{in_root, over, patience, test, test_fn};

/// What a function does in a cancelled scope.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// It fails with the cancellation, whether that comes before it is called or while it waits.
    Fails,
    /// It fails with the cancellation that is there already. Here, it does not wait for long otherwise.
    FailsIfLate,
    /// It returns: because it has no error to return, never waits for others, or brings something to its end.
    Returns,
    /// It can't be had here; its waits are bounded by what it is given.
    Elsewhere,
}

use Does::{Elsewhere, Fails, FailsIfLate, Returns};

/// All public functions that may wait.
#[rustfmt::skip]
const WAITS: &[(&str, Does)] = &[
    ("Actor::addresses", Returns),
    ("Actor::cancel_complete", Returns),
    ("BroadcastReceiver::poll_recv", Fails),
    ("BroadcastReceiver::recv", Fails),
    ("Stream for BroadcastReceiver", Fails),
    ("IntoFuture for Call", Fails),
    ("CancelScope::try_run", Fails),
    ("Future for FailAfter", Fails),
    ("deadline::fail_after_value", Fails),
    ("Future for MoveOnAfter", Returns),
    ("Future for Run", Fails),
    ("Future for Shielded", Returns),
    ("Context::started", Returns),
    // These wait for a user at a terminal: `examples/debugging` has tests for them.
    ("debug::pause", Elsewhere),
    ("debug::post_mortem", Elsewhere),
    ("Etcd::connect", Elsewhere),
    ("Feed::publish", Returns),
    ("FindActor::all", FailsIfLate),
    ("FindActor::required", FailsIfLate),
    ("IntoFuture for FindActor", FailsIfLate),
    ("Gate::enter", Fails),
    ("Handle::portal", FailsIfLate),
    ("Handle::stop", FailsIfLate),
    ("Me::read", Fails),
    ("Me::write", Fails),
    ("Future for MethodCall", Fails),
    ("MethodContext::open", Fails),
    ("MethodStream::open", Fails),
    ("IntoFuture for New", Fails),
    ("stateful::find", FailsIfLate),
    ("MsgStream::close", Returns),
    ("MsgStream::recv", Fails),
    ("MsgStream::recv_many", Fails),
    ("MsgStream::send", Fails),
    ("MsgStream::send_all", Fails),
    ("Sink for MsgStream", Fails),
    ("Stream for MsgStream", Fails),
    ("Nursery::cancel", Returns),
    ("Nursery::exited", Returns),
    ("Nursery::kill", Returns),
    ("Nursery::supervise", FailsIfLate),
    ("IntoFuture for Start", FailsIfLate),
    ("OpenContext::cancel", Returns),
    ("OpenContext::result", Fails),
    ("IntoFuture for OpenStream", Returns),
    ("IntoFuture for PoolStart", FailsIfLate),
    ("Pool::drain", Returns),
    ("Future for PoolCall", Fails),
    ("Future for SupervisedCall", Fails),
    ("Pool::shutdown", Returns),
    ("Results::next", Fails),
    ("Stream for Results", Fails),
    ("Portal::cancel_actor", Returns),
    ("Portal::close", Returns),
    ("Portal::exited", Fails),
    ("Portal::kill", FailsIfLate),
    ("Portal::open_context", Fails),
    ("Portal::open_stream_from", Fails),
    ("Portal::result", Fails),
    ("Future for PortalCall", Fails),
    ("Portal::run_from_ns", Fails),
    ("Publisher::subscribe", Fails),
    ("Registration::leave", Elsewhere),
    ("Registry::find", Returns),
    ("Registry::list", Returns),
    ("Registry::register", Elsewhere),
    ("Registry::remove", Returns),
    ("Registry::wait_for", Fails),
    ("RecvHalf::recv", Fails),
    ("RecvHalf::recv_many", Fails),
    ("Stream for RecvHalf", Fails),
    ("SendHalf::close", Returns),
    ("SendHalf::send", Fails),
    ("SendHalf::send_all", Fails),
    ("Sink for SendHalf", Fails),
    ("ShutdownSignal::received", Fails),
    ("StreamReceiver::recv", Fails),
    ("StreamReceiver::recv_many", Fails),
    ("Stream for StreamReceiver", Fails),
    ("StreamSender::send", Fails),
    ("StreamSender::send_all", Fails),
    ("Sink for StreamSender", Fails),
    ("Subscription::recv", Fails),
    ("Stream for Subscription", Fails),
    ("SupervisedPortal::ended", Fails),
    ("SupervisedPortal::portal", Fails),
    ("Supervisor::add_child", FailsIfLate),
    ("Supervisor::ended", Fails),
    ("Supervisor::portal", Fails),
    ("Supervisor::remove_child", FailsIfLate),
    ("Supervisor::shutdown", Returns),
    ("SupervisorEvents::recv", Returns),
    ("Stream for SupervisorEvents", Returns),
    ("Task::join", Fails),
    ("cluster::open_actor_cluster", Fails),
    ("daemon::run_daemon", FailsIfLate),
    ("by_name::query_actor", FailsIfLate),
    ("by_name::wait_for_actor", Fails),
    ("gather::gather_contexts", Fails),
    ("find::get_registry", FailsIfLate),
    ("find::get_root", FailsIfLate),
    ("nursery::open_nursery", Fails),
    ("registrar::find", Returns),
    ("registrar::knows", Returns),
    ("registrar::list", Returns),
    ("registrar::remove", Returns),
    ("registrar::wait_for", Fails),
    ("root::open_root", FailsIfLate),
    ("scope::cancelled", Returns),
    ("task_nursery::open_task_nursery", Fails),
];

pub(crate) fn tests() -> Vec<Trial> {
    let cases = WAITS.iter().filter(|(_, does)| *does != Elsewhere).map(|&(name, does)| {
        let title = name.replace([' ', ':'], "_");
        test(format!("waits::{title}_ends_with_its_scope"), move || ends(name, does))
    });
    cases.chain([test_fn(each_public_async_function_is_known)]).collect()
}

async fn each_public_async_function_is_known() {
    let found = sources::public_waits();
    let known: BTreeSet<String> = WAITS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (new, gone): (Vec<_>, Vec<_>) = (found.difference(&known).collect(), known.difference(&found).collect());
    assert!(new.is_empty() && gone.is_empty(), "not in the table: {new:?}; only there: {gone:?}");
}

async fn ends(name: &'static str, does: Does) {
    for when in [When::Before, When::Meanwhile] {
        let mut told = None;
        in_root(over("mem"), async |_| {
            pleach::open_nursery(async |n| {
                let portal = n.start_actor("peer").enable(concat!(module_path!(), "::cases")).await?;
                told = Some(cases::run(name, when, &n, &portal).await?);
                n.cancel().await;
                Ok(())
            })
            .await
        })
        .await
        .unwrap();
        let is_cancelled = matches!(told.unwrap(), Some(error) if error.is_cancelled());
        match does {
            Fails => assert!(is_cancelled, "{name} does not fail if it is cancelled {when:?}"),
            FailsIfLate if when == When::Before => assert!(is_cancelled, "{name} does not fail"),
            _ => {}
        }
    }
}

/// When the scope is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum When {
    Before,
    Meanwhile,
}

/// What a wait failed with, if it did, in a scope that is cancelled and under a shield that is older.
async fn told<T>(when: When, wait: impl Future<Output = Result<T>>) -> Option<Error> {
    back(when, wait).await.err()
}

/// What a wait came back with, there.
async fn back<T>(when: When, wait: impl Future<Output = T>) -> T {
    let scope = CancelScope::new();
    let mut came = None;
    let run = scope.run(async {
        let _shield = Shield::enter();
        if when == When::Before {
            scope.cancel();
        }
        let cancels = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            scope.cancel();
        };
        came = Some(tokio::join!(wait, cancels).0);
    });
    tokio::time::timeout(patience(), run).await.expect("it waits on in a cancelled scope").ok();
    came.expect("it has come back")
}
