//! Running actors are seen from outside, whatever they do, by their own user only.

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::inspect::{self, ActorReport, PeerReport, ProcessReport};
use pleach::prelude::*;
use rustix::process::{Signal, kill_process};

use crate::calls_seen::line_that;
use crate::support::{
    Notes, RootProcess, assert_says, in_root, note, over, patience, resident_memory, scaled, state, test_fn,
};

/// Never yields: its actor's only thread is busy for good.
#[pleach::rpc]
async fn spin(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    loop {
        std::hint::spin_loop();
    }
}

#[pleach::rpc]
async fn stop(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
    Ok(())
}

#[pleach::rpc]
async fn write() -> Result<()> {
    Err(Error::Usage("out of ink".into()))
}

#[pleach::context]
async fn wait(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(a_busy_actor_is_seen_with_its_tree),
        test_fn(a_stopped_process_is_told_apart),
        test_fn(failures_and_contexts_are_seen),
        test_fn(callers_that_say_nothing_keep_no_other_out),
        test_fn(what_crosses_a_connection_is_counted),
        test_fn(another_user_sees_nothing),
        test_fn(another_user_ends_and_traces_nothing),
        test_fn(an_actor_that_is_asked_to_end_ends_alone),
    ]
}

async fn a_busy_actor_is_seen_with_its_tree() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(soon_over("uds"), async |root| {
        pleach::open_nursery(async |n| {
            let idle = n.start_actor("idle").transport("tcp").await?;
            let stuck = n.start_actor("stuck").enable(module_path!()).await?;
            tokio::select! {
                answer = stuck.run(spin(notes.address())) => panic!("it never ends: {answer:?}"),
                _pid = notes.expect_async("") => {}
            }
            let (at, busy) = seen(stuck.id()).await;
            let to_top = line(stuck.id(), root.id()).await;
            assert_eq!((busy.tasks(), at.pid, at.actors.len()), (Some(1), stuck.id().pid(), 1));
            assert_eq!(busy.parent.as_ref(), Some(root.id()));
            assert_eq!(at.program, std::env::current_exe().unwrap());
            assert_near(at.memory, resident_memory(at.pid) << 10);
            assert_eq!(to_top.transport.protocol, "uds");
            let calm = line(idle.id(), root.id()).await;
            assert_eq!((calm.tasks, &*calm.transport.protocol), (Some(0), "tcp"));
            let (_, top) = seen(root.id()).await;
            assert_eq!((top.parent.as_ref(), line(root.id(), stuck.id()).await.calls), (None, Some(1)));
            assert!(top.began_ms <= busy.began_ms);
            Err(Error::Usage("over".into()))
        })
        .await
    })
    .await;
    assert_says(&ended, &["over"]);
}

async fn a_stopped_process_is_told_apart() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(soon_over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let stopped = n.start_actor("stopped").enable(module_path!()).await?;
            tokio::select! {
                answer = stopped.run(stop(notes.address())) => panic!("it is stopped: {answer:?}"),
                _pid = notes.expect_async("") => {}
            }
            while state(stopped.id().pid()).unwrap() != 'T' {
                tokio::task::yield_now().await;
            }
            let found = tokio::task::spawn_blocking(inspect::processes).await.unwrap().unwrap();
            let it = found.into_iter().find(|process| process.pid == stopped.id().pid()).expect("it is there");
            assert_eq!(it.report.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            Err(Error::Usage("over".into()))
        })
        .await
    })
    .await;
    assert_says(&ended, &["over"]);
}

async fn failures_and_contexts_are_seen() {
    in_root(over("uds"), async |root| {
        pleach::open_nursery(async |n| {
            let clerk = n.start_actor("clerk").enable(module_path!()).await?;
            assert_says(&clerk.run(write()).await, &["out of ink"]);
            let (_, report) = seen(clerk.id()).await;
            let failure = line(clerk.id(), root.id()).await.last_error.expect("it has failed");
            assert!(failure.message.contains("out of ink"), "{failure:?}");
            assert!(failure.at_ms >= report.began_ms);
            clerk
                .open_context(wait(), async |ctx, ()| {
                    assert_eq!(line(clerk.id(), root.id()).await.contexts, Some(1));
                    ctx.cancel().await
                })
                .await?;
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn weigh(bytes: Blob) -> Result<usize> {
    Ok(bytes.len())
}

async fn what_crosses_a_connection_is_counted() {
    for protocol in ["mem", "uds", "tcp", "quic"] {
        in_root(over(protocol), async |root| {
            pleach::open_nursery(async |n| {
                let scales = n.start_actor("scales").enable(module_path!()).await?;
                let volumes = async || {
                    let [top, below] = [(root.id(), scales.id()), (scales.id(), root.id())];
                    [line(top.0, top.1).await, line(below.0, below.1).await].map(|line| line.volume.expect("counted"))
                };
                let [top_before, below_before] = volumes().await;
                for _ in 0..CALLS {
                    scales.run(weigh(vec![1; SIZE].into())).await?;
                }
                let [top, below] = volumes().await;
                let sent = top.sent.bytes - top_before.sent.bytes;
                assert!(sent as usize > CALLS * SIZE, "{protocol}: {sent}");
                assert!(top.sent.messages - top_before.sent.messages >= CALLS as u64, "{protocol}: {top:?}");
                assert!(below.received.bytes - below_before.received.bytes >= sent, "{protocol}: {below:?}");
                let answers = top.received.messages - top_before.received.messages;
                assert!((CALLS as u64..2 * CALLS as u64).contains(&answers), "{protocol}: {answers}");
                n.cancel().await;
                Ok(())
            })
            .await
        })
        .await
        .unwrap();
    }
}

const CALLS: usize = 20;
const SIZE: usize = 10_000;

async fn callers_that_say_nothing_keep_no_other_out() {
    in_root(over("tcp"), async |_| {
        pleach::open_nursery(async |n| {
            let quiet = n.start_actor("quiet").await?;
            let address = SocketAddr::from_abstract_name(socket_of(quiet.id().pid())).unwrap();
            let _silent: Vec<_> = (0..20).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
            let (_, report) = seen(quiet.id()).await;
            assert_eq!(report.who.name(), "quiet");
            let found = tokio::task::spawn_blocking(inspect::processes).await.unwrap().unwrap();
            assert_eq!(found.iter().filter(|process| process.pid == quiet.id().pid()).count(), 1);
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// Says whether it sees the process of that number.
pub(crate) fn another_user(pid: &str) {
    pleach::drop_privileges(UNPRIVILEGED, UNPRIVILEGED, &[]).unwrap();
    let pid: u32 = pid.parse().unwrap();
    println!("{}", inspect::processes().unwrap().iter().any(|process| process.pid == pid));
}

// SEC-24
async fn another_user_sees_nothing() {
    in_root(over("mem"), async |root| {
        let pid = root.id().pid();
        let says = tokio::task::spawn_blocking(move || {
            let notes = Notes::new();
            let mut command: Command = RootProcess::command("another_user", &notes, &pid.to_string());
            command.stdin(Stdio::null()).output().unwrap()
        });
        let says = says.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&says.stdout).trim(), "false", "{says:?}");
        assert_eq!(seen(root.id()).await.1.who, *root.id(), "its own user does");
        Ok(())
    })
    .await
    .unwrap();
}

/// Asks an actor to end, and for its messages; says how often it was answered.
pub(crate) fn another_user_asks(args: &str) {
    pleach::drop_privileges(UNPRIVILEGED, UNPRIVILEGED, &[]).unwrap();
    let (pid, uuid) = args.split_once(' ').unwrap();
    println!("{}", answers(pid.parse().unwrap(), uuid.parse().unwrap()));
}

/// The requests, as they travel.
#[derive(serde::Serialize)]
enum Asked {
    Cancel { actor: uuid::Uuid },
    Trace { actor: uuid::Uuid, wanted: Wanted },
}

#[derive(Default, serde::Serialize)]
struct Wanted {
    peer: Option<String>,
    cid: Option<u64>,
}

/// Asks a process for the end and the messages of an actor, as `inspect` does; returns how often there was an answer.
fn answers(pid: u32, actor: uuid::Uuid) -> usize {
    let address = SocketAddr::from_abstract_name(socket_of(pid)).unwrap();
    let is_answered = |asked: &Asked| {
        let Ok(mut connection) = UnixStream::connect_addr(&address) else { return false };
        let asked = rmp_serde::to_vec_named(asked).unwrap();
        let frame = [&(asked.len() as u32).to_le_bytes(), &asked[..]].concat();
        connection.write_all(&frame).is_ok() && connection.read(&mut [0; 4]).is_ok_and(|read| read > 0)
    };
    let asked = [Asked::Cancel { actor }, Asked::Trace { actor, wanted: Wanted::default() }];
    asked.iter().filter(|asked| is_answered(asked)).count()
}

// SEC-26, SEC-29
async fn another_user_ends_and_traces_nothing() {
    in_root(over("mem"), async |root| {
        let args = format!("{} {}", root.id().pid(), root.id().uuid());
        let says = tokio::task::spawn_blocking(move || {
            let notes = Notes::new();
            RootProcess::command("another_user_asks", &notes, &args).stdin(Stdio::null()).output().unwrap()
        });
        let says = says.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&says.stdout).trim(), "0", "{says:?}");
        assert!(!root.cancel_called());
        let own = answers(root.id().pid(), uuid::Uuid::nil());
        assert_eq!(own, 2, "its own user is answered, so it was no mistake of the test");
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_actor_that_is_asked_to_end_ends_alone() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let (kept, leaves) = (n.start_actor("kept").await?, n.start_actor("leaves").await?);
            let (process, _) = process_of(leaves.id()).await;
            let who = leaves.id().clone();
            let found = tokio::task::spawn_blocking(move || process.cancel(&who)).await.unwrap();
            assert!(found.unwrap());
            let (process, _) = process_of(kept.id()).await;
            let who = leaves.id().clone();
            let found = tokio::task::spawn_blocking(move || process.cancel(&who)).await.unwrap();
            assert!(!found.unwrap(), "that is another process");
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// Looks until an actor is seen: a process is silent while too many ask.
async fn process_of(who: &pleach::ActorId) -> (inspect::Process, ActorReport) {
    let looking = async {
        loop {
            let found = tokio::task::spawn_blocking(inspect::processes).await.unwrap().unwrap();
            for process in found {
                let actors = process.report.iter().flat_map(|report| &report.actors);
                if let Some(actor) = actors.into_iter().find(|actor| actor.who == *who).cloned() {
                    return (process, actor);
                }
            }
        }
    };
    tokio::time::timeout(patience(), looking).await.unwrap_or_else(|_| panic!("{who} is not seen"))
}

async fn seen(who: &pleach::ActorId) -> (ProcessReport, ActorReport) {
    let (process, actor) = process_of(who).await;
    (process.report.expect("the actor was found in it"), actor)
}

/// Looks until an actor is seen with its connection to a peer: it has one a moment after the peer has.
async fn line(who: &pleach::ActorId, peer: &pleach::ActorId) -> PeerReport {
    line_that(who, peer, |_| true).await
}

/// A configuration in which an actor that does not end is killed soon.
fn soon_over(protocol: &str) -> Config {
    let quick = scaled(Duration::from_millis(50));
    Config { cancel_ack: quick, soft_reap: quick, kill_after: quick, ..over(protocol) }
}

fn assert_near(told: u64, found: u64) {
    assert!(told > found / 2 && told < found * 2, "told {told}, found {found}");
}

fn socket_of(pid: u32) -> String {
    let listed = std::fs::read_to_string("/proc/net/unix").unwrap();
    let mut names = listed.lines().filter_map(|line| line.rsplit_once('@')).map(|(_, name)| name.to_owned());
    names.find(|name| name.starts_with(&format!("pleach-inspect/{pid}/"))).expect("it has one")
}

const UNPRIVILEGED: u32 = 65534;
