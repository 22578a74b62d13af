//! Peers that are lost without a word: over a line that is cut, or stopped.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::{SilenceLimit, TransportError};
use pleach::{ChildSpec, Liveness, Supervision, SupervisorEvent};
use rustix::process::{Pid, Signal, kill_process};

use crate::relay::{BOTH, Relay, Way};
use crate::support::{
    FOREVER, Log, Notes, RootProcess, Watched, in_nursery, note, over, patience, soon, test, test_fn,
};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

/// Blocks the thread of its actor for ever.
#[pleach::rpc]
async fn blocks(notes: String) -> Result<()> {
    note(&notes, "blocked");
    loop {
        std::thread::park();
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ["tcp", "quic"] {
        tests.push(test(format!("liveness::a_child_behind_a_cut_line_is_given_up_over_{protocol}"), move || {
            a_child_behind_a_cut_line_is_given_up(protocol)
        }));
        for (name, ways) in [("", BOTH.as_slice()), ("_there", &[Way::ToParent]), ("_back", &[Way::ToChild])] {
            let name = format!("liveness::a_child_whose_line{name}_is_cut_ends_itself_over_{protocol}");
            tests.push(test(name, move || unanswered(protocol, ways)));
        }
        tests.push(test(format!("liveness::a_short_cut_is_suspicious_and_does_no_harm_over_{protocol}"), move || {
            a_short_cut_is_suspicious_and_does_no_harm(protocol)
        }));
        tests.push(test(format!("liveness::a_slow_line_is_no_cut_line_over_{protocol}"), move || {
            a_slow_line_is_no_cut_line(protocol)
        }));
        tests.push(test(format!("liveness::who_is_given_up_is_started_again_over_{protocol}"), move || {
            who_is_given_up_is_started_again(protocol)
        }));
    }
    for blocked in [false, true] {
        let name = if blocked { "blocked" } else { "idle" };
        tests.push(Trial::test(format!("liveness::an_{name}_child_ends_itself_when_its_parent_stops"), move || {
            parent_stops(blocked);
            Ok(())
        }));
    }
    tests.push(test_fn(who_is_not_watched_may_stop_for_as_long_as_it_likes));
    tests.push(test_fn(a_lease_is_longer_than_heartbeats));
    tests
}

/// Quick enough for a test; on a busy machine all of it takes longer.
fn quick(config: Config) -> Config {
    Config {
        heartbeat: soon() / 20,
        lease: soon(),
        cancel_ack: soon(),
        soft_reap: soon(),
        kill_after: soon(),
        ..config
    }
}

async fn child(n: &Nursery) -> Result<(Portal, Watched)> {
    let portal = n.start_actor("far away").enable(module_path!()).heartbeats().await?;
    let pid = portal.run(pid()).await?;
    Ok((portal, Watched::new(pid)))
}

/// Its host stands still, too: only its parent can end the child.
async fn a_child_behind_a_cut_line_is_given_up(protocol: &'static str) {
    let relay = Relay::start(protocol, Duration::ZERO).await;
    let config = quick(relay.config.clone());
    let lease = config.lease;
    let (mut watched, mut cut_at) = (None, None);
    let ended = in_nursery(config, async |n| {
        let (portal, process) = child(&n).await?;
        watched = Some(process);
        relay.cut(&BOTH);
        kill_process(Pid::from_raw(portal.id().pid() as i32).unwrap(), Signal::STOP).unwrap();
        cut_at = Some(Instant::now());
        let waited_for = portal.run(for_ever()).await;
        assert!(is_silence(&waited_for, lease), "{waited_for:?}");
        assert_eq!(portal.liveness(), Liveness::Dead);
        waited_for
    })
    .await;
    assert!(is_silence(&ended, lease), "{ended:?}");
    // The last heartbeat had come at most a little before.
    assert!(cut_at.unwrap().elapsed() > lease / 2, "it was declared dead early");
    watched.unwrap().assert_gone_within(Duration::ZERO);
}

/// Whether it says who was silent, for how long, and over which limit that was.
fn is_silence<T>(result: &Result<T>, lease: Duration) -> bool {
    let Err(Error::Disconnected { actor, end: TransportError::Silent { silent, limit } }) = result else {
        return false;
    };
    actor.name() == "far away" && *silent >= lease && *limit == SilenceLimit::Lease(lease)
}

/// Also where its parent hears it all the time: it can't know that. It comes before its parent gives it up.
async fn unanswered(protocol: &'static str, ways: &'static [Way]) {
    let relay = Relay::start(protocol, Duration::ZERO).await;
    let config = quick(relay.config.clone());
    let lease = config.lease;
    let mut cut_at = None;
    let ended = in_nursery(config, async |n| {
        let (_portal, _process) = child(&n).await?;
        relay.cut(ways);
        cut_at = Some(Instant::now());
        std::future::pending::<Result<()>>().await
    })
    .await;
    assert!(cut_at.unwrap().elapsed() > lease / 2, "it ended early");
    match &ended {
        Err(Error::ActorDied(died)) => {
            let words = died.stderr.join("\n");
            let over = format!("no heartbeat sent in this time was answered, and the lease of {lease:?} has expired");
            assert!(words.contains(&over), "{words}");
        }
        // It was declared dead before the end of its process was seen.
        ended => assert!(is_silence(ended, lease) && ways != [Way::ToChild], "{ended:?}"),
    }
}

async fn a_short_cut_is_suspicious_and_does_no_harm(protocol: &'static str) {
    let relay = Relay::start(protocol, Duration::ZERO).await;
    let (log, lines) = sync_channel(10_000);
    let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Log(log.clone())).finish();
    let _logging = tracing::subscriber::set_default(logging);
    let lines = Arc::new(std::sync::Mutex::new(lines));
    let said = async |what: &'static str| {
        let lines = lines.clone();
        let heard = move || {
            let lines = lines.lock().unwrap();
            while !lines.recv_timeout(patience()).expect("it was never said").contains(what) {}
        };
        tokio::task::spawn_blocking(heard).await.unwrap();
    };
    // A lease that no cut in this test is as long as.
    let config = Config { lease: FOREVER, ..quick(relay.config.clone()) };
    in_nursery(config, async |n| {
        let (portal, _process) = child(&n).await?;
        let before = portal.run(pid()).await?;
        relay.cut(&BOTH);
        said("suspiciously silent").await;
        let liveness = portal.liveness();
        assert!(
            matches!(liveness, Liveness::Suspect { silent, phi } if phi >= 8.0 && silent < FOREVER),
            "{liveness:?}"
        );
        relay.mend();
        said("responds again").await;
        assert_eq!(portal.run(pid()).await?, before);
        assert!(matches!(portal.liveness(), Liveness::Alive { rtt: Some(_) }), "{portal:?}");
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_slow_line_is_no_cut_line(protocol: &'static str) {
    // The handshake takes two round trips, and the first answer one more: the lease counts from the beginning.
    let lease = quick(Config::default()).lease;
    let delay = lease / 10;
    let relay = Relay::start(protocol, delay).await;
    in_nursery(Config { lease, ..quick(relay.config.clone()) }, async |n| {
        let (portal, _process) = child(&n).await?;
        let begun = Instant::now();
        while begun.elapsed() < lease * 3 {
            portal.run(pid()).await?;
        }
        let liveness = portal.liveness();
        assert!(matches!(liveness, Liveness::Alive { rtt: Some(rtt) } if rtt >= delay * 2), "{liveness:?}");
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn who_is_given_up_is_started_again(protocol: &'static str) {
    let relay = Relay::start(protocol, Duration::ZERO).await;
    in_nursery(quick(relay.config.clone()), async |n| {
        let actor = n.start_actor("far away").enable(module_path!()).heartbeats();
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(actor))).await?;
        let first = supervisor.portal("far away").await?.run(pid()).await?;
        let watched = Watched::new(first);
        let mut events = supervisor.events();
        relay.cut(&BOTH);
        while !matches!(events.recv().await.unwrap(), SupervisorEvent::Died { .. }) {}
        let second = supervisor.portal("far away").await?.run(pid()).await?;
        watched.assert_gone_within(Duration::ZERO);
        assert_ne!(first, second);
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
}

/// The root of the tests whose root stops or dies: tells of its child, and what came of it.
pub(crate) fn stopping_root(notes: &str, blocked: &str) {
    let tree = pleach::open_root(quick(over("tcp")), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("far away").enable(module_path!()).heartbeats().await?;
            note(notes, format!("child {}", portal.run(pid()).await?));
            match blocked {
                "true" => portal.run(blocks(notes.to_owned())).await,
                _ => portal.run(for_ever()).await,
            }
        })
        .await
    });
    let ended = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    note(notes, format!("ended {ended:?}"));
}

/// Starts such a root; returns its child.
fn start_root(notes: &Notes, blocked: bool) -> (RootProcess, Watched) {
    let root = RootProcess::start("liveness", notes, &blocked.to_string());
    let child = Watched::new(notes.expect("child ").parse().unwrap());
    if blocked {
        notes.expect("blocked");
    }
    (root, child)
}

/// A parent that does not run looks from far away like one that is cut off; it can't kill its child.
fn parent_stops(blocked: bool) {
    let notes = Notes::new();
    let (root, child) = start_root(&notes, blocked);
    let pid = Pid::from_raw(root.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    child.assert_gone_within(patience());
    kill_process(pid, Signal::CONT).unwrap();
    let ended = notes.expect("ended ");
    let how = if blocked { "signal 9" } else { "and the lease of " };
    // Or its silence is noticed before its end.
    assert!(ended.contains(how) || ended.contains("its lease of "), "{ended}");
    // What its watchdog wrote.
    assert!(!ended.contains("signal 9") || ended.contains("kills itself: its lease has expired"), "{ended}");
}

/// As a process under a debugger is.
async fn who_is_not_watched_may_stop_for_as_long_as_it_likes() {
    let config = quick(over("tcp"));
    let lease = config.lease;
    in_nursery(config, async |n| {
        let portal = n.start_actor("near").enable(module_path!()).await?;
        let stopped = Pid::from_raw(portal.run(pid()).await? as i32).unwrap();
        kill_process(stopped, Signal::STOP).unwrap();
        let waiting = tokio::time::timeout(lease * 2, portal.run(pid())).await;
        assert!(waiting.is_err(), "{waiting:?}");
        assert_eq!(portal.liveness(), Liveness::Alive { rtt: None });
        kill_process(stopped, Signal::CONT).unwrap();
        portal.run(pid()).await?;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_lease_is_longer_than_heartbeats() {
    let config = Config { heartbeat: Duration::from_secs(4), ..over("mem") };
    let refused = in_nursery(config, async |_| Ok(())).await.unwrap_err().to_string();
    assert!(refused.contains("`lease` is 10s and `heartbeat` 4s"), "{refused}");
    let config = Config { suspect_after: 60, ..over("mem") };
    let refused = in_nursery(config, async |_| Ok(())).await.unwrap_err().to_string();
    assert!(refused.contains("`suspect_after` is 60 and `dead_after` 60"), "{refused}");
}
