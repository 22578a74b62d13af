//! Each public function that may wait, waiting for what does not come.

use std::collections::BTreeMap;
use std::future::{IntoFuture as _, pending};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt as _, stream};
use pleach::discovery::registrar;
use pleach::prelude::*;
use pleach::trionics::{
    BroadcastReceiver, Cluster, Feed, Gate, Publisher, broadcast, gather_contexts, open_actor_cluster,
};
use pleach::{Backoff, ChildSpec, Supervision, SupervisorEvent, scope};

use super::{When, back, told};

const LONG: Duration = Duration::from_secs(3600);

#[pleach::rpc]
async fn stays() -> Result<u64> {
    pending().await
}

#[pleach::rpc]
async fn fails() -> Result<()> {
    Err(Error::Usage("as it should".into()))
}

/// Takes nothing and says nothing.
#[pleach::context]
async fn silent(ctx: &mut Context<(), u64, u64>) -> Result<u64> {
    ctx.started(()).await?;
    let _stream = ctx.open_stream().await?;
    pending().await
}

#[pleach::context]
async fn starts_late(ctx: &mut Context<(), u64, u64>, when: When) -> Result<()> {
    back(when, ctx.started(())).await
}

#[pleach::stream]
async fn says_nothing(out: &mut StreamSender<u64>) -> Result<()> {
    let _out = out;
    pending().await
}

/// Sends more than is taken in a cancelled scope, and fails with what that failed with.
#[pleach::stream]
async fn fills(out: &mut StreamSender<u64>, when: When, by: String) -> Result<()> {
    let endless = async {
        loop {
            match &*by {
                "StreamSender::send" => out.send(1).await?,
                "StreamSender::send_all" => StreamSender::send_all(out, std::iter::repeat(1)).await?,
                _ => SinkExt::send(out, 1).await?,
            }
        }
    };
    match told::<()>(when, endless).await {
        Some(error) if error.is_cancelled() => Err(Error::Usage("cancelled, as it should be".into())),
        other => Err(Error::Usage(format!("{other:?}"))),
    }
}

/// Runs a case; returns what the function failed with, if it did.
pub(super) async fn run(name: &str, when: When, n: &Nursery, portal: &Portal) -> Result<Option<Error>> {
    // Boxed, because all of it together is too much for a stack.
    if let Some(told_of) = Box::pin(of_scopes(name, when)).await {
        return Ok(told_of);
    }
    if let Some(told_of) = Box::pin(of_names(name, when)).await? {
        return Ok(told_of);
    }
    if let Some(told_of) = Box::pin(of_portals(name, when, n, portal)).await? {
        return Ok(told_of);
    }
    if let Some(told_of) = Box::pin(of_nurseries(name, when, n)).await? {
        return Ok(told_of);
    }
    if let Some(told_of) = Box::pin(super::states::run(name, when, n)).await? {
        return Ok(told_of);
    }
    if let Some(told_of) = Box::pin(super::pools::run(name, when, n)).await? {
        return Ok(told_of);
    }
    let told_of = Box::pin(of_streams(name, when, portal)).await?;
    Ok(told_of.unwrap_or_else(|| panic!("`{name}` has no case")))
}

async fn of_scopes(name: &str, when: When) -> Option<Option<Error>> {
    Some(match name {
        "CancelScope::try_run" => told(when, CancelScope::new().try_run(pending::<Result<()>>())).await,
        "Future for FailAfter" => told(when, fail_after(LONG, pending::<Result<()>>())).await,
        "deadline::fail_after_value" => told(when, scope::fail_after_value(LONG, pending::<()>())).await,
        "Future for MoveOnAfter" => quiet(back(when, move_on_after(LONG, pending::<()>())).await),
        "Future for Run" => told(when, CancelScope::new().run(pending::<()>())).await,
        "Future for Shielded" => only_returns(back(when, shield(tokio::task::yield_now()))).await,
        "ShutdownSignal::received" => told(when, pleach::shutdown_signal().received()).await,
        "scope::cancelled" => only_returns(back(when, scope::cancelled())).await,
        _ => return None,
    })
}

async fn of_names(name: &str, when: When) -> Result<Option<Option<Error>>> {
    let actor = pleach::current_actor().unwrap();
    let registry = actor.registry().unwrap();
    Ok(Some(match name {
        "Actor::addresses" => quiet(back(when, actor.addresses()).await),
        "Actor::cancel_complete" => only_returns(back(when, actor.cancel_complete())).await,
        "IntoFuture for Call" | "registrar::wait_for" => {
            told(when, registrar::wait_for("missing".into()).into_future()).await
        }
        "FindActor::all" => told(when, pleach::find_actor("peer").all()).await,
        "FindActor::required" => told(when, pleach::find_actor("peer").required()).await,
        "IntoFuture for FindActor" => told(when, pleach::find_actor("peer").into_future()).await,
        "Registry::find" => told(when, registry.find("peer")).await,
        "Registry::list" => told(when, registry.list()).await,
        "Registry::remove" => told(when, registry.remove(&registry.find("peer").await?[0])).await,
        "Registry::wait_for" => told(when, registry.wait_for("missing")).await,
        "by_name::query_actor" => told(when, pleach::query_actor("peer")).await,
        "by_name::wait_for_actor" => told(when, pleach::wait_for_actor("missing")).await,
        "find::get_registry" => told(when, pleach::get_registry()).await,
        "registrar::find" => told(when, registrar::find("peer".into()).into_future()).await,
        "registrar::list" => told(when, registrar::list().into_future()).await,
        "registrar::knows" => {
            let peer = registry.find("peer").await?.remove(0);
            told(when, registrar::knows(peer).into_future()).await
        }
        "registrar::remove" => {
            let peer = registry.find("peer").await?.remove(0);
            told(when, registrar::remove(peer).into_future()).await
        }
        _ => return Ok(None),
    }))
}

async fn of_portals(name: &str, when: When, n: &Nursery, portal: &Portal) -> Result<Option<Option<Error>>> {
    Ok(Some(match name {
        "Portal::cancel_actor" => told(when, portal.cancel_actor()).await,
        "Portal::close" => told(when, pleach::get_root().await?.close()).await,
        "Portal::exited" => told(when, portal.exited()).await,
        "Portal::kill" => told(when, n.start_actor("killed").await?.kill()).await,
        "Portal::open_context" => {
            told(when, portal.open_context(silent(), async |_, ()| pending::<Result<()>>().await)).await
        }
        "Portal::open_stream_from" => {
            told(when, portal.open_stream_from(says_nothing(), async |_| pending::<Result<()>>().await)).await
        }
        "Portal::result" => told(when, n.run_in_actor(stays()).await?.result()).await,
        "Future for PortalCall" => told(when, portal.run(stays())).await,
        "Portal::run_from_ns" => told(when, portal.run_from_ns::<u64>("it::waits::cases::stays", &())).await,
        _ => return Ok(None),
    }))
}

async fn of_nurseries(name: &str, when: When, n: &Nursery) -> Result<Option<Option<Error>>> {
    Ok(Some(match name {
        "Nursery::cancel" | "Nursery::kill" => {
            pleach::open_nursery(async |n| {
                n.start_actor("one").await?;
                match name {
                    "Nursery::kill" => back(when, n.kill()).await,
                    _ => back(when, n.cancel()).await,
                };
                pleach::Ok(None)
            })
            .await?
        }
        "Nursery::exited" => only_returns(back(when, n.exited())).await,
        "IntoFuture for Start" => told(when, n.start_actor("late").into_future()).await,
        "Nursery::supervise"
        | "SupervisedPortal::ended"
        | "SupervisedPortal::portal"
        | "Future for SupervisedCall"
        | "Supervisor::add_child"
        | "Supervisor::ended"
        | "Supervisor::portal"
        | "Supervisor::remove_child"
        | "Supervisor::shutdown"
        | "SupervisorEvents::recv"
        | "Stream for SupervisorEvents" => supervised(name, when, n).await?,
        "Task::join" => {
            let mut seen = None;
            let ended: Result<()> = pleach::open_task_nursery(async |t| {
                seen = told(when, t.spawn(pending::<Result<()>>())?.join()).await;
                Err(Error::Usage("enough".into()))
            })
            .await;
            ended.unwrap_err();
            seen
        }
        "cluster::open_actor_cluster" => {
            let cluster = Cluster::new().count(1);
            told(when, open_actor_cluster(cluster, async |_| pending::<Result<()>>().await)).await
        }
        "daemon::run_daemon" => told(when, pleach::run_daemon(Config::default(), [""; 0])).await,
        "find::get_root" => told(when, pleach::get_root()).await,
        "nursery::open_nursery" => told(when, pleach::open_nursery(async |_| pending::<Result<()>>().await)).await,
        "root::open_root" => told(when, pleach::open_root(Config::default(), async |_| pleach::Ok(()))).await,
        "task_nursery::open_task_nursery" => {
            told(when, pleach::open_task_nursery(async |_| pending::<Result<()>>().await)).await
        }
        _ => return Ok(None),
    }))
}

async fn of_streams(name: &str, when: When, portal: &Portal) -> Result<Option<Option<Error>>> {
    Ok(Some(match name {
        "BroadcastReceiver::poll_recv" => {
            let mut receiver = silence();
            told(when, std::future::poll_fn(|cx| receiver.poll_recv(cx))).await
        }
        "BroadcastReceiver::recv" => told(when, silence().recv()).await,
        "Stream for BroadcastReceiver" => last(back(when, silence().next()).await),
        "Context::started" => {
            portal.open_context(starts_late(when), async |ctx, ()| ctx.result().await).await?;
            None
        }
        "Feed::publish" => publish(when).await,
        "Gate::enter" => {
            let (note, seen) = tokio::sync::oneshot::channel();
            let openers = [async move |gate: Gate<()>| {
                note.send(told(when, gate.enter(())).await).unwrap();
                pleach::Ok(())
            }];
            // The gate stays closed until the opener has come back from it.
            gather_contexts(openers, async |_| pleach::Ok(seen.await.unwrap())).await?
        }
        "MsgStream::close"
        | "MsgStream::recv"
        | "MsgStream::recv_many"
        | "MsgStream::send"
        | "MsgStream::send_all"
        | "Sink for MsgStream"
        | "Stream for MsgStream"
        | "RecvHalf::recv"
        | "RecvHalf::recv_many"
        | "Stream for RecvHalf"
        | "SendHalf::close"
        | "SendHalf::send"
        | "SendHalf::send_all"
        | "Sink for SendHalf"
        | "OpenContext::cancel"
        | "OpenContext::result"
        | "IntoFuture for OpenStream"
        | "Subscription::recv"
        | "Stream for Subscription" => in_context(name, when, portal).await?,
        "Publisher::subscribe" => {
            let publisher = Publisher::new(async |_: Feed<(), ()>| pending().await);
            told(when, publisher.subscribe([()], async |_| pleach::Ok(()))).await
        }
        "StreamReceiver::recv" | "StreamReceiver::recv_many" | "Stream for StreamReceiver" => {
            portal
                .open_stream_from(says_nothing(), async |mut stream| {
                    pleach::Ok(match name {
                        "StreamReceiver::recv" => told(when, stream.recv()).await,
                        "StreamReceiver::recv_many" => told(when, stream.recv_many(&mut Vec::new(), 9)).await,
                        _ => last(back(when, stream.next()).await),
                    })
                })
                .await?
        }
        "StreamSender::send" | "StreamSender::send_all" | "Sink for StreamSender" => {
            let call = fills(when, name.to_owned());
            let filled: Result<()> = portal
                .open_stream_from(call, async |mut stream| {
                    while stream.recv().await?.is_some() {}
                    Ok(())
                })
                .await;
            let as_it_should = filled.as_ref().is_err_and(|error| error.to_string().contains("as it should be"));
            if as_it_should { Some(Error::Cancelled(pleach::error::Cancelled::Scope)) } else { filled.err() }
        }
        "gather::gather_contexts" => {
            let openers = [async |gate: Gate<()>| gate.enter(()).await];
            told(when, gather_contexts(openers, async |_| pending::<Result<()>>().await)).await
        }
        _ => return Ok(None),
    }))
}

async fn in_context(name: &str, when: When, portal: &Portal) -> Result<Option<Error>> {
    portal
        .open_context(silent(), async |ctx, ()| {
            let mut told_of = match name {
                "OpenContext::cancel" => told(when, ctx.cancel()).await,
                "OpenContext::result" => told(when, ctx.result()).await,
                "IntoFuture for OpenStream" => told(when, ctx.open_stream().into_future()).await,
                _ => None,
            };
            if !name.contains("Open") {
                let mut stream = ctx.open_stream().await?;
                told_of = match name {
                    "MsgStream::close" => told(when, stream.close()).await,
                    "MsgStream::recv" => told(when, stream.recv()).await,
                    "MsgStream::recv_many" => told(when, stream.recv_many(&mut Vec::new(), 9)).await,
                    "Stream for MsgStream" => last(back(when, stream.next()).await),
                    "RecvHalf::recv" => told(when, stream.split().1.recv()).await,
                    "RecvHalf::recv_many" => told(when, stream.split().1.recv_many(&mut Vec::new(), 9)).await,
                    "Stream for RecvHalf" => last(back(when, stream.split().1.next()).await),
                    "SendHalf::close" => told(when, stream.split().0.close()).await,
                    "SendHalf::send_all" => told(when, stream.split().0.send_all(std::iter::repeat(1))).await,
                    "SendHalf::send" => {
                        let (sender, _receiver) = stream.split();
                        told::<()>(when, async {
                            loop {
                                sender.send(1).await?;
                            }
                        })
                        .await
                    }
                    "Subscription::recv" => told(when, stream.subscribe().recv()).await,
                    "Stream for Subscription" => last(back(when, stream.subscribe().next()).await),
                    "MsgStream::send_all" => told(when, MsgStream::send_all(&stream, std::iter::repeat(1))).await,
                    "MsgStream::send" => {
                        told::<()>(when, async {
                            loop {
                                stream.send(1).await?;
                            }
                        })
                        .await
                    }
                    "Sink for SendHalf" => {
                        let (mut sender, _receiver) = stream.split();
                        told::<()>(when, async {
                            loop {
                                SinkExt::send(&mut sender, 1).await?;
                            }
                        })
                        .await
                    }
                    _ => {
                        told::<()>(when, async {
                            loop {
                                SinkExt::send(&mut stream, 1).await?;
                            }
                        })
                        .await
                    }
                };
            }
            ctx.cancel().await?;
            Ok(told_of)
        })
        .await
}

async fn supervised(name: &str, when: When, n: &Nursery) -> Result<Option<Error>> {
    let waits_long = Supervision::one_for_one().intensity(9, LONG).backoff(Backoff::exponential(LONG, LONG));
    if name == "Nursery::supervise" {
        let supervision = waits_long.child(ChildSpec::daemon(n.start_actor("child")));
        return Ok(told(when, n.supervise(supervision)).await);
    }
    let supervisor = n.supervise(waits_long.child(ChildSpec::run_once("child", fails).transient())).await?;
    let mut events = supervisor.events();
    while !matches!(events.recv().await, Some(SupervisorEvent::Restarting { .. })) {}
    let child = supervisor.child("child")?;
    Ok(match name {
        "SupervisedPortal::ended" => told(when, child.ended()).await,
        "SupervisedPortal::portal" => told(when, child.portal()).await,
        "Future for SupervisedCall" => told(when, child.run(stays())).await,
        "Supervisor::add_child" => told(when, supervisor.add_child(ChildSpec::daemon(n.start_actor("late")))).await,
        "Supervisor::remove_child" => told(when, supervisor.remove_child("child")).await,
        "Supervisor::ended" => told(when, supervisor.ended()).await,
        "Supervisor::portal" => told(when, supervisor.portal("child")).await,
        "Supervisor::shutdown" => only_returns(back(when, supervisor.shutdown())).await,
        "SupervisorEvents::recv" => {
            assert!(back(when, events.recv()).await.is_none());
            None
        }
        _ => {
            assert!(back(when, events.next()).await.is_none());
            None
        }
    })
}

/// A source that publishes more than its subscriber takes.
async fn publish(when: When) -> Option<Error> {
    let (done, is_done) = tokio::sync::oneshot::channel();
    let done = Mutex::new(Some(done));
    let publisher = Publisher::new(move |feed: Feed<(), u64>| {
        let done = done.lock().unwrap().take();
        async move {
            for number in 0..200 {
                back(when, feed.publish(BTreeMap::from([((), number)]))).await;
            }
            if let Some(done) = done {
                done.send(()).unwrap();
            }
            pending().await
        }
    });
    tokio::select! {
        ended = publisher.subscribe([()], async |_| pending::<Result<()>>().await) => ended.err(),
        _ = is_done => None,
    }
}

fn silence() -> BroadcastReceiver<u64> {
    broadcast(stream::pending(), 1)
}

/// The error of a last item.
fn last<T>(item: Option<Result<T>>) -> Option<Error> {
    item?.err()
}

/// For what returns nothing.
pub(super) async fn only_returns(back: impl Future<Output = ()>) -> Option<Error> {
    back.await;
    None
}

fn quiet<T>(_: T) -> Option<Error> {
    None
}
