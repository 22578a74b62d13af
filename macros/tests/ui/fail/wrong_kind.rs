use pleach::prelude::*;

#[pleach::rpc]
async fn answers() -> Result<u64> {
    Ok(1)
}

#[pleach::context]
async fn talks(ctx: &mut Context<(), u64, String>) -> Result<u64> {
    ctx.started(()).await?;
    Ok(1)
}

#[pleach::stream]
async fn sends(out: &mut StreamSender<u64>) -> Result<()> {
    out.send(1).await
}

async fn run(portal: Portal) {
    portal.run(talks()).await;
    portal.run(sends()).await;
}

async fn run_in_actor(nursery: Nursery) {
    nursery.run_in_actor(sends());
}

async fn open_context(portal: Portal) {
    portal.open_context(answers(), async |_, ()| Ok::<_, Error>(())).await;
    portal.open_context(sends(), async |_, ()| Ok::<_, Error>(())).await;
}

async fn open_stream_from(portal: Portal) {
    portal.open_stream_from(answers(), async |_| Ok::<_, Error>(())).await;
    portal.open_stream_from(talks(), async |_| Ok::<_, Error>(())).await;
}

async fn here() {
    sends().await;
}

fn main() {}
