//! What every registry must do, whatever keeps its names.
//!
//! Each check gets a registry of its own, or at least one in which no other program registers. None of them
//! knows the back-end; `tests/etcd` and the embedded registry's tests run them all.

use std::pin::{Pin, pin};
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use futures_util::future::{join_all, try_join_all};
use pleach::discovery::{Registered, Registry};
use pleach::error::Result;
use serde_json::json;
use uuid::Uuid;

/// A registry, as the checks get it.
pub(crate) type Subject = Arc<dyn Registry>;

/// One check.
pub(crate) type Check = fn(Subject) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// All checks, by name.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("an_actor_is_found_until_it_leaves", |registry| Box::pin(found_until_it_leaves(registry))),
    ("a_dropped_registration_leaves", |registry| Box::pin(dropped(registry))),
    ("names_repeat_and_the_newest_comes_first", |registry| Box::pin(newest_first(registry))),
    ("all_actors_are_listed_in_order", |registry| Box::pin(listed(registry))),
    ("waiting_ends_when_an_actor_comes", |registry| Box::pin(waiting(registry))),
    ("all_who_wait_are_told", |registry| Box::pin(many_wait(registry))),
    ("a_wait_can_be_dropped_at_any_time", |registry| Box::pin(dropped_wait(registry))),
    ("the_higher_incarnation_counts", |registry| Box::pin(incarnations(registry))),
    ("a_stale_entry_is_taken_out_a_newer_one_is_not", |registry| Box::pin(removed(registry))),
    ("any_name_is_a_name", |registry| Box::pin(names(registry))),
    ("many_come_and_go_at_once", |registry| Box::pin(many(registry))),
];

async fn found_until_it_leaves(registry: Subject) -> Result<()> {
    let actor = actor("worker");
    assert_eq!(registry.find("worker").await?, []);
    let registration = registry.register(actor.clone()).await?;
    // As it was entered, addresses and all.
    assert_eq!(registry.find("worker").await?, from_ref(&actor));
    assert_eq!(registry.wait_for("worker").await?, [actor]);
    assert_eq!(registry.find("worke").await?, []);
    assert_eq!(registry.find("worker1").await?, []);
    registration.leave().await?;
    assert_eq!(registry.find("worker").await?, []);
    assert_eq!(registry.list().await?, []);
    Ok(())
}

async fn dropped(registry: Subject) -> Result<()> {
    drop(registry.register(actor("worker")).await?);
    until_gone(&registry, "worker").await
}

async fn newest_first(registry: Subject) -> Result<()> {
    let (first, second, other) = (actor("worker"), actor("worker"), actor("other"));
    let old = registry.register(first.clone()).await?;
    let unrelated = registry.register(other).await?;
    let new = registry.register(second.clone()).await?;
    assert_eq!(registry.find("worker").await?, [second.clone(), first.clone()]);
    assert_eq!(registry.wait_for("worker").await?, [second, first.clone()]);
    new.leave().await?;
    assert_eq!(registry.find("worker").await?, [first]);
    old.leave().await?;
    unrelated.leave().await
}

async fn listed(registry: Subject) -> Result<()> {
    let actors = ["b", "a", "c", "a"].map(actor);
    let mut registrations = Vec::new();
    for actor in &actors {
        registrations.push(registry.register(actor.clone()).await?);
    }
    assert_eq!(registry.list().await?, actors);
    registrations.remove(1).leave().await?;
    assert_eq!(registry.list().await?, [actors[0].clone(), actors[2].clone(), actors[3].clone()]);
    leave_all(registrations).await
}

async fn waiting(registry: Subject) -> Result<()> {
    let (actor, other) = (actor("late"), actor("other"));
    let mut found = pin!(registry.wait_for("late"));
    // Others that come and go are not who it waits for.
    let meanwhile = async {
        registry.register(other).await?.leave().await?;
        assert_eq!(registry.find("late").await?, []);
        Ok::<_, pleach::Error>(())
    };
    tokio::select! {
        biased;
        found = &mut found => panic!("none has registered, but {found:?} was found"),
        meanwhile = meanwhile => meanwhile?,
    }
    // It may be found before its registration returns.
    let (found, registration) = tokio::join!(biased; found, registry.register(actor.clone()));
    assert_eq!(found?, [actor]);
    registration?.leave().await
}

async fn many_wait(registry: Subject) -> Result<()> {
    let actor = actor("late");
    let all = join_all((0..20).map(|_| registry.wait_for("late")));
    let (found, registration) = tokio::join!(biased; all, registry.register(actor.clone()));
    for found in found {
        assert_eq!(found?, from_ref(&actor));
    }
    registration?.leave().await
}

async fn dropped_wait(registry: Subject) -> Result<()> {
    for polls in 0..20 {
        let mut found = pin!(registry.wait_for("late"));
        for _ in 0..polls {
            assert!(found.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(registry.find("late").await?, []);
        }
    }
    waiting(registry).await
}

async fn incarnations(registry: Subject) -> Result<()> {
    let old = actor("worker");
    let new = Registered { incarnation: old.incarnation + 1, listening: Vec::new(), ..old.clone() };
    let former = registry.register(old.clone()).await?;
    let present = registry.register(new.clone()).await?;
    assert_eq!(registry.find("worker").await?, from_ref(&new));
    // What was lost and comes back late does not take its place, nor take it along.
    let late = registry.register(old).await?;
    assert_eq!(registry.find("worker").await?, from_ref(&new));
    assert_eq!(registry.list().await?, from_ref(&new));
    former.leave().await?;
    late.leave().await?;
    assert_eq!(registry.find("worker").await?, [new]);
    present.leave().await?;
    assert_eq!(registry.find("worker").await?, []);
    Ok(())
}

// SEC-21
async fn removed(registry: Subject) -> Result<()> {
    let (stale, other) = (actor("worker"), actor("worker"));
    registry.remove(&stale).await?;
    let registration = registry.register(stale.clone()).await?;
    let another = registry.register(other.clone()).await?;
    let older = Registered { incarnation: stale.incarnation - 1, ..stale.clone() };
    registry.remove(&older).await?;
    assert_eq!(registry.find("worker").await?, [other.clone(), stale.clone()]);
    registry.remove(&stale).await?;
    assert_eq!(registry.find("worker").await?, [other]);
    // The old one may still leave.
    registration.leave().await?;
    another.leave().await
}

async fn names(registry: Subject) -> Result<()> {
    let long = "x".repeat(1000);
    let names = ["", "/", "a", "a/b", "a%2Fb", "..", "../a", "größe", "a\0b", " ", "*", &long];
    let actors: Vec<_> = names.iter().map(|name| actor(name)).collect();
    let mut registrations = Vec::new();
    for actor in &actors {
        registrations.push(registry.register(actor.clone()).await?);
    }
    for (name, actor) in names.iter().zip(&actors) {
        assert_eq!(registry.find(name).await?, from_ref(actor), "{name:?}");
    }
    assert_eq!(registry.list().await?, actors);
    leave_all(registrations).await?;
    assert_eq!(registry.list().await?, []);
    Ok(())
}

async fn many(registry: Subject) -> Result<()> {
    let actors: Vec<_> = (0..600).map(|number| actor(&format!("worker-{}", number % 3))).collect();
    let registrations = try_join_all(actors.iter().map(|actor| registry.register(actor.clone()))).await?;
    assert_eq!(registry.list().await?.len(), 600);
    for name in ["worker-0", "worker-1", "worker-2"] {
        assert_eq!(registry.find(name).await?.len(), 200);
    }
    leave_all(registrations).await?;
    assert_eq!(registry.list().await?, []);
    Ok(())
}

/// A fictitious actor, at an address of its own.
pub(crate) fn actor(name: &str) -> Registered {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let who = json!({ "name": name, "uuid": Uuid::new_v4(), "pid": 1, "host": "nowhere" });
    let endpoint = json!({
        "transport": { "codec": "msgpack", "protocol": "tcp" },
        "address": format!("tcp://192.0.2.{}:{}", number / 60_000 + 1, number % 60_000 + 1),
    });
    let actor = json!({ "who": who, "incarnation": 3, "listening": [endpoint] });
    serde_json::from_value(actor).expect("this is how an actor is written")
}

/// Waits until no actor of this name is registered.
pub(crate) async fn until_gone(registry: &Subject, name: &str) -> Result<()> {
    while !registry.find(name).await?.is_empty() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn leave_all(registrations: Vec<Box<dyn pleach::discovery::Registration>>) -> Result<()> {
    try_join_all(registrations.into_iter().map(|registration| registration.leave())).await?;
    Ok(())
}
