use pleach::prelude::*;

#[pleach::context]
async fn talks(ctx: &mut Context<bool, u64, String>) -> Result<u64> {
    ctx.started(true).await?;
    let mut stream = ctx.open_stream().await?;
    let _: Option<String> = stream.recv().await?;
    stream.send(1_u64).await?;
    Ok(1)
}

#[pleach::stream]
async fn sends(out: &mut StreamSender<u64>) -> Result<()> {
    out.send("text").await
}

#[pleach::stream]
fn generates() -> impl futures_util::Stream<Item = Result<u64>> {
    futures_util::stream::iter([Ok("text")])
}

async fn open(portal: Portal) -> Result<()> {
    portal
        .open_context(talks(), async |ctx, _: bool| {
            let mut stream = ctx.open_stream().await?;
            stream.send("text".to_owned()).await?;
            let _: Option<u64> = stream.recv().await?;
            Ok::<_, Error>(())
        })
        .await?;
    portal
        .open_stream_from(sends(), async |mut stream| {
            let _: Option<String> = stream.recv().await?;
            Ok::<_, Error>(())
        })
        .await
}

fn main() {}
