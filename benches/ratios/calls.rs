//! Lines that are calls: one caller, many, and with blobs.

use std::path::Path;

use bytes::Bytes;
use pleach::{Nursery, Portal, Result};

use crate::common::item::{self, Item, call_all, reflect};
use crate::common::{MODULE, blob, echo, size};
use crate::measure::{BLOB, CALLERS, CALLS_EACH, Measure, What};
use crate::raw::{Exchange, Host, Peer};
use crate::turn::{Plan, Round, Turn, timed, turn};

pub(crate) async fn compare(measure: Measure, host: &Host, plan: &Plan) -> Result<Vec<Round>> {
    let blob = blob(BLOB);
    pleach::open_nursery(async |nursery| {
        let child = start_child(&nursery, measure, None).await?;
        let mut peer = start_raw(host, measure).await;
        let mut rounds = Vec::new();
        for counts in plan.rounds() {
            let mut call = async || step(measure.what, &child, &blob).await;
            let ours = turn(plan, &[child.id().pid()], async || timed(&mut call).await).await?;
            let raw = match &mut peer {
                None => None,
                Some(peer) => Some(raw_turn(measure.what, peer, plan).await?),
            };
            if counts {
                rounds.push((ours, raw));
            }
        }
        if let Some(peer) = peer {
            peer.end().await;
        }
        child.cancel_actor().await?;
        Ok(rounds)
    })
    .await
}

async fn step(what: What, child: &Portal, blob: &Bytes) -> Result<()> {
    match what {
        What::Blob => drop(child.run(size(blob.clone())).await?),
        What::BlobEcho => drop(child.run(echo(blob.clone())).await?),
        What::Flight => call_all(child, CALLERS, CALLS_EACH as u64).await?,
        _ => drop(child.run(reflect(Item::new(1))).await?),
    }
    Ok(())
}

async fn raw_turn(what: What, peer: &mut Peer, plan: &Plan) -> Result<Turn> {
    let (pid, exchanges) = (peer.pid(), if what == What::Flight { CALLS_EACH } else { 1 });
    let mut step = async || {
        for _ in 0..exchanges {
            peer.call().await;
        }
        Ok(())
    };
    turn(plan, &[pid], async || timed(&mut step).await).await
}

/// Starts a child over the transport of the line, and makes its first call. It may be another build of this program.
pub(crate) async fn start_child(nursery: &Nursery, measure: Measure, program: Option<&Path>) -> Result<Portal> {
    let mut child = nursery.start_actor("ours").transport(measure.protocol).codec(measure.codec);
    if let Some(program) = program {
        child = child.program(program);
    }
    let child = child.enable(MODULE).enable(item::MODULE).await?;
    child.run(reflect(Item::new(0))).await?;
    Ok(child)
}

/// Starts a raw peer, if there are any over this transport, and makes its first exchange.
async fn start_raw(host: &Host, measure: Measure) -> Option<Peer> {
    let (request, reply) = match measure.what {
        What::Blob => (BLOB, 9),
        What::BlobEcho => (BLOB, BLOB),
        What::Flight => (64 * CALLERS, 64 * CALLERS),
        _ => (64, 64),
    };
    if measure.protocol == "mem" {
        return None;
    }
    Some(host.start(measure.protocol, Exchange { request, every: 1, reply }).await.expect("a raw peer"))
}
