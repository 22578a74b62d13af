//! pleach itself. A stream lives in a context, so that the measurement runs inside of one.

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use pleach::{Blob, MsgStream, Portal, Result};

use crate::item::{self, Item, reflect, sends_back, takes, takes_blobs};
use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, CONNECTIONS, ITEMS, Peer, Protocol, Work, together};

/// Finds the other child, calls it, and lets the connection go.
#[pleach::rpc]
async fn connects(times: usize) -> Result<()> {
    for _ in 0..times {
        let portal = pleach::find_actor(OTHER).required().await?;
        portal.run(reflect(Item::new(1))).await?;
    }
    Ok(())
}

/// Starts a child over a transport, and has `measure` take steps with it; it is told which processes work beside this
/// one.
///
/// New connections are those of two children: this actor is connected to all of its tree already. It has the registry,
/// so that it works for the lookup of a name.
pub(crate) async fn with_child<T>(
    work: Work,
    protocol: Protocol,
    measure: impl AsyncFnOnce(&mut dyn Peer, &[u32]) -> T,
) -> Result<T> {
    pleach::open_nursery(async |nursery| {
        let child = nursery.start_actor("ours").transport(protocol.name()).enable(MODULE).enable(item::MODULE).await?;
        let pids = [child.id().pid()];
        let measured = match work {
            Work::Call | Work::Flight => measure(&mut Caller(child.clone()), &pids).await,
            Work::Items => {
                let context = child.open_context(takes(ITEMS as u64), async |ctx, ()| {
                    let mut sender = Items(ctx.open_stream().await?);
                    let measured = measure(&mut sender, &pids).await;
                    sender.0.close().await?;
                    pleach::Ok(measured)
                });
                context.await?
            }
            Work::Blobs => {
                let context = child.open_context(takes_blobs(BLOBS as u64), async |ctx, ()| {
                    let mut sender = Blobs(ctx.open_stream().await?, vec![7; BLOB].into());
                    let measured = measure(&mut sender, &pids).await;
                    sender.0.close().await?;
                    pleach::Ok(measured)
                });
                context.await?
            }
            Work::Echo => {
                let context = child.open_context(sends_back(), async |ctx, ()| {
                    let mut sender = Echo(ctx.open_stream().await?);
                    let measured = measure(&mut sender, &pids).await;
                    sender.0.close().await?;
                    pleach::Ok(measured)
                });
                context.await?
            }
            Work::Connection => {
                let other =
                    nursery.start_actor(OTHER).transport(protocol.name()).enable(MODULE).enable(item::MODULE).await?;
                let measured = measure(&mut Connector(child.clone()), &[pids[0], other.id().pid()]).await;
                other.cancel_actor().await?;
                measured
            }
        };
        child.cancel_actor().await?;
        Ok(measured)
    })
    .await
}

struct Caller(Portal);

impl Peer for Caller {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        async move {
            if work != Work::Flight {
                self.0.run(reflect(Item::new(1))).await.expect("the child answers");
                return;
            }
            let portal = self.0.clone();
            let call = move |number| {
                let portal = portal.clone();
                async move { drop(portal.run(reflect(Item::new(number))).await.expect("the child answers")) }
            };
            together(CALLERS, CALLS_EACH, call).await;
        }
        .boxed_local()
    }
}

struct Items(MsgStream<u64, Item>);

impl Peer for Items {
    fn step(&mut self, _: Work) -> LocalBoxFuture<'_, ()> {
        async {
            for number in 0..ITEMS as u64 {
                self.0.send(Item::new(number)).await.expect("the child takes all");
            }
            let sum = self.0.recv().await.expect("the child answers");
            assert_eq!(sum, Some(Item::sum()), "all items arrive");
        }
        .boxed_local()
    }
}

struct Blobs(MsgStream<u64, Blob>, Blob);

impl Peer for Blobs {
    fn step(&mut self, _: Work) -> LocalBoxFuture<'_, ()> {
        async {
            for _ in 0..BLOBS {
                self.0.send(self.1.clone()).await.expect("the child takes all");
            }
            let size = self.0.recv().await.expect("the child answers");
            assert_eq!(size, Some((BLOBS * BLOB) as u64), "all blobs arrive");
        }
        .boxed_local()
    }
}

struct Echo(MsgStream<Item, Item>);

impl Peer for Echo {
    fn step(&mut self, _: Work) -> LocalBoxFuture<'_, ()> {
        async {
            self.0.send(Item::new(1)).await.expect("the child takes it");
            self.0.recv().await.expect("the child answers");
        }
        .boxed_local()
    }
}

/// Has the child connect to the other one.
struct Connector(Portal);

impl Peer for Connector {
    fn step(&mut self, _: Work) -> LocalBoxFuture<'_, ()> {
        async { self.0.run(connects(CONNECTIONS)).await.expect("the other one answers") }.boxed_local()
    }
}

/// The bytes of an item: values travel with the names of their fields.
pub(crate) fn item_bytes() -> usize {
    Item::sizes().1
}

pub(crate) const NAME: &str = "pleach";

const OTHER: &str = "other";

/// The module that children have to enable.
const MODULE: &str = module_path!();
