//! Every shape of context that can be exposed, in a crate without unsafe code and without warnings.

#![forbid(unsafe_code)]
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]

use std::collections::HashMap;

use bytes::Bytes;
use pleach::{Blob, Context, ContextCall, Portal, Result};

/// Functions keep their visibility, and the context's path may be written out.
mod inner {
    /// Only says that it has started.
    #[pleach::context]
    pub(crate) async fn starts(ctx: &mut pleach::Context<(), (), ()>) -> pleach::Result<()> {
        ctx.started(()).await
    }
}

/// The three types, an argument that changes, and an error of any type.
#[pleach::context]
async fn doubler(ctx: &mut Context<String, u64, u64>, mut limit: u64) -> anyhow::Result<u64> {
    ctx.started("ready".into()).await?;
    let mut stream = ctx.open_stream().buffer(8).backpressure(true).await?;
    while let Some(n) = stream.recv().await? {
        anyhow::ensure!(n <= limit, "{n} is too big");
        limit -= n;
        stream.send(n * 2).await?;
    }
    Ok(limit)
}

/// Messages may be of any owned type; blobs are not copied.
#[pleach::context]
async fn messages(
    ctx: &mut Context<Option<Vec<u8>>, HashMap<String, u64>, (u8, Blob)>,
    data: Bytes,
) -> Result<Blob, std::io::Error> {
    ctx.started(None).await.map_err(std::io::Error::other)?;
    Ok(Blob(data))
}

/// The context may have any name, also one that an expansion might have taken.
#[pleach::context]
async fn named(request: &mut Context<u8, u8, u8>, context: u8) -> Result<u8> {
    request.started(context).await?;
    Ok(context)
}

/// Lints and warnings about the function reach those who wrote it or open it.
#[must_use]
#[deprecated = "for the test"]
#[pleach::context]
async fn old(ctx: &mut Context<u8, (), ()>) -> Result<()> {
    ctx.started(1).await
}

/// The caller's types are the callee's, with the directions turned round; the body's error is its own.
async fn open(portal: &Portal) -> anyhow::Result<u64> {
    portal
        .open_context(doubler(100), async |ctx, first: String| {
            let mut stream = ctx.open_stream().await?;
            stream.send(first.len().try_into()?).await?;
            let _: Option<u64> = stream.recv().await?;
            stream.close().await?;
            anyhow::Ok(ctx.result().await?)
        })
        .await
}

fn main() {
    let _: ContextCall<(), (), (), ()> = inner::starts();
    let _: ContextCall<String, u64, u64, u64> = doubler(100);
    let _: ContextCall<_, HashMap<String, u64>, (u8, Blob), Blob> = messages(Bytes::new());
    let _: ContextCall<u8, u8, u8, u8> = named(1);
    #[expect(deprecated)]
    let _: ContextCall<u8, (), (), ()> = old();
    let _ = open;
}
