//! A tree in this program, with one actor, which is this program again, or a thread of it.

use std::sync::Mutex;
use std::time::Duration;

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

/// Looks at a tree while a function runs in its actor of that name.
///
/// One tree is there at a time: it is found by the number of this process.
pub(crate) fn while_it_runs(
    setup: Setup,
    actor: &'static str,
    function: Call<()>,
    look: impl FnOnce() + Send + 'static,
) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (short, module) = (Duration::from_millis(200), function.module());
    let Setup { protocol, multi_thread } = setup;
    let config =
        Config { transport: protocol.into(), multi_thread, soft_reap: short, kill_after: short, ..Config::default() };
    let ended: Result<()> = tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor(actor).enable(module).await?;
            tokio::select! {
                biased;
                looked = tokio::task::spawn_blocking(look) => looked.unwrap(),
                ended = portal.run(function) => panic!("it does not end before: {ended:?}"),
            }
            Err(Error::Usage("enough seen".into()))
        })
        .await
    }));
    assert!(ended.unwrap_err().to_string().contains("enough seen"));
}
