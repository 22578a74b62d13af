//! One actor for each processor, each says who it is; then they are cancelled together.
//!
//! ```text
//! cargo run --example quick_cluster
//! PLEACH_HOSTS='ssh:node2*2,local' cargo run --example quick_cluster
//! ```
//!
//! With hosts in the configuration, they are spread over these.

use futures_util::future::try_join_all;
use pleach::prelude::*;
use pleach::trionics::{Cluster, open_actor_cluster};

/// Says who runs it.
#[pleach::rpc]
async fn introduce_yourself() -> Result<String> {
    let actor = pleach::current_actor().ok_or_else(|| Error::Usage("not inside an actor".into()))?;
    Ok(format!("{} at {}", actor.id(), actor.id().host()))
}

#[pleach::main]
async fn main() -> Result<()> {
    let cluster = Cluster::new().enable(module_path!());
    let number = open_actor_cluster(cluster, async |portals| {
        for words in try_join_all(portals.values().map(|portal| portal.run(introduce_yourself()))).await? {
            println!("here is {words}");
        }
        pleach::Ok(portals.len())
    })
    .await?;
    println!("{number} actors were started and cancelled");
    Ok(())
}
