//! Ten times ping and pong, over the stream of a context.
//!
//! ```text
//! cargo run --example rpc_bidir_streaming
//! ```
//!
//! A stream goes both ways. A side that has sent enough closes it, and the other side's loop ends.

use pleach::prelude::*;

/// Answers each ping with its number; returns how many there were.
#[pleach::context]
async fn table(ctx: &mut Context<String, u32, String>) -> Result<u32> {
    ctx.started("your serve".into()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut returned = 0;
    while let Some(ping) = stream.recv().await? {
        stream.send(format!("pong {ping}")).await?;
        returned += 1;
    }
    Ok(returned)
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("table").enable(module_path!()).await?;
        let returned = portal
            .open_context(table(), async |ctx, first| {
                println!("{first}");
                let mut stream = ctx.open_stream().await?;
                for number in 1..=10 {
                    stream.send(number).await?;
                    let Some(pong) = stream.recv().await? else { break };
                    println!("ping {number}, {pong}");
                }
                stream.close().await?;
                ctx.result().await
            })
            .await?;
        println!("{returned} pings came back from {}", portal.id());
        portal.cancel_actor().await
    })
    .await
}
