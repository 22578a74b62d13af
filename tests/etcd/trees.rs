//! Programs that have an etcd and a key file in common, and nothing else.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use libtest_mimic::Trial;
use pleach::error::Result;
use pleach::{Actor, Config};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::server::Server;
use crate::{LEASE, test, with_registry};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("trees::two_programs_find_and_call_each_other", two_programs),
        test("trees::without_the_key_no_function_is_called", a_stranger),
        test("trees::a_configuration_that_can_not_work_says_so", misconfigured),
    ]
}

#[pleach::rpc]
async fn greeting(from: String) -> Result<String> {
    let own = pleach::current_actor().map(|actor| actor.id().name().to_owned()).unwrap_or_default();
    Ok(format!("{own} greets {from}"))
}

async fn two_programs() -> Result<()> {
    let (server, dir) = (Server::start(), TempDir::with_prefix("pleach-etcd-").unwrap());
    let key = dir.path().join("tree.key");
    with_registry(&server.address("trees"), LEASE, async |registry| {
        let mut programs = [("one", "two"), ("two", "one")]
            .map(|(name, other)| Program::start(&server.address("trees"), name, other, &key));
        for (program, expected) in programs
            .iter_mut()
            .zip(["two greets one; two-worker greets one-worker", "one greets two; one-worker greets two-worker"])
        {
            assert_eq!(program.line(), expected);
        }
        let mut names: Vec<_> = registry.list().await?.iter().map(|actor| actor.who.name().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["one", "one-worker", "two", "two-worker"]);
        programs.into_iter().for_each(Program::end);
        // Each has taken its name out; no lease had to be over for that.
        assert_eq!(registry.list().await?, []);
        Ok(())
    })
    .await
}

// SEC-22
async fn a_stranger() -> Result<()> {
    let (server, dir) = (Server::start(), TempDir::with_prefix("pleach-etcd-").unwrap());
    let address = server.address("trees");
    let mut one = Program::start(&address, "one", "one", &dir.path().join("tree.key"));
    assert_eq!(one.line(), "one greets one; one-worker greets one-worker");
    let mut stranger = Program::start(&address, "stranger", "one", &dir.path().join("another.key"));
    let refused = stranger.line();
    assert!(refused.contains("does not know this tree's key"), "{refused}");
    stranger.end();
    // It could not take out what it could not reach.
    let mut two = Program::start(&address, "two", "one", &dir.path().join("tree.key"));
    assert_eq!(two.line(), "one greets two; one-worker greets two-worker");
    two.end();
    one.end();
    Ok(())
}

async fn misconfigured() -> Result<()> {
    let etcd = "etcd://127.0.0.1:9/p".parse().unwrap();
    let keyless = Config { registry: vec![etcd], ..Config::default() };
    let dir = TempDir::with_prefix("pleach-etcd-").unwrap();
    let key_file = Some(dir.path().join("tree.key"));
    let mixed =
        Config { registry: ["etcd://a:1", "tcp://a:1"].map(|at| at.parse().unwrap()).to_vec(), ..keyless.clone() };
    let ensured = Config { ensure_registry: true, key_file: key_file.clone(), ..keyless.clone() };
    let unreadable = Config { registry: vec!["etcd://a/p".parse().unwrap()], key_file, ..keyless.clone() };
    for (config, why) in [
        (keyless, "there is no `key_file`"),
        (mixed, "name one etcd alone"),
        (ensured, "`ensure_registry` wants the root to"),
        (unreadable, "`a` is not a host with a port"),
    ] {
        let refused = pleach::open_root(config, async |_: Actor| Ok::<_, pleach::Error>(())).await.unwrap_err();
        assert!(matches!(&refused, pleach::Error::Config(text) if text.contains(why)), "{refused:?}");
    }
    Ok(())
}

/// A root of its own, which calls another one and then serves until it is told to end.
struct Program {
    process: Child,
    told: Receiver<String>,
    /// Closing it tells the root to end.
    goes_on: Option<ChildStdin>,
}

impl Program {
    fn start(address: &str, name: &str, other: &str, key: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(TOLD, [address, name, other, key.to_str().unwrap()].join(" "));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, goes_on) = (process.stdout.take().unwrap(), process.stdin.take());
        let (tell, told) = sync_channel(16);
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(|line| line.ok()).try_for_each(|line| tell.send(line))
        });
        Self { process, told, goes_on }
    }

    /// What it says next; nothing once it has ended.
    fn line(&mut self) -> String {
        self.told.recv_timeout(pleach_patience::patience()).unwrap_or_default()
    }

    fn end(mut self) {
        self.goes_on = None;
        assert_eq!(self.line(), "");
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it has ended, if the test went well
        let _ = self.process.wait();
    }
}

/// Runs a root instead of the tests, in a process that [`Program::start`] has started.
pub(crate) fn become_one_if_told() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let [address, name, other, key] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("told {told:?}") };
    let config = Config {
        registry: vec![address.parse().unwrap()],
        root_name: name.into(),
        key_file: Some(key.into()),
        ..Config::default()
    };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = tokio.block_on(pleach::open_root(config, async |actor: Actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            let worker = n.start_actor(format!("{name}-worker")).enable(module_path!()).await?;
            let met = async {
                match meet(name, other).await {
                    Ok(greetings) => println!("{greetings}"),
                    Err(error) => println!("{}", format!("{error:?}").replace('\n', " ")),
                }
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = met => {}
                () = told_to_end() => {}
            }
            worker.cancel_actor().await
        })
        .await
    }));
    ended.unwrap();
    std::process::exit(0)
}

/// Calls the other root and its worker; the first one waits.
async fn meet(name: &str, other: &str) -> Result<String> {
    let root = pleach::wait_for_actor(other).await?.run(greeting(name.into())).await?;
    let worker = pleach::wait_for_actor(format!("{other}-worker")).await?;
    let worker = worker.run(greeting(format!("{name}-worker"))).await?;
    Ok(format!("{root}; {worker}"))
}

/// Waits until the parent of this process says so, or has ended.
pub(crate) async fn told_to_end() {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new()); // any end counts
        let _ = tell.send(()); // the waiter has left if the root has failed
    });
    told.await.unwrap();
}

const TOLD: &str = "ETCD_TEST_ROOT";
