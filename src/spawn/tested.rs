//! Entry by a test: how a process of a test program becomes an actor, where `main` belongs to the harness.
//!
//! A child has the harness run one test, the one that its parent runs. The test finds that its process was started as an
//! actor, and becomes it instead of running its body. So an actor begins as any Rust program does: after all static
//! constructors, with the standard library's handling of signals and stack overflows; and nothing is hooked in.
//!
//! # Invariants
//! 1. The arguments have the harness run that test alone, on any list of tests; they don't depend on those of the parent.

use std::sync::Mutex;

use linkme::distributed_slice;
use tokio::runtime::{Handle, Id};

use super::entry;
use crate::os::{harness, ties};
use crate::sync::lock;

/// A test of `#[pleach::test]`.
#[derive(Debug)]
pub struct Test {
    /// Its crate, modules and name.
    path: &'static str,
}

impl Test {
    /// Describes the test of that path; used by the macro.
    pub const fn new(path: &'static str) -> Self {
        Self { path }
    }

    /// Makes this process an actor if it was started as one; otherwise returns at once.
    pub fn enter(&self) {
        if is_actor() {
            entry::end_as(|| {
                let given_back = harness::give_back_stdout();
                given_back.map_err(entry::unusable("standard output can't be given back"))?;
                entry::run_process()
            });
        }
    }

    /// Its name for the harness, which leaves out the crate.
    fn name(&self) -> &'static str {
        self.path.split_once("::").map_or(self.path, |(_crate, below)| below)
    }
}

/// The tests of this program.
#[distributed_slice]
pub static TESTS: [Test];

/// A test that runs, in the async runtime in which this was made. Dropping it ends that.
pub(crate) struct Running(Id);

impl Running {
    pub(crate) fn begin(test: &'static Test) -> Self {
        let here = Handle::current().id();
        lock(&RUNNING).push((here, test));
        Self(here)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&RUNNING).retain(|(at, _)| *at != self.0);
    }
}

/// Returns the arguments with which a child of this program becomes an actor by a test, if there is one.
pub(super) fn arguments() -> Option<Vec<String>> {
    let test = test_here()?;
    let options = ["--exact", "--include-ignored", "--nocapture", "--quiet", "--test-threads=1"];
    Some([ties::TESTED].into_iter().chain(options).map(String::from).chain([test]).collect())
}

/// The test by which this process has entered, or that runs here; any other will do for code in none.
fn test_here() -> Option<String> {
    if is_actor() {
        return std::env::args().next_back();
    }
    let here = Handle::try_current().map(|tokio| tokio.id());
    let running = lock(&RUNNING);
    let running = running.iter().find(|(at, _)| here.as_ref().is_ok_and(|here| here == at)).map(|(_, test)| *test);
    running.or(TESTS.first()).map(|test| test.name().to_owned())
}

fn is_actor() -> bool {
    std::env::args_os().nth(1).is_some_and(|mark| mark == ties::TESTED)
}

static RUNNING: Mutex<Vec<(Id, &'static Test)>> = Mutex::new(Vec::new());
