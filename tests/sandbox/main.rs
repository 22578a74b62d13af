//! What code in a sandbox can't do, and what it can: tried, against the table of the handbook's page.
//!
//! `cargo test --features sandbox --test sandbox`, as root or as an ordinary user: what needs root is left out then. The
//! kernel has to have what a sandbox needs; without that all of these fail.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]

mod attempts;
mod limits;
mod refusals;
mod table;
mod widened;
mod work;

use std::fmt::Debug;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use pleach::prelude::*;
use pleach_patience::patience;

fn main() -> ExitCode {
    let _one_more = refusals::thread_before_entry();
    pleach::init();
    let tests = [table::tests(), widened::tests(), limits::tests(), refusals::tests(), work::tests()];
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().flatten().collect()).exit_code()
}

/// The transports whose actors are processes.
#[cfg(not(feature = "shm"))]
const PROCESSES: [&str; 4] = ["uds", "tcp", "tls+tcp", "quic"];
#[cfg(feature = "shm")]
const PROCESSES: [&str; 5] = ["uds", "tcp", "tls+tcp", "quic", "shm"];

/// Makes a test of an async body, with a bound.
fn test<F>(name: impl Into<String>, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let patience = 3 * patience();
        let ended = tokio.block_on(async { tokio::time::timeout(patience, body()).await });
        ended.map_err(|_| Failed::from(format!("did not end within {patience:?}")))
    })
}

/// Opens a root over `transport`, and a nursery in it; nothing is left of either.
async fn in_nursery<T, F>(transport: &str, body: impl FnOnce(Nursery) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let config = Config { transport: transport.into(), ..Config::default() };
    pleach::open_root(config, async |_| pleach::open_nursery(body).await).await
}

fn assert_says<T: Debug>(result: &Result<T>, parts: &[&str]) {
    let said = format!("{:?}", result.as_ref().expect_err("it should have failed"));
    assert!(parts.iter().all(|part| said.contains(part)), "not all of {parts:?} in:\n{said}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
