//! Lines that are streams, which stay open over all rounds: items and blobs one way, and an echo.

use pleach::{Blob, Portal, Result};

use crate::calls::start_child;
use crate::common::blob;
use crate::common::item::{self, Item, send_blobs, sends_back, takes_blobs};
use crate::floor::Floor;
use crate::measure::{BLOB, BLOBS, ITEMS, Measure, What};
use crate::raw::{Exchange, Host, Peer};
use crate::turn::{Plan, Round, Turn, timed, turn};

pub(crate) async fn compare(measure: Measure, host: &Host, plan: &Plan) -> Result<Vec<Round>> {
    let mut raw = Raw::start(host, measure).await;
    pleach::open_nursery(async |nursery| {
        let child = start_child(&nursery, measure, None).await?;
        let rounds = match measure.what {
            What::Items => {
                item::with_stream(&child, ITEMS as u64, async |stream| {
                    rounds(plan, &child, &mut raw, async || item::send(stream, ITEMS as u64).await).await
                })
                .await?
            }
            What::Blobs => with_blobs(&child, plan, &mut raw).await?,
            _ => with_echo(&child, plan, &mut raw).await?,
        };
        child.cancel_actor().await?;
        Ok(rounds)
    })
    .await
}

async fn with_blobs(child: &Portal, plan: &Plan, raw: &mut Raw) -> Result<Vec<Round>> {
    let blob = Blob(blob(BLOB));
    child
        .open_context(takes_blobs(BLOBS as u64), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            let measured = rounds(plan, child, raw, async || send_blobs(&mut stream, &blob, BLOBS).await).await?;
            stream.close().await?;
            Ok(measured)
        })
        .await
}

async fn with_echo(child: &Portal, plan: &Plan, raw: &mut Raw) -> Result<Vec<Round>> {
    child
        .open_context(sends_back(), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            let measured = rounds(plan, child, raw, async || {
                stream.send(Item::new(1)).await?;
                stream.recv().await?;
                Ok(())
            });
            let measured = measured.await?;
            stream.close().await?;
            Ok(measured)
        })
        .await
}

/// Lets both sides take turns.
async fn rounds(
    plan: &Plan,
    child: &Portal,
    raw: &mut Raw,
    mut step: impl AsyncFnMut() -> Result<()>,
) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for counts in plan.rounds() {
        let ours = turn(plan, &[child.id().pid()], async || timed(&mut step).await).await?;
        let raw = raw.turn(plan).await?;
        if counts {
            rounds.push((ours, raw));
        }
    }
    Ok(rounds)
}

/// The side that ours is compared with.
enum Raw {
    Floor(Floor),
    Peer(Peer),
    None,
}

impl Raw {
    async fn start(host: &Host, Measure { what, protocol, .. }: Measure) -> Self {
        let exchange = match (what, protocol) {
            (What::Items, "uds" | "tcp") => {
                return Self::Floor(Floor::start(protocol).expect("a process with a socket"));
            }
            (What::Items, _) | (_, "mem") => return Self::None,
            (What::Blobs, _) => Exchange { request: BLOB, every: BLOBS, reply: 9 },
            _ => Exchange { request: 64, every: 1, reply: 64 },
        };
        Self::Peer(host.start(protocol, exchange).await.expect("a raw peer"))
    }

    async fn turn(&mut self, plan: &Plan) -> Result<Option<Turn>> {
        match self {
            Self::None => Ok(None),
            Self::Floor(floor) => {
                let peers = [floor.pid()];
                let mut step = async || {
                    floor.send().expect("the receiver takes all");
                    Ok(())
                };
                Ok(Some(turn(plan, &peers, async || timed(&mut step).await).await?))
            }
            Self::Peer(peer) => {
                let peers = [peer.pid()];
                let mut step = async || {
                    peer.call().await;
                    Ok(())
                };
                Ok(Some(turn(plan, &peers, async || timed(&mut step).await).await?))
            }
        }
    }
}
