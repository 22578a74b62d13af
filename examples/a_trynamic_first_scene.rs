//! Two actors that look each other up, and say hello.
//!
//! ```text
//! cargo run --example a_trynamic_first_scene
//! ```

use pleach::prelude::*;

/// Introduces itself to its caller.
#[pleach::rpc]
async fn hi() -> Result<String> {
    let here = pleach::current_actor().expect("an exposed function runs in an actor");
    Ok(here.id().name().to_owned())
}

/// Waits for the other one, and greets it.
#[pleach::rpc]
async fn say_hello(other: String) -> Result<String> {
    let portal = pleach::wait_for_actor(other).await?;
    let name = portal.run(hi()).await?;
    portal.close().await?;
    Ok(name)
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        println!("Alright... Action!");
        let donny = n.run_in_actor(say_hello("gretchen".into())).name("donny").await?;
        let gretchen = n.run_in_actor(say_hello("donny".into())).name("gretchen").await?;
        println!("Hi my name is {}", gretchen.result().await?);
        println!("Hi my name is {}", donny.result().await?);
        println!("CUTTTT CUUTT CUT!!! Donny!! You're supposed to say...");
        Ok(())
    })
    .await
}
