//! Every shape of stream function that can be exposed, in a crate without unsafe code and without warnings.

#![forbid(unsafe_code)]
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use pleach::{Blob, Lag, Portal, Result, StreamCall, StreamSender};

/// Functions keep their visibility, and paths may be written out.
mod inner {
    /// Sends nothing.
    #[pleach::stream]
    pub(crate) async fn nothing(out: &mut pleach::StreamSender<()>) -> pleach::Result<()> {
        let _ = out;
        Ok(())
    }

    /// Sends nothing, as a stream.
    #[pleach::stream]
    pub(crate) fn empty() -> impl futures_util::stream::Stream<Item = pleach::Result<()>> + Send {
        futures_util::stream::empty()
    }
}

/// An argument that changes, and an error of any type.
#[pleach::stream]
async fn counts(out: &mut StreamSender<u64>, mut from: u64) -> anyhow::Result<()> {
    loop {
        anyhow::ensure!(from < 1000, "enough");
        out.send(from).await?;
        from += 1;
    }
}

/// A generator, with an error of its own.
#[pleach::stream]
fn counted(from: u64, to: u64) -> impl Stream<Item = Result<u64, std::io::Error>> {
    stream::iter(from..to).map(Ok)
}

/// Messages may be of any owned type; blobs are not copied.
#[pleach::stream]
async fn blobs(out: &mut StreamSender<(u8, Option<Blob>)>, data: Bytes) -> Result<()> {
    out.send((1, Some(Blob(data)))).await
}

/// The sender may have any name, also one that an expansion might have taken.
#[pleach::stream]
async fn named(request: &mut StreamSender<u8>, out: u8) -> Result<()> {
    request.send(out).await
}

/// Lints and warnings about the function reach those who wrote it or open it.
#[must_use]
#[deprecated = "for the test"]
#[pleach::stream]
async fn old(out: &mut StreamSender<u8>) -> Result<()> {
    out.send(1).await
}

/// The caller's type is the function's; the body's error is its own.
async fn open(portal: &Portal) -> anyhow::Result<u64> {
    portal
        .open_stream_from(counts(1).buffer(10).lag(Lag::DropOldest), async |mut stream| {
            let first: Option<u64> = stream.recv().await?;
            let mut copy = stream.subscribe();
            let second = copy.recv().await?;
            let rest: Vec<u64> = stream.take(10).try_collect().await?;
            anyhow::Ok(rest.into_iter().chain(first).chain(second).sum())
        })
        .await
}

fn main() {
    let _: StreamCall<()> = inner::nothing();
    let _: StreamCall<()> = inner::empty();
    let _: StreamCall<u64> = counts(1);
    let _: StreamCall<u64> = counted(1, 2);
    let _: StreamCall<(u8, Option<Blob>)> = blobs(Bytes::new());
    let _: StreamCall<u8> = named(1);
    #[expect(deprecated)]
    let _: StreamCall<u8> = old();
    let _ = open;
}
