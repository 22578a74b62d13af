//! Slow lines and silent ones: last words, control beside data, and processes that stop or die.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::{DrainLimit, TransportError};
use pleach_conformance::line::Line;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    FOREVER, Meeting, Notes, PROCESSES, WITHIN_TLS, Watched, in_root, note, over, scaled, soon, test, test_fn,
    with_joined,
};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

/// Answers so many bytes, once it is cancelled.
#[pleach::rpc]
async fn answers_when_cancelled(bytes: usize, notes: String) -> Result<Blob> {
    let _shield = pleach::scope::Shield::enter();
    note(&notes, "waiting");
    pleach::scope::cancelled().await;
    Ok(Blob::from(vec![7; bytes]))
}

#[pleach::context]
async fn pours(ctx: &mut Context<(), (), Blob>) -> Result<()> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    loop {
        stream.send(Blob::from(vec![7; 64 << 10])).await?;
    }
}

#[pleach::stream]
async fn gushes(out: &mut StreamSender<Blob>) -> Result<()> {
    loop {
        out.send(Blob::from(vec![7; 64 << 10])).await?;
    }
}

#[pleach::context]
async fn stays(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

/// Calls the actor of this name until it fails; notes when the call is under way, and when it has ended.
#[pleach::rpc]
async fn calls(name: String, notes: String) -> Result<()> {
    let callee = pleach::find_actor(&name).required().await?;
    callee.run(pid()).await?;
    note(&notes, "calling");
    let ended = callee.run(for_ever()).await;
    note(&notes, format!("ended {}", ended.unwrap_err()));
    Ok(())
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

/// A tree whose children reach their parent over a line of this rate, in bytes per second. `body` gets what tells the
/// bytes that the parent has been sent.
async fn behind_a_line<F, Fut>(config: Config, rate: u64, body: F)
where
    F: FnOnce(Box<dyn Fn() -> u64>) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let meeting = Meeting::new();
    let at = meeting.address(&config.transport);
    let line = Line::to(&at, rate).await.expect("there are lines for it");
    // The line's own turns come late on a busy machine.
    let (drain, peers, soft_reap) = (scaled(config.drain), scaled(config.peers), scaled(config.soft_reap));
    let (listen, advertise) = (vec![at], vec![line.address.clone()]);
    let config = Config { listen, advertise, drain, peers, soft_reap, ..config };
    let meter = line.meter();
    line.carry(in_root(config, async |_| body(Box::new(move || meter()[0])).await)).await.unwrap();
}

/// A child that is cancelled has much to say, and the line needs longer for it than `drain`.
async fn last_words_get_through_a_slow_line(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    behind_a_line(over(protocol), SLOW, async |_| {
        let words = pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            let answer = portal.run(answers_when_cancelled(LAST_WORDS, notes.address()));
            let end = async {
                notes.expect_async("waiting").await;
                portal.cancel_actor().await
            };
            // The nursery waits for the actor's end, which is after its last words.
            let (words, ended) = shield(async { tokio::join!(answer, end) }).await;
            ended?;
            words
        })
        .await?;
        assert_eq!(words.0.len(), LAST_WORDS);
        Ok(())
    })
    .await;
}

/// What takes quinn longer than `drain` on any machine.
async fn sixty_megabytes_of_last_words_arrive_over_quic() {
    let notes = Arc::new(Notes::new());
    let config = over("quic");
    let (drain, peers) = (scaled(config.drain), scaled(config.peers * 5));
    let config = Config { drain, peers, soft_reap: peers, ..config };
    in_root(config, async |_| {
        let words = pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            let answer = portal.run(answers_when_cancelled(MANY, notes.address()));
            let end = async {
                notes.expect_async("waiting").await;
                portal.cancel_actor().await
            };
            let (words, ended) = shield(async { tokio::join!(answer, end) }).await;
            ended?;
            words
        })
        .await?;
        assert_eq!(words.0.len(), MANY);
        Ok(())
    })
    .await
    .unwrap();
}

/// A peer that takes nothing any more is waited for no longer than `drain`; what it missed is said with its size.
async fn a_peer_that_takes_nothing_ends_in_time(protocol: &'static str) {
    let config = Config { drain: Duration::from_millis(100), peers: FOREVER, ..over(protocol) };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            n.start_actor("stopped").enable(module_path!()).await?;
            let leaver = n.start_actor("leaver").enable(module_path!()).await?;
            let cut = leaver.run(leaves_a_stopped_one("stopped".into())).await?;
            // The rest is in the system's buffers; each chunk has a header.
            assert!((MUCH / 2..=MUCH + MUCH / 1000).contains(&cut), "{cut} bytes");
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// Stops the actor of this name, sends it much, closes the connection, and tells how much was cut.
#[pleach::rpc]
async fn leaves_a_stopped_one(name: String) -> Result<usize> {
    let portal = pleach::find_actor(&name).required().await?;
    let process = Pid::from_raw(portal.run(pid()).await? as i32).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let weighed = tokio::time::timeout(Duration::from_millis(100), portal.run(weigh(Blob::from(vec![7; MUCH])))).await;
    let closed = portal.close().await;
    kill_process(process, Signal::CONT).unwrap();
    assert!(weighed.is_err(), "{weighed:?}");
    match closed {
        Err(Error::Disconnected {
            end: TransportError::Undelivered { bytes, limit: DrainLimit::Stalled(_) }, ..
        }) => Ok(bytes),
        other => Err(Error::Usage(format!("it ended with {other:?}"))),
    }
}

#[pleach::rpc]
async fn weigh(blob: Blob) -> Result<usize> {
    Ok(blob.0.len())
}

/// Calls and cancels beside a flood take no longer than what is on the line already.
async fn control_waits_for_no_flood_on_a_slow_line(protocol: &'static str) {
    let config = Config { cancel_ack: soon(), ..over(protocol) };
    behind_a_line(config, SLOW, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            portal
                .open_context(pours(), async |flood, ()| {
                    let mut stream = flood.open_stream().await?;
                    let mut taken = 0;
                    // Past what the buffers on the way grow to.
                    while taken < 32 {
                        stream.recv().await?.expect("it never ends");
                        taken += 1;
                    }
                    let takes_on = async { while let Ok(Some(_)) = stream.recv().await {} };
                    let beside = async {
                        for _ in 0..3 {
                            // A bound that strikes is an error.
                            fail_after(soon(), portal.run(pid())).await?;
                            portal.open_context(stays(), async |ctx, ()| ctx.cancel().await).await?;
                        }
                        Ok::<_, Error>(())
                    };
                    tokio::select! {
                        done = beside => done?,
                        () = takes_on => panic!("the flood has ended"),
                    }
                    flood.cancel().await
                })
                .await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await;
}

/// Leaving a one-way stream that floods waits for what is on the line already, and not for what the sender's side has
/// taken: it is the same with asking the actor to end right after.
async fn leaving_waits_for_no_flood_on_a_slow_line(protocol: &'static str) {
    let config = Config { cancel_ack: soon(), ..over(protocol) };
    behind_a_line(config, SLOW, async |arrived| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            let left_at = portal
                .open_stream_from(gushes(), async |mut flood| {
                    // Past what the buffers on the way grow to.
                    for _ in 0..32 {
                        flood.recv().await?.expect("it never ends");
                    }
                    Ok::<_, Error>(arrived())
                })
                .await?;
            let at_acknowledgement = arrived();
            portal.cancel_actor().await?;
            for went in [at_acknowledgement - left_at, arrived() - at_acknowledgement] {
                assert!(went < AHEAD, "{went} bytes went before an acknowledgement");
            }
            Ok(())
        })
        .await
    })
    .await;
}

/// As a process under a debugger is, or on a machine that was suspended: the network's patience has no say there.
async fn a_stopped_child_here_is_not_given_up(protocol: &'static str) {
    let lease = Duration::from_secs(1);
    let config = Config { lease, heartbeat: lease / 5, ..over(protocol) };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            let process = Pid::from_raw(portal.run(pid()).await? as i32).unwrap();
            kill_process(process, Signal::STOP).unwrap();
            let waiting = tokio::time::timeout(lease * 3, portal.run(pid())).await;
            assert!(waiting.is_err(), "{waiting:?}");
            kill_process(process, Signal::CONT).unwrap();
            portal.run(pid()).await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// A grandchild is killed: its other peers, a sibling and another program, learn of it, and find it no more.
async fn all_peers_learn_of_a_killed_actor(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    let meeting = Meeting::new();
    let config = meeting.config(&[meeting.address(protocol)]);
    let joining = Config { root_name: "guest".into(), ..config.clone() };
    with_joined(config, joining, async |_registrar, _guest| Box::pin(family_of_a_victim(&notes)).await).await;
}

async fn family_of_a_victim(notes: &Arc<Notes>) -> Result<()> {
    pleach::open_nursery(async |n| {
        let sibling = n.start_actor("sibling").enable(module_path!()).await?;
        let victims: Result<()> = Box::pin(pleach::open_nursery(async |inner| {
            let victim = inner.start_actor("victim").enable(module_path!()).await?;
            let process = Watched::new(victim.run(pid()).await?);
            let call = async {
                sibling.run(calls("victim".into(), notes.address())).await?;
                // What knows of names has heard of it by now, or finds out.
                while pleach::find_actor("victim").await?.is_some() {}
                Ok::<_, Error>(())
            };
            let kill = async {
                notes.expect_async("calling").await;
                process.kill();
                notes.expect_async("ended ").await
            };
            // Over QUIC only the end of the process reveals it: without that, its peers would never learn.
            shield(async { tokio::join!(call, kill).0 }).await
        }))
        .await;
        assert!(matches!(&victims, Err(error) if error.actor_died().is_some()), "{victims:?}");
        sibling.cancel_actor().await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![test_fn(sixty_megabytes_of_last_words_arrive_over_quic)];
    let all = || PROCESSES.into_iter().chain(WITHIN_TLS);
    // A relay carries bytes, and shared memory needs descriptors.
    for protocol in all().filter(|protocol| *protocol != "shm") {
        tests.push(test(format!("lines::last_words_get_through_a_slow_line_over_{protocol}"), move || {
            last_words_get_through_a_slow_line(protocol)
        }));
        tests.push(test(format!("lines::control_waits_for_no_flood_on_a_slow_line_over_{protocol}"), move || {
            control_waits_for_no_flood_on_a_slow_line(protocol)
        }));
        tests.push(test(format!("lines::leaving_waits_for_no_flood_on_a_slow_line_over_{protocol}"), move || {
            leaving_waits_for_no_flood_on_a_slow_line(protocol)
        }));
    }
    for protocol in all() {
        tests.push(test(format!("lines::a_stopped_child_here_is_not_given_up_over_{protocol}"), move || {
            a_stopped_child_here_is_not_given_up(protocol)
        }));
        tests.push(test(format!("lines::all_peers_learn_of_a_killed_actor_over_{protocol}"), move || {
            all_peers_learn_of_a_killed_actor(protocol)
        }));
        tests.push(test(format!("lines::a_peer_that_takes_nothing_ends_in_time_over_{protocol}"), move || {
            a_peer_that_takes_nothing_ends_in_time(protocol)
        }));
    }
    tests
}

/// 10 Mbit/s.
const SLOW: u64 = 1_250_000;

/// What may arrive before an acknowledgement: what was on the line, and what the systems at its ends hold.
const AHEAD: u64 = 768 << 10;

/// They take 1.2 s on the slow line.
const LAST_WORDS: usize = 1_500_000;

/// Of one message; `max_frame` allows a little more.
const MANY: usize = 60 << 20;

/// More than any system takes for a process that reads nothing.
const MUCH: usize = 48 << 20;
