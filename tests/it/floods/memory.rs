//! A stream of very many messages through a slow consumer takes no memory: that of both processes stays flat.
//!
//! The root is a process of its own, because tests that run beside this one have a memory too.
//! `PLEACH_FLOOD_MESSAGES` says how many messages; what is not said is little, so that a debug build is done soon.

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{ALL, Notes, RootProcess, anonymous_memory, note, over};

/// Takes numbers in order, and pauses now and then until its sender has filled every buffer.
#[pleach::context]
async fn drinks(ctx: &mut Context<(), u64, ()>) -> Result<u64> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut taken = 0;
    while let Some(number) = stream.recv().await? {
        assert_eq!(number, taken);
        taken += 1;
        if taken % 1000 == 0 {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(taken)
}

pub(crate) fn tests() -> Vec<Trial> {
    let make = |protocol| {
        let name = format!("floods::many_messages_take_no_memory_over_{protocol}");
        Trial::test(name, move || {
            stays_flat(protocol);
            Ok(())
        })
    };
    ALL.into_iter().map(make).collect()
}

fn stays_flat(protocol: &str) {
    let notes = Notes::new();
    let mut root = RootProcess::start("flood_memory", &notes, protocol);
    let samples: Vec<Vec<u64>> = (0..SAMPLES).map(|_| serde_json::from_str(&notes.expect("KiB ")).unwrap()).collect();
    notes.expect("done");
    assert!(root.0.wait().unwrap().success());
    for (process, who) in ["root", "child"].into_iter().enumerate() {
        // What is allocated once, on the way through, is there after the first of them.
        let of_this = || samples[1..].iter().map(|sample| sample[process]);
        let (least, most) = (of_this().min().unwrap(), of_this().max().unwrap());
        assert!(most - least <= FLAT, "the memory of the {who} went from {least} to {most} KiB: {samples:?}");
    }
}

/// The root of the tree, in a process of its own. It notes the memory of both ends, and at last that all came.
pub(crate) fn root(notes: &str, protocol: &str) {
    let messages = std::env::var("PLEACH_FLOOD_MESSAGES").map_or(MESSAGES, |count| count.parse().unwrap());
    let tree = pleach::open_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("consumer").enable(module_path!()).await?;
            let taken = portal
                .open_context(drinks(), async |ctx, ()| {
                    let stream = ctx.open_stream().await?;
                    for number in 0..messages {
                        stream.send(number).await?;
                        if (number + 1) % (messages / SAMPLES) == 0 {
                            let memory = [std::process::id(), portal.id().pid()].map(anonymous_memory);
                            note(notes, format!("KiB {memory:?}"));
                        }
                    }
                    stream.close().await?;
                    ctx.result().await
                })
                .await?;
            assert_eq!(taken, messages);
            portal.cancel_actor().await
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    ended.unwrap();
    note(notes, "done");
}

/// How often the memory is looked at.
const SAMPLES: u64 = 20;

/// How many messages, unless `PLEACH_FLOOD_MESSAGES` says.
const MESSAGES: u64 = 400_000;

/// How much it may vary, in KiB.
const FLAT: u64 = 4 << 10;
