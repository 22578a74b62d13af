//! A tree in this program, with one actor, which is this program again, or a thread of it.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pleach::Config;
use pleach::prelude::*;

/// The kind of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) protocol: &'static str,
    pub(crate) multi_thread: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { protocol: "uds", multi_thread: false }
    }
}

#[pleach::rpc]
pub(crate) async fn rest() -> Result<()> {
    std::future::pending().await
}

/// Waits for the turn of a tree in this process: one is there at a time, as it is found by the number of the process.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs a body in the root of a tree.
pub(crate) fn in_root<T>(config: Config, body: impl AsyncFnOnce(pleach::Actor) -> Result<T>) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(pleach::open_root(config, async move |root| body(root).await)).unwrap()
}

/// Looks at a tree while a function runs in its actor of that name; the looks may end the actor.
pub(crate) fn while_it_runs(
    setup: Setup,
    actor: &'static str,
    function: Call<()>,
    look: impl FnOnce() + Send + 'static,
) {
    let _turn = turn();
    let (path, module) = (format!("{}::{}", function.module(), function.name()), function.module());
    let (looked, has_looked) = tokio::sync::oneshot::channel();
    let looking = std::thread::spawn(move || {
        let _looked: tokio::sync::oneshot::Sender<()> = looked; // dropped by a panic, too
        wait_until_it_runs(&path);
        look();
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let short = Duration::from_millis(200);
    let Setup { protocol, multi_thread } = setup;
    let config =
        Config { transport: protocol.into(), multi_thread, soft_reap: short, kill_after: short, ..Config::default() };
    let _ended: Result<()> = tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor(actor).enable(module).await?;
            tokio::select! {
                _looked = has_looked => Err(Error::Usage("enough seen".into())),
                // Its end may be seen first; the actor, which rests then, is to end all the same.
                ended = portal.run(function) => ended.and(Err(Error::Usage("it has ended".into()))),
            }
        })
        .await
    }));
    if let Err(panic) = looking.join() {
        std::panic::resume_unwind(panic);
    }
}

fn wait_until_it_runs(path: &str) {
    let until = Instant::now() + pleach_patience::patience();
    while Instant::now() < until {
        let found = pleach::inspect::processes().unwrap().into_iter().filter_map(|process| process.report.ok());
        let trees = found.flat_map(|process| process.actors).filter(|actor| {
            let of_this = |id: &pleach::ActorId| id.pid() == std::process::id();
            actor.parent.as_ref().is_some_and(of_this)
        });
        let mut lines = trees.flat_map(|actor| actor.peers.unwrap_or_default());
        if lines.any(|line| line.running.iter().flatten().any(|running| running.function == path)) {
            return;
        }
    }
    panic!("{path} does not run");
}
