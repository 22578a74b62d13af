//! The registry in a real etcd, which the tests start and stop by `tests/servers/etcd`.
//!
//! `cargo test --features etcd --test etcd`

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]
#![expect(clippy::disallowed_methods, reason = "processes of tests exit; nothing is left to clean up there")]

mod latency;
mod outages;
mod processes;
mod protected;
#[path = "../it/registry_suite.rs"]
mod registry_suite;
mod server;
mod trees;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pleach::discovery::etcd::Etcd;
use pleach::error::Result;
use pleach_patience::patience;
use tokio_util::task::TaskTracker;

use crate::registry_suite::{CHECKS, Subject};
use crate::server::Server;

fn main() -> ExitCode {
    pleach::init();
    trees::become_one_if_told();
    processes::become_one_if_told();
    // One for all checks, each with a prefix of its own; started when the first one needs it.
    let server = Arc::new(OnceLock::new());
    let mut tests: Vec<Trial> = CHECKS.iter().map(|(name, check)| suite_test(name, *check, server.clone())).collect();
    drop(server);
    let others = [latency::tests(), outages::tests(), processes::tests(), protected::tests(), trees::tests()];
    tests.extend(others.into_iter().flatten());
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn suite_test(name: &'static str, check: registry_suite::Check, server: Arc<OnceLock<Server>>) -> Trial {
    test(format!("suite::{name}"), async move || {
        let server = server.get_or_init(Server::start);
        with_registry(&server.address(name), LEASE, check).await
    })
}

/// Makes a test of an async body that is run on a current-thread runtime, with a bound.
fn test<F>(name: impl Into<String>, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        run(body)
    })
}

/// As [`test`], while no other test of these runs: for what is measured.
fn test_alone<F>(name: impl Into<String>, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        run(body)
    })
}

fn run<F: Future<Output = Result<()>>>(body: impl FnOnce() -> F) -> Result<(), Failed> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let patience = 3 * patience();
    let ended = tokio.block_on(async { tokio::time::timeout(patience, body()).await });
    let ended = ended.map_err(|_| Failed::from(format!("did not end within {patience:?}")))?;
    ended.map_err(|error| format!("{error:?}").into())
}

/// Runs `body` with a registry, and waits for the end of all its tasks.
async fn with_registry<F>(address: &str, lease: Duration, body: impl FnOnce(Subject) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let tasks = TaskTracker::new();
    let registry: Subject = Arc::new(Etcd::connect(address, lease, REQUEST, &tasks).await?);
    body(registry).await?;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Shared by the tests, or held by one alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// How long a lease is, unless it matters.
const LEASE: Duration = Duration::from_secs(10);

/// The shortest lease that etcd knows.
const SHORT_LEASE: Duration = Duration::from_secs(2);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(3);
