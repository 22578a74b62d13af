//! A daemon: an actor that takes any number of calls and lives until it is cancelled.
//!
//! ```text
//! cargo run --example actor_spawning_and_causality_with_daemon
//! ```

use pleach::prelude::*;

#[pleach::rpc]
async fn answer() -> Result<String> {
    Ok(format!("still here, as pid {}", std::process::id()))
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("frank").enable(module_path!()).await?;
        println!("{}", portal.run(answer()).await?);
        println!("{}", portal.run(answer()).await?);
        // Without this, the nursery would wait for frank for ever.
        portal.cancel_actor().await
    })
    .await
}
