//! What the tests share: trees over every transport, assertions, notes, processes.

mod notes;
mod processes;

use std::fmt::Debug;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::mpsc::SyncSender;

use libtest_mimic::{Failed, Trial};
use pleach::{Actor, Config, Portal};
pub(crate) use pleach_patience::{FOREVER, patience, scaled, soon};
use tempfile::TempDir;
use tokio::runtime::Builder;

pub(crate) use self::notes::{NoteOnDrop, Notes, note};
pub(crate) use self::processes::{
    RootProcess, Watched, anonymous_memory, become_root_if_told, copy_program, hooks_before_entry, is_there,
    resident_memory, restore_signals, state,
};
use crate::free_address::free_address;

/// The protocols over which actors are processes.
#[cfg(not(feature = "shm"))]
pub(crate) const PROCESSES: [&str; 3] = ["tcp", "uds", "quic"];
#[cfg(feature = "shm")]
pub(crate) const PROCESSES: [&str; 4] = ["tcp", "uds", "quic", "shm"];

/// All built-in protocols but the one in [`WITHIN_TLS`].
#[cfg(not(feature = "shm"))]
pub(crate) const ALL: [&str; 4] = ["mem", "tcp", "uds", "quic"];
#[cfg(feature = "shm")]
pub(crate) const ALL: [&str; 5] = ["mem", "tcp", "uds", "quic", "shm"];

/// TCP within TLS: for a few tests only, as everything above the bytes is the same as over TCP.
pub(crate) const WITHIN_TLS: [&str; 1] = ["tls+tcp"];

/// Makes a test that is named as its function, with the path of its module; otherwise as [`test`].
pub(crate) fn test_fn<B, F>(body: B) -> Trial
where
    B: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    test(name_of::<B>(), body)
}

/// Makes tests that are named as their function, with the path of its module; otherwise as [`matrix`].
///
/// ```ignore
/// tests.extend(matrix_fn(an_end_is_told_once));
///
/// async fn an_end_is_told_once(config: Config) {
///     in_root(config, async |_| …).await.unwrap();
/// }
/// ```
/// One of them is run by `cargo test --test it -- an_end_is_told_once_over_quic_on_threads`.
pub(crate) fn matrix_fn<B, F>(body: B) -> Vec<Trial>
where
    B: Fn(Config) -> F + Copy + Send + 'static,
    F: Future<Output = ()>,
{
    matrix(&name_of::<B>(), body)
}

/// The path of a function below this crate.
fn name_of<B>() -> String {
    let path = std::any::type_name::<B>();
    path.split_once("::").map_or(path, |(_this_crate, below)| below).to_owned()
}

/// Makes a test of an async body that is run on a current-thread runtime, with a bound.
pub(crate) fn test<F>(name: impl Into<String>, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || bounded(&mut Builder::new_current_thread(), body))
}

/// Makes eight tests of one body: over each built-in protocol, on runtimes of one thread and of several.
///
/// The body boots its tree with the configuration that it gets, or with that and changes of its own. Its
/// root runs on the runtime that the configuration tells, and so do its actors.
pub(crate) fn matrix<F>(name: &str, body: impl Fn(Config) -> F + Copy + Send + 'static) -> Vec<Trial>
where
    F: Future<Output = ()>,
{
    matrix_over(&ALL, name, body)
}

/// As [`matrix`], over some protocols only: [`PROCESSES`] for a body whose actors have to be processes.
pub(crate) fn matrix_over<F>(
    protocols: &[&'static str],
    name: &str,
    body: impl Fn(Config) -> F + Copy + Send + 'static,
) -> Vec<Trial>
where
    F: Future<Output = ()>,
{
    let settings = protocols.iter().flat_map(|protocol| [(*protocol, false), (*protocol, true)]);
    let make = |(protocol, multi_thread)| {
        let name = format!("{name}_over_{protocol}{}", if multi_thread { "_on_threads" } else { "" });
        Trial::test(name, move || {
            let mut tokio = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
            bounded(&mut tokio, || body(Config { multi_thread, ..over(protocol) }))
        })
    };
    settings.map(make).collect()
}

/// Runs a body on a runtime of its own until it ends, or its time is up.
fn bounded<F: Future<Output = ()>>(tokio: &mut Builder, body: impl FnOnce() -> F) -> Result<(), Failed> {
    let tokio = tokio.enable_all().build()?;
    let patience = 2 * patience();
    let bounded = async { tokio::time::timeout(patience, body()).await };
    tokio.block_on(bounded).map_err(|_| format!("did not end within {patience:?}").into())
}

/// A configuration for a transport, with bounds that this machine keeps however busy it is.
///
/// A test in which one of them has to strike sets that one, to [`soon`].
pub(crate) fn over(protocol: &str) -> Config {
    let default = Config::default();
    Config {
        transport: protocol.into(),
        cancel_ack: patience(),
        soft_reap: patience(),
        kill_after: patience(),
        give_up_after: patience(),
        connect_back: patience(),
        handshake: patience(),
        task_cancel: scaled(default.task_cancel),
        drain: scaled(default.drain),
        peers: scaled(default.peers),
        dial: scaled(default.dial),
        death_notice: scaled(default.death_notice),
        deregister: scaled(default.deregister),
        ..default
    }
}

/// Runs `body` in the root of a tree.
pub(crate) async fn in_root<T, F, Fut>(config: Config, body: F) -> pleach::Result<T>
where
    F: FnOnce(Actor) -> Fut,
    Fut: Future<Output = pleach::Result<T>>,
{
    pleach::open_root(config, body).await
}

/// Runs the root of a tree, and beside it, in the same process, another one that joins it, with `body` in it.
pub(crate) async fn with_joined<F, Fut>(registrar: Config, joining: Config, body: F)
where
    F: FnOnce(Actor, Actor) -> Fut,
    Fut: Future<Output = pleach::Result<()>>,
{
    let (tell, told) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel::<()>();
    let first = in_root(registrar, async |actor| {
        assert!(actor.is_registrar());
        let _ = tell.send(actor); // the other one may have failed
        let _ = is_done.await; // or may be gone
        Ok(())
    });
    let second = async {
        let _done = done;
        let registrar = told.await.expect("the first root has started");
        in_root(joining, async |actor| {
            assert!(!actor.is_registrar());
            body(registrar, actor).await
        })
        .await
    };
    let (first, second) = tokio::join!(first, second);
    second.unwrap();
    first.unwrap();
}

/// A directory with a key for programs that join each other, and with sockets of theirs.
pub(crate) struct Meeting(TempDir);

impl Meeting {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Where the registrar is, over a protocol that has processes.
    pub(crate) fn address(&self, protocol: &str) -> pleach::wire::Address {
        let address = match protocol {
            "uds" | "shm" => format!("{protocol}://{}", self.0.path().join("registrar.sock").display()),
            "mem" => format!("mem://{}", self.0.path().display()),
            _ => format!("{protocol}://{}", free_address()),
        };
        address.parse().unwrap()
    }

    /// What all programs that meet at `registry` are configured with.
    pub(crate) fn config(&self, registry: &[pleach::wire::Address]) -> Config {
        let protocol = registry.first().map_or("uds", |address| address.protocol());
        Config { registry: registry.to_vec(), key_file: Some(self.0.path().join("key")), ..over(protocol) }
    }
}

/// Runs `body` in a nursery of the root of a tree.
pub(crate) async fn in_nursery<T, F, Fut>(config: Config, body: F) -> pleach::Result<T>
where
    F: FnOnce(pleach::Nursery) -> Fut,
    Fut: Future<Output = pleach::Result<T>>,
{
    in_root(config, async |_| pleach::open_nursery(body).await).await
}

/// Runs `body` with a daemon `peer` that exposes `module`.
pub(crate) async fn with_peer<F, Fut>(config: Config, module: &str, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = pleach::Result<()>>,
{
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module).await?;
            body(portal.clone()).await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// Asserts that an error's text has all of `parts` in it.
pub(crate) fn assert_says<T: Debug>(result: &pleach::Result<T>, parts: &[&str]) {
    let text = match result {
        Ok(value) => panic!("expected an error that says {parts:?}, got {value:?}"),
        Err(error) => format!("{error:?}"),
    };
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    // An assertion that failed in the body of a nursery is an error beside the expected one.
    let panicked = "a task panicked";
    assert!(!text.contains(panicked) || parts.iter().any(|part| part.contains("panicked")), "{text}");
}

/// Asserts that an error was raised at the bottom of the tree `top` → `level2` → `level1`, and that each
/// actor on its way up is named.
pub(crate) fn assert_climbed(result: pleach::Result<()>) {
    match result {
        Err(pleach::Error::Remote(remote)) => {
            assert_eq!((remote.message.as_str(), remote.src.name()), ("at the bottom", "level1"));
            let hops: Vec<_> = remote.relay_path.iter().map(|hop| hop.name()).collect();
            assert_eq!(hops, ["level2", "top"]);
        }
        other => panic!("{other:?}"),
    }
}

/// Sends each piece of the log to its reader.
pub(crate) struct Log(pub(crate) SyncSender<String>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(text).into_owned()); // the reader has left
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets something begin that takes longer.
pub(crate) async fn poll_once<F: Future + ?Sized>(begun: Pin<&mut F>) {
    tokio::select! {
        biased;
        _ = begun => panic!("it ended at once"),
        () = std::future::ready(()) => {}
    }
}
