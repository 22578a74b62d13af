//! Cancellations: how long their acknowledgement may take, and at whose request a task was cancelled.

use pleach_wire::EndReason;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_is_overdue_also_when_the_peer_never_pauses() {
    let (caller, mut callee) = connected_with(pleach_patience::soon()).await;
    let (opened, _function) = started(&caller, &mut callee).await;
    let flood = &caller.transport.flood;
    for asks_the_actor in [false, true] {
        flood.store(usize::MAX, Ordering::Relaxed);
        let acked = async {
            match asks_the_actor {
                false => opened.handle().cancel(Reason::Asked).await,
                true => caller.channel.cancel_actor().await,
            }
        };
        let acked = tokio::time::timeout(pleach_patience::patience(), acked).await;
        flood.store(0, Ordering::Relaxed);
        assert!(matches!(acked, Ok(Err(Error::ActorTooSlow { .. }))), "{acked:?}");
    }
}

#[tokio::test]
async fn an_actor_has_acknowledged_its_end_whenever_the_task_that_has_asked_looks() {
    let (caller, mut callee) = connected().await;
    let mut asked = pin!(caller.channel.cancel_actor());
    assert!(poll!(asked.as_mut()).is_pending());
    callee.channel.answer(callee.asked.recv().await.unwrap().cid, &());
    callee.channel.request_close(EndReason::Unused);
    caller.channel.ended().await;
    assert!(caller.channel.end_acknowledged());
    asked.await.unwrap();
}

#[tokio::test]
async fn a_task_that_was_cancelled_names_its_canceller() {
    let other = ActorId::new("other");
    let cases: [(Cancelled, &str); 4] = [
        (Cancelled::Caller(Some(other.clone())), "other"),
        (Cancelled::Actor, "asker"),
        (Cancelled::Scope, "callee"),
        (Cancelled::Nursery, "callee"),
    ];
    for (cause, named) in cases {
        // Whether the task was dropped or has returned the error that it was handed.
        for returned in [false, true] {
            let (caller, mut callee) = connected().await;
            let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
            let cid = callee.asked.recv().await.unwrap().cid;
            let scope = CancelScope::new();
            callee.channel.attach(cid, Running::now(scope.clone(), FunctionKind::Rpc, "a::b"));
            callee.end_request.note(&ActorId::new("asker"));
            callee.end_request.note(&other); // too late: the first one counts
            scope.cancel_because(cause.clone());
            match returned {
                true => callee.channel.answer_failure(cid, Raised::new(Error::Cancelled(cause.clone()))),
                false => callee.channel.answer_dropped(cid),
            }
            let cancelled = told(pending.outcome().await);
            assert_eq!(cancelled.canceller.as_ref().map(ActorId::name), Some(named), "{cause:?}");
            assert_eq!((cancelled.actor.name(), cancelled.relay_path.len()), ("callee", 0));
        }
    }
}

#[tokio::test]
async fn an_unrequested_cancellation_names_no_actor() {
    let (caller, mut callee) = connected().await;
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
    let cid = callee.asked.recv().await.unwrap().cid;
    let scope = CancelScope::new();
    callee.channel.attach(cid, Running::now(scope.clone(), FunctionKind::Rpc, "a::b"));
    scope.cancel_because(Cancelled::Actor); // by a signal, say
    callee.channel.answer_dropped(cid);
    assert_eq!(told(pending.outcome().await).canceller, None);
}

#[tokio::test]
async fn a_cancellation_that_is_passed_on_keeps_its_canceller() {
    let (caller, mut callee) = connected().await;
    let mut pending = caller.channel.call(ByteStr::from_static("a::b"), &(), CallOptions::default()).unwrap();
    let cid = callee.asked.recv().await.unwrap().cid;
    let below = ContextCancelled {
        by_signal: None,
        by_deadline: false,
        canceller: Some(ActorId::new("other")),
        actor: ActorId::new("below"),
        relay_path: vec![ActorId::new("hop")],
    };
    callee.channel.answer_failure(cid, Raised::new(Error::ContextCancelled(Box::new(below.clone()))));
    let cancelled = told(pending.outcome().await);
    assert_eq!((&cancelled.canceller, &cancelled.actor), (&below.canceller, &below.actor));
    let hops: Vec<_> = cancelled.relay_path.iter().map(ActorId::name).collect();
    assert_eq!(hops, ["hop", "callee"]);
}

fn told(outcome: Result<Payload>) -> ContextCancelled {
    match outcome {
        Err(Error::ContextCancelled(cancelled)) => *cancelled,
        other => panic!("{other:?}"),
    }
}
