//! The program around the tree of a test: the expansion of `#[pleach::test]`.
//!
//! Unlike in [`run_main`](super::main::run_main), signals end the program at once, as they do any test, and what this library
//! logs is shown only by a subscriber of the program.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use futures_util::FutureExt as _;

use super::main::Flavor;
use super::root::open_root;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::runtime::wait_for_reaper;
use crate::spawn::entry::async_runtime;
use crate::spawn::tested::{Running, Test};
use crate::testing::{self, schedule, seeds};

/// The options of `#[pleach::test]`.
#[derive(Clone, Copy, Debug)]
pub struct TestOptions {
    /// The async runtime of its root.
    pub flavor: Flavor,
    /// The transport of its tree, whatever the configuration says.
    pub transport: Option<&'static str>,
    /// Whether the time of its tree is paused.
    pub start_paused: bool,
    /// That of its schedule, if it has one.
    pub seed: Option<u64>,
    /// Whether it passes although its tree has left something.
    pub may_leak: bool,
}

/// Runs the body of a test in a root of its own; `#[pleach::test]` calls this.
///
/// # Panics
/// When the root can't be opened, or was asked to end; when the body panics; when its tree has left something, unless it
/// `may_leak`.
pub fn run_test<T, F>(
    test: &'static Test,
    options: TestOptions,
    config: impl FnOnce() -> Result<Config>,
    body: impl FnOnce() -> F,
) -> T
where
    F: Future<Output = T>,
{
    let (multi_thread, workers) = options.flavor.threads();
    let tokio = async_runtime(multi_thread, workers).expect("a test can't start without an async runtime");
    let root = OnceLock::new();
    let in_root = async {
        let mut config = config()?;
        if let Some(transport) = options.transport {
            config.transport = transport.to_owned();
        }
        // Its value is the test's, whatever that is: an error in it has ended the nurseries that it went through.
        open_root(config, async |actor| {
            root.get_or_init(|| actor.id().clone());
            options.seed.map_or(Ok(()), schedule)?;
            Ok::<_, Error>(body().await)
        })
        .await
    };
    let ended = tokio.block_on(async {
        if options.start_paused {
            tokio::time::pause();
        }
        let _running = Running::begin(test);
        let ended = AssertUnwindSafe(in_root).catch_unwind().await;
        // Also after a panic: no actor of it is left when the next test begins.
        wait_for_reaper().await;
        ended
    });
    match ended {
        Ok(Ok(value)) => {
            let leaks = testing::leaks().into_iter().filter(|leak| root.get() == Some(&leak.root));
            let leaks: Vec<_> = leaks.map(|leak| leak.what.to_string()).collect();
            assert!(options.may_leak || leaks.is_empty(), "the tree of this test has left {}", leaks.join(", "));
            value
        }
        Ok(Err(error)) => panic!("the root of this test has failed: {error:?}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs the body of a test once for each of so many seeds, until one fails; `#[pleach::test(seeds = …)]` calls this.
///
/// # Panics
/// As [`run_test`]; and if the variable with a seed has none.
pub fn run_seeds<T, F>(
    test: &'static Test,
    options: TestOptions,
    number: u64,
    config: impl Fn() -> Result<Config>,
    body: impl Fn() -> F,
) -> T
where
    T: TestResult,
    F: Future<Output = T>,
{
    let mut last = None;
    for seed in seeds::to_run(number).unwrap_or_else(|wrong| panic!("{wrong}")) {
        let options = TestOptions { seed: Some(seed), ..options };
        match catch_unwind(AssertUnwindSafe(|| run_test(test, options, &config, &body))) {
            Ok(result) if !result.has_failed() => last = Some(result),
            Ok(failed) => {
                say_seed(seed);
                return failed;
            }
            Err(panic) => {
                say_seed(seed);
                resume_unwind(panic);
            }
        }
    }
    last.expect("the macro lets no test have 0 seeds")
}

/// Shows which seed has failed, where `cargo test` shows what a test has printed.
fn say_seed(seed: u64) {
    println!("this test fails with seed {seed}; `{}={seed}` runs it with that one alone", seeds::VARIABLE);
}

/// What a test with seeds returns.
pub trait TestResult {
    /// Returns whether the test has failed.
    fn has_failed(&self) -> bool;
}

impl TestResult for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E> TestResult for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }
}
