//! Five ways in which a context ends early: who ends it, who is told, and what comes out.
//!
//! ```text
//! cargo run --example cancel_a_context
//! ```
//!
//! In each of them, the block is left only when the task in the other process has ended.

use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use pleach::prelude::*;

/// Prints its text when its task has ended, for whatever reason.
struct Over(&'static str);

impl Drop for Over {
    fn drop(&mut self) {
        println!("   {}", self.0);
    }
}

#[pleach::context]
async fn works_for_ever(ctx: &mut Context<(), (), ()>) -> Result<()> {
    let _over = Over("there: my task was cancelled");
    ctx.started(()).await?;
    pending().await
}

#[pleach::context]
async fn gives_up(ctx: &mut Context<(), (), ()>) -> anyhow::Result<()> {
    ctx.started(()).await?;
    ctx.open_stream().await?.recv().await?; // the block has begun
    anyhow::bail!("I have had enough")
}

fn show<E: Display>(outcome: Result<(), E>) {
    match outcome {
        Ok(()) => println!("   out comes: no error"),
        Err(error) => println!("   out comes: {error}"),
    }
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable(module_path!()).await?;

        println!("1. The caller has what it needs, and cancels.");
        let outcome = portal.open_context(works_for_ever(), async |ctx, ()| ctx.cancel().await);
        show(outcome.await);

        println!("2. The caller fails.");
        let outcome = portal
            .open_context(works_for_ever(), async |_, ()| -> anyhow::Result<()> { anyhow::bail!("I can't go on") });
        show(outcome.await);

        println!("3. The caller runs out of time.");
        let outcome = portal.open_context(works_for_ever(), async |_, ()| pending::<Result<()>>().await);
        show(fail_after(Duration::from_millis(100), outcome).await);

        println!("4. The function fails.");
        let outcome = portal.open_context(gives_up(), async |ctx, ()| {
            let _over = Over("here: my block was interrupted");
            ctx.open_stream().await?.send(()).await?;
            pending::<Result<()>>().await
        });
        show(outcome.await);

        println!("5. A third party cancels its actor.");
        let outcome = portal.open_context(works_for_ever(), async |_, ()| {
            let _over = Over("here: my block was interrupted");
            portal.cancel_actor().await?;
            pending::<Result<()>>().await
        });
        show(outcome.await);
        Ok(())
    })
    .await
}
