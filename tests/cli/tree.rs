//! A tree in this program, with one actor, which is this program again.

use pleach::Config;
use pleach::prelude::*;

#[pleach::rpc]
pub(crate) async fn rest() -> Result<()> {
    std::future::pending().await
}

/// Looks at a tree while a function runs in its actor of that name.
pub(crate) fn while_it_runs(actor: &'static str, function: Call<()>, look: impl FnOnce() + Send + 'static) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let short = std::time::Duration::from_millis(200);
    let config = Config { transport: "uds".into(), soft_reap: short, kill_after: short, ..Config::default() };
    let ended: Result<()> = tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor(actor).enable(module_path!()).await?;
            tokio::select! {
                ended = portal.run(function) => panic!("it never ends: {ended:?}"),
                looked = tokio::task::spawn_blocking(look) => looked.unwrap(),
            }
            Err(Error::Usage("enough seen".into()))
        })
        .await
    }));
    assert!(ended.unwrap_err().to_string().contains("enough seen"));
}
