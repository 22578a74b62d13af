//! The first program: a function that runs here and in a child process, and a dialog with one there.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use pleach::prelude::*;

#[pleach::rpc]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

/// Says a text first, receives numbers, sends numbers; returns how many it doubled.
#[pleach::context]
async fn doubler(ctx: &mut Context<String, u64, u64>, limit: u64) -> anyhow::Result<u64> {
    ctx.started("ready".into()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut seen = 0;
    while let Some(n) = stream.recv().await? {
        anyhow::ensure!(n <= limit, "{n} is more than {limit}"); // any type of error will do
        stream.send(n * 2).await?;
        seen += 1;
    }
    Ok(seen)
}

async fn double(portal: &Portal, numbers: &[u64]) -> Result<u64> {
    portal
        .open_context(doubler(100), async |ctx, first| {
            println!("there: {first}");
            let mut stream = ctx.open_stream().await?;
            for n in numbers {
                stream.send(*n).await?;
                if let Some(doubled) = stream.recv().await? {
                    println!("there: 2 * {n} = {doubled}");
                }
            }
            stream.close().await?; // the doubler's loop ends, and it returns
            ctx.result().await
        })
        .await
}

#[pleach::main] // a child process enters here too, and becomes an actor
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable(module_path!()).await?;
        println!("here:  1 + 2 = {}", add(1, 2).await?);
        println!("there: 1 + 2 = {}, in {}", portal.run(add(1, 2)).await?, portal.id());
        println!("there: doubled {} numbers", double(&portal, &[21, 34]).await?);
        if let Err(error) = double(&portal, &[50, 1000]).await {
            println!("there: {error}");
        }
        portal.cancel_actor().await // a daemon lives until it is cancelled
    })
    .await
}
