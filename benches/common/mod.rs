//! What the benches share: the functions that children run, and a tree around a measurement.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod allocations;
pub(crate) mod arguments;
pub(crate) mod item;
pub(crate) mod process;

use std::time::{Duration, Instant};

use bytes::Bytes;
use pleach::wire::Key;
use pleach::{Config, Nursery, Portal, Result};
use tokio::task::JoinSet;

/// Returns what it was given.
#[pleach::rpc]
pub(crate) async fn echo(bytes: Bytes) -> Result<Bytes> {
    Ok(bytes)
}

/// Takes a blob and returns little.
#[pleach::rpc]
pub(crate) async fn size(bytes: Bytes) -> Result<u64> {
    Ok(bytes.len() as u64)
}

/// All transports of this build.
pub(crate) fn keys() -> Vec<Key> {
    pleach::transports::known()
}

/// The transport of this build for a protocol, with the default codec.
pub(crate) fn key(protocol: &str) -> Key {
    let codec = Config::default().codec;
    let found = keys().into_iter().find(|key| key.protocol == protocol && key.codec == codec);
    found.unwrap_or_else(|| panic!("this build has no transport {codec}+{protocol}"))
}

/// The configuration of all trees: the default one, but with what variables say.
pub(crate) fn config() -> Config {
    Config::load().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `body` in a nursery of a fresh tree whose actors reach each other over `key`.
pub(crate) fn in_tree<T, F, Fut>(key: &Key, body: F) -> T
where
    F: FnOnce(Nursery) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    in_tree_of(Config { codec: key.codec.clone(), transport: key.protocol.clone(), ..config() }, body)
}

/// As [`in_tree`], with a whole configuration.
pub(crate) fn in_tree_of<T, F, Fut>(config: Config, body: F) -> T
where
    F: FnOnce(Nursery) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let over = config.transport.clone();
    runtime()
        .block_on(pleach::open_root(config, async |_| pleach::open_nursery(body).await))
        .unwrap_or_else(|error| panic!("over {over}: {error}"))
}

/// As [`in_tree`], with one child, which has answered a call already.
pub(crate) fn with_child<T, F, Fut>(key: &Key, body: F) -> T
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    in_tree(key, async |nursery| {
        let portal = start(&nursery).await?;
        let value = body(portal.clone()).await?;
        portal.cancel_actor().await?;
        Ok(value)
    })
}

/// Starts a child and makes its first call.
pub(crate) async fn start(nursery: &Nursery) -> Result<Portal> {
    let portal = nursery.start_actor("bench").enable(MODULE).await?;
    portal.run(echo(message())).await?;
    Ok(portal)
}

/// Runs `callers` tasks that make `calls` calls each, one after the other; returns how long all took.
pub(crate) async fn in_flight(portals: &[Portal], callers: usize, calls: u64, bytes: &Bytes) -> Result<Duration> {
    let mut tasks = JoinSet::<Result<()>>::new();
    let started = Instant::now();
    for portal in portals.iter().cycle().take(callers) {
        let (portal, bytes) = (portal.clone(), bytes.clone());
        tasks.spawn(async move {
            for _ in 0..calls {
                portal.run(echo(bytes.clone())).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no caller panics")?;
    }
    Ok(started.elapsed())
}

/// The async runtime of all measurements: one thread, like that of the children.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("nothing can be measured without an async runtime")
}

/// A message of 64 bytes.
pub(crate) fn message() -> Bytes {
    Bytes::from_static(&[7; 64])
}

/// A blob of `size` bytes.
pub(crate) fn blob(size: usize) -> Bytes {
    vec![7; size].into()
}

/// The module that children have to enable.
pub(crate) const MODULE: &str = module_path!();
