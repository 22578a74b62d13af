//! An actor for one function: it ends with the function, and its result outlives it.
//!
//! ```text
//! cargo run --example actor_spawning_and_causality
//! ```

use pleach::prelude::*;

#[pleach::rpc]
async fn greet(name: String) -> Result<String> {
    Ok(format!("hello {name}, from pid {}", std::process::id()))
}

#[pleach::main]
async fn main() -> Result<()> {
    let portal = pleach::open_nursery(async |n| {
        // The process is named after what it is for; without that, after the function.
        n.run_in_actor(greet("world".into())).name("greeter").await
    })
    .await?;
    // Leaving the nursery waited for the function and for the process. Its value is still here.
    println!("{}", portal.result().await?);
    Ok(())
}
