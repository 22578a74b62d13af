//! The first program: a function that runs here, in a child process, and fails there.
//!
//! `cargo run --example quickstart`

use pleach::prelude::*;

#[pleach::rpc]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

#[pleach::rpc]
async fn divide(a: i64, b: i64) -> anyhow::Result<i64> {
    anyhow::ensure!(b != 0, "can't divide {a} by zero");
    Ok(a / b)
}

#[pleach::main] // a child process enters here too, and becomes an actor
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable(module_path!()).await?;
        println!("here:  1 + 2 = {}", add(1, 2).await?);
        println!("there: 1 + 2 = {}, in {}", portal.run(add(1, 2)).await?, portal.id());
        if let Err(error) = portal.run(divide(1, 0)).await {
            println!("there: {error}");
        }
        portal.cancel_actor().await // a daemon lives until somebody cancels it
    })
    .await
}
