//! Deaths at both ends and in between: each is told as what it is, and nothing is left.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ActorDied, EndedBy, Host, WaitStatus};
use pleach_patience::soon;
use rustix::process::{Signal, kill_process};

use crate::site::{agent, dir, expect_nothing_left, in_nursery, node, process_with, processes_with, quick, raw, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("deaths::an_actor_that_is_killed_there_says_what_it_died_of", killed),
        test("deaths::an_actor_that_exits_there_says_so", exits),
        #[cfg(feature = "crashes")]
        test("deaths::an_actor_that_crashes_there_says_where", crashes),
        test("deaths::a_stopped_actor_is_made_to_end", stopped),
        test("deaths::without_its_login_an_actor_ends", cut),
        test("deaths::without_its_session_an_actor_ends", sessionless),
        test("deaths::without_its_keeper_an_actor_ends", keeperless),
        test("deaths::a_killed_root_leaves_nothing", || root_killed("well")),
        test("deaths::a_killed_root_leaves_no_stopped_actor", || root_killed("stopped")),
    ]
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn die(by: i32) -> Result<()> {
    eprintln!("a last word");
    println!("and another");
    if by == 0 {
        std::process::exit(7);
    }
    kill_process(rustix::process::getpid(), Signal::from_named_raw(by).unwrap()).unwrap();
    std::future::pending().await
}

#[pleach::rpc]
async fn stay() -> Result<()> {
    std::future::pending().await
}

/// Starts a child that lives on, and a process that is not an actor, but has a file of the test in its arguments.
#[pleach::rpc]
async fn family(file: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        n.start_actor("below").enable(module_path!()).await?.run(pid()).await?;
        let _stranger = tokio::process::Command::new("tail").arg("-f").arg(file).stdout(Stdio::null()).spawn();
        std::future::pending().await
    })
    .await
}

/// How an actor there has died that was told to [`die`].
async fn death_by(by: i32) -> ActorDied {
    let ended = in_nursery(Config::default(), async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        portal.run(die(by)).await
    })
    .await;
    let Err(Error::ActorDied(died)) = ended else { panic!("{ended:?}") };
    *died
}

async fn killed() {
    let died = death_by(9).await;
    assert_eq!((died.status, died.actor.name()), (WaitStatus::Signalled(9), "far"));
    // What it has printed goes to standard output, as on this host.
    assert_eq!(died.stderr, ["a last word"]);
}

/// What it says of its stack comes over the login, and the names from the program here.
#[cfg(feature = "crashes")]
async fn crashes() {
    let died = death_by(6).await;
    assert_eq!((died.status, &*died.stderr), (WaitStatus::Signalled(6), &["a last word".to_owned()][..]));
    assert!(died.stack.iter().any(|line| line.contains("deaths.rs:")), "{:#?}", died.stack);
}

async fn exits() {
    let died = death_by(0).await;
    assert_eq!(died.status, WaitStatus::Exited(7));
}

async fn stopped() {
    let soon = soon();
    let config = Config { cancel_ack: soon, soft_reap: soon, kill_after: soon, ..Config::default() };
    let n = in_nursery(config, async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        kill_process(raw(portal.run(pid()).await?), Signal::STOP).unwrap();
        n.cancel().await;
        Ok(n)
    })
    .await
    .unwrap();
    let ending = &n.report().endings[0];
    assert_eq!((ending.by, ending.status), (EndedBy::Sigkill, WaitStatus::Signalled(9)), "{ending}");
}

/// `ssh` itself is killed: its actor is counted lost at once, and ends by itself.
async fn cut() {
    let ended = in_nursery(quick(Config::default()), async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        portal.run(pid()).await?;
        kill_process(process_with(&format!("-F {}", dir().join("ssh_config").display())), Signal::KILL).unwrap();
        std::future::pending::<Result<()>>().await
    })
    .await;
    let Err(Error::ActorDied(died)) = ended else { panic!("{ended:?}") };
    assert_eq!(died.status, WaitStatus::Unknown);
    assert!(
        died.to_string().contains("how it ended is unknown; last output: ssh: the connection's own `ssh` was killed"),
        "{died}"
    );
}

/// The `ssh` that waits for the agent is killed, and the login goes on: the agent sees the end of its input, and ends the
/// actor, which may still tell its caller.
async fn sessionless() {
    let ended = in_nursery(quick(Config::default()), async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        portal.run(pid()).await?;
        let kill = async { kill_process(process_with("ssh -F none"), Signal::KILL).unwrap() };
        tokio::join!(portal.run(stay()), kill).0
    })
    .await;
    assert!(matches!(ended, Err(Error::ActorDied(_) | Error::ContextCancelled(_))), "{ended:?}");
}

async fn keeperless() {
    let ended = in_nursery(quick(Config::default()), async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        portal.run(pid()).await?;
        kill_process(agent(), Signal::KILL).unwrap();
        std::future::pending::<Result<()>>().await
    })
    .await;
    assert!(matches!(ended, Err(Error::ActorDied(_) | Error::Disconnected { .. })), "{ended:?}");
    // No process was left to remove the directory of its sockets. The next agent there removes it.
    in_nursery(Config::default(), async |n| n.run_in_actor(pid()).on(node()).await?.result().await).await.unwrap();
}

/// A root in a process of its own, with actors two levels deep at the host.
async fn root_killed(how: &'static str) {
    let temporary = dir().join("tmp");
    let mut root = Root(
        Command::new(std::env::current_exe().unwrap())
            .env("SSH_ROOT", dir().join("ssh_config"))
            .env("SSH_HOW", how)
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(root.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "running\n");
    assert_eq!(sockets_in(&temporary), 1, "the login has a directory");
    let begun = Instant::now();
    root.0.kill().unwrap();
    root.0.wait().unwrap();
    expect_nothing_left();
    eprintln!("gone {:?} after the root", begun.elapsed());
    // The next root of this user removes the leftovers.
    let mut next = Command::new(std::env::current_exe().unwrap());
    assert!(next.env("SSH_ROOT", "").env("TMPDIR", &temporary).status().unwrap().success());
    assert_eq!(sockets_in(&temporary), 0);
}

fn sockets_in(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("pleach-")).count()
}

struct Root(Child);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended, if the test went well
        let _ = self.0.wait();
    }
}

/// Runs a scenario instead of the tests, in a process that a test has started.
pub(crate) fn become_root_if_told() {
    let Ok(file) = std::env::var("SSH_ROOT") else { return };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { soft_reap: soon(), ..Config::default() };
    let ended = tokio.block_on(in_nursery(config, async |n| {
        if file.is_empty() {
            return Ok(());
        }
        let host = Host::ssh("node").config_file(&file);
        let portal = n.start_actor("far").on(host).enable(module_path!()).await?;
        let running = portal.run(family(file.clone()));
        let told = async {
            while processes_with(&format!("tail -f {file}")).is_empty() {
                tokio::task::yield_now().await;
            }
            let pid = portal.run(pid()).await?;
            if std::env::var("SSH_HOW").as_deref() == Ok("stopped") {
                kill_process(raw(pid), Signal::STOP).unwrap();
            }
            println!("running");
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            ended = running => ended,
            ended = told => ended,
        }
    }));
    std::process::exit(i32::from(ended.is_err()));
}
