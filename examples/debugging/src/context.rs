//! Contexts that stand still.

use pleach::prelude::*;

#[pleach::context]
async fn count(ctx: &mut Context<u32, u32, u32>) -> Result<()> {
    ctx.started(1).await?;
    pleach::pause().await;
    Ok(())
}

/// The child does not expose the function: the refusal is shown in the root.
pub(super) async fn is_not_enabled() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("closed").await?;
        portal.open_context(count(), async |ctx, _first| ctx.result().await).await
    })
    .await
}

pub(super) async fn pauses() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("counter").enable(module_path!()).await?;
        portal
            .open_context(count(), async |ctx, first| {
                println!("started with {first}");
                ctx.result().await
            })
            .await?;
        portal.cancel_actor().await
    })
    .await
}
