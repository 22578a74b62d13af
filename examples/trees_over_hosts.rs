//! Actors on several hosts that find each other by name, and call each other without their parent in between.
//!
//! ```text
//! PLEACH_HOSTS=ssh:node2,ssh:node3 cargo run --example trees_over_hosts
//! PLEACH_HOSTS=ssh:node2,local PLEACH_LISTEN=quic://0.0.0.0:0 cargo run --example trees_over_hosts
//! ```
//!
//! An actor on this host listens only for others on this host unless `listen` says otherwise. Without hosts in the
//! configuration, they are all here.

use futures_util::future::try_join_all;
use pleach::prelude::*;
use pleach::trionics::{Cluster, open_actor_cluster};

/// What this program's functions are called by.
const MODULE: &str = module_path!();

#[pleach::rpc]
async fn say_where_you_are() -> Result<String> {
    let actor = pleach::current_actor().ok_or_else(|| Error::Usage("not inside an actor".into()))?;
    Ok(format!("{} at {}", actor.id().name(), actor.id().host()))
}

/// Finds another actor by its name and calls it, and then the root.
#[pleach::rpc]
async fn call_up(name: String) -> Result<String> {
    let there = pleach::find_actor(&name).required().await?.run(say_where_you_are()).await?;
    let top = pleach::find_actor("root").required().await?.run(say_where_you_are()).await?;
    Ok(format!("{} found {there}, and {top}", say_where_you_are().await?))
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_root(Config::load()?, async |root| {
        root.enable(MODULE);
        open_actor_cluster(Cluster::new().enable(MODULE), async |portals| {
            // Each one looks for the next, and the last one for the first.
            let names: Vec<_> = portals.keys().cloned().collect();
            let sought = names.iter().cycle().skip(1);
            let calls = portals.values().zip(sought).map(|(portal, name)| portal.run(call_up(name.clone())));
            for words in try_join_all(calls).await? {
                println!("{words}");
            }
            pleach::Ok(())
        })
        .await
    })
    .await
}
