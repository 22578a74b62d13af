//! An actor for each core, all of them asleep; then the root fails, and no process is left.
//!
//! ```text
//! cargo run --example we_are_processes
//! ```
//!
//! While it runs, look at the tree with `pstree -p` or `htop`. It ends by itself after two seconds.

use std::num::NonZero;
use std::time::Duration;

use pleach::prelude::*;

#[pleach::rpc]
async fn sleep_forever() -> Result<()> {
    if let Some(actor) = pleach::current_actor() {
        println!("{} sleeps", actor.id());
    }
    std::future::pending().await
}

#[pleach::main]
async fn main() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let outcome: anyhow::Result<()> = pleach::open_nursery(async |n| {
        for core in 1..=cores {
            n.run_in_actor(sleep_forever()).name(format!("core-{core}")).await?;
        }
        println!("the root self-destructs in 2 s");
        tokio::time::sleep(Duration::from_secs(2)).await;
        anyhow::bail!("the root has had enough")
    })
    .await;
    // The nursery was left with an error, and only after the last of its processes had ended.
    match outcome {
        Ok(()) => println!("nothing happened"),
        Err(error) => println!("{error}\nZombies Contained"),
    }
    Ok(())
}
