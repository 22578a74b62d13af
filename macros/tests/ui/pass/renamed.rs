//! The library under other names: each macro writes its paths by way of `crate = path`.

#![forbid(unsafe_code)]
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]

extern crate pleach as renamed;

use bytes::Bytes;
use futures_util::Stream;
use renamed::Result;

/// A crate's own door to the library, as others of a workspace have it.
mod facade {
    pub(crate) use ::renamed as actors;

    pub(crate) mod inner {
        #[crate::facade::actors::rpc(crate = super::super::facade::actors)]
        pub(crate) async fn nested() -> crate::Result<()> {
            Ok(())
        }
    }
}

#[renamed::rpc(crate = renamed)]
async fn nothing() -> Result<()> {
    Ok(())
}

#[renamed::rpc(crate = "crate::facade::actors")]
async fn blobs(data: Bytes, r#type: Vec<u8>) -> Result<Bytes> {
    Ok(if r#type.is_empty() { data } else { r#type.into() })
}

type Short = std::result::Result<u64, std::io::Error>;

#[renamed::rpc(crate = crate::facade::actors)]
async fn alias_of_a_result(n: u64) -> Short {
    Ok(n)
}

#[renamed::context(crate = facade::actors)]
async fn dialog(ctx: &mut renamed::Context<u8, Bytes, u8>, first: u8) -> Result<u8> {
    ctx.started(first).await?;
    Ok(1)
}

#[renamed::stream(crate = facade::actors)]
async fn sent(out: &mut renamed::StreamSender<u8>, data: Bytes) -> Result<()> {
    out.send(data[0]).await
}

#[renamed::stream(crate = facade::actors)]
fn made(from: u8) -> impl Stream<Item = Result<u8>> {
    futures_util::stream::iter(from..).map(Ok)
}

struct Counter(u8);

#[renamed::actor(crate = facade::actors)]
impl Counter {
    pub(crate) async fn new(data: Bytes) -> Result<Self> {
        Ok(Self(data[0]))
    }

    pub(crate) async fn add(&mut self, n: u8) -> Result<u8> {
        self.0 += n;
        Ok(self.0)
    }

    pub(crate) async fn blob(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }

    pub(crate) async fn short(&self) -> Short {
        Ok(self.0.into())
    }

    pub(crate) fn counts(&self) -> impl Stream<Item = Result<u8>> {
        made_here(self.0)
    }

    pub(crate) async fn sent(me: renamed::Me<Self>, out: &mut renamed::StreamSender<u8>) -> Result<()> {
        out.send(me.read().await?.0).await
    }

    pub(crate) async fn dialog(me: renamed::Me<Self>, ctx: &mut renamed::Context<u8, (), ()>) -> Result<()> {
        ctx.started(me.read().await?.0).await
    }

    async fn stopping(self, why: renamed::StopReason) {
        let _ = (self.0, why);
    }
}

fn made_here(from: u8) -> impl Stream<Item = Result<u8>> {
    futures_util::stream::iter(from..).map(Ok)
}

macro_rules! exposed {
    ($name:ident) => {
        #[renamed::rpc(crate = $crate::facade::actors)]
        async fn $name(data: Bytes) -> Result<Bytes> {
            Ok(data)
        }
    };
}

exposed!(by_a_macro);

use futures_util::StreamExt as _;

#[renamed::main(flavor = "multi_thread", worker_threads = 1, crate = facade::actors)]
async fn main() -> Result<()> {
    nothing().await?;
    facade::inner::nested().await?;
    assert_eq!(alias_of_a_result(1).await?, 1);
    assert_eq!(blobs(Bytes::new(), vec![1]).await?[..], [1]);
    assert_eq!(by_a_macro(Bytes::new()).await?, Bytes::new());
    let _ = (dialog(1), sent(Bytes::new()), made(1));
    renamed::open_nursery(async |n| {
        let counter = n.start(Counter::new(vec![5].into())).await?;
        assert_eq!(counter.add(2).await?, 7);
        assert_eq!(counter.blob(vec![3].into()).await?[..], [3]);
        assert_eq!(counter.short().await?, 7);
        renamed::Handle::stop(&counter).await
    })
    .await
}
