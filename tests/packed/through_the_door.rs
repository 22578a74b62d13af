//! A program that has the library by way of another crate: every macro is told where it is.

use door::pleach;
use pleach::prelude::*;

#[pleach::rpc(crate = door::pleach)]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

#[pleach::context(crate = door::pleach)]
async fn doubler(ctx: &mut Context<u64, u64, u64>) -> Result<u64> {
    ctx.started(0).await?;
    let mut stream = ctx.open_stream().await?;
    Ok(2 * stream.recv().await?.unwrap_or_default())
}

#[pleach::stream(crate = door::pleach)]
async fn count(out: &mut StreamSender<u64>) -> Result<()> {
    for n in 0.. {
        out.send(n).await?;
    }
    Ok(())
}

struct Counter(i64);

#[pleach::actor(crate = door::pleach)]
impl Counter {
    pub async fn new(start: i64) -> Result<Self> {
        Ok(Self(start))
    }

    pub async fn add(&mut self, n: i64) -> Result<i64> {
        self.0 += n;
        Ok(self.0)
    }
}

async fn everything() -> Result<()> {
    pleach::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        let doubled = worker.open_context(doubler(), async |ctx, _first| {
            let stream = ctx.open_stream().await?;
            stream.send(21).await?;
            ctx.result().await
        });
        assert_eq!(doubled.await?, 42);
        let first = worker.open_stream_from(count(), async |mut numbers| numbers.recv().await);
        assert_eq!(first.await?, Some(0));
        let counter = n.start(Counter::new(5)).await?;
        assert_eq!(counter.add(2).await?, 7);
        pleach::Handle::stop(&counter).await?;
        worker.cancel_actor().await
    })
    .await
}

#[pleach::main(crate = door::pleach)]
async fn main() -> Result<()> {
    everything().await
}

#[pleach::test(crate = door::pleach)]
async fn everything_in_a_test() -> Result<()> {
    everything().await
}
