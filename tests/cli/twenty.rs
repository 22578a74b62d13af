//! A tree of twenty actors over mixed transports, in processes of their own, for the commands that look at trees.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use futures_util::{Stream, stream};
use pleach::StreamReceiver;
use pleach::prelude::*;
use pleach::trionics::{Gate, gather_contexts};
use serde_json::json;
use tempfile::TempDir;

/// Set in a process that is to be the root.
pub(crate) const ROOT: &str = "CLI_TWENTY";

/// The transports of the four branches.
const TRANSPORTS: [&str; 4] = ["uds", "tcp", "quic", "mem"];

/// How many actors each has, its head among them. A branch over memory is one process.
const EACH: usize = 5;

/// How many actors there are, with the root.
pub(crate) const ACTORS: usize = TRANSPORTS.len() * EACH + 1;

/// A running tree. Dropping it ends that.
pub(crate) struct Tree {
    process: Child,
    commands: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    /// The actors, with their process ids.
    pub(crate) actors: BTreeMap<String, u32>,
    pub(crate) at: TempDir,
}

impl Tree {
    pub(crate) fn start() -> Self {
        let at = TempDir::new().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROOT, "1").env("TMPDIR", at.path()).current_dir(at.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let commands = process.stdin.take();
        let mut tree = Self { process, commands, says, actors: BTreeMap::new(), at };
        tree.actors = serde_json::from_str(&tree.next_line()).unwrap();
        assert_eq!(tree.actors.len(), ACTORS);
        tree
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    /// The process id of the root.
    pub(crate) fn root(&self) -> u32 {
        self.process.id()
    }

    /// Has the root do something, and waits until that is done.
    pub(crate) fn tell(&mut self, what: &str) {
        writeln!(self.commands.as_mut().unwrap(), "{what}").unwrap();
        assert_eq!(self.next_line().trim(), "done");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.commands = None; // the root ends with its standard input
        let ended = self.process.wait().unwrap();
        assert!(ended.success() || std::thread::panicking(), "{ended}");
    }
}

/// Numbers for as long as they are taken.
#[pleach::stream]
fn numbers() -> impl Stream<Item = Result<u64>> {
    stream::unfold(0, async |n| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok(n), n + 1))
    })
}

/// Starts actors below this one, and keeps them until it is cancelled; says who they are first.
#[pleach::context]
async fn branch(ctx: &mut Context<BTreeMap<String, u32>, (), ()>, transport: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let mut actors = BTreeMap::new();
        for number in 1..EACH {
            let started = n.start_actor(format!("{transport}-{number}")).transport(&*transport).await?;
            actors.insert(started.id().name().to_owned(), started.id().pid());
        }
        ctx.started(actors).await?;
        std::future::pending::<Result<()>>().await
    })
    .await
}

#[pleach::rpc]
async fn fail() -> Result<()> {
    Err(Error::Usage("the ink is out".into()))
}

/// The root of the tree: does what standard input says, until that ends.
pub(crate) fn root() -> ExitCode {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { root_name: "twenty".into(), ..Config::default() };
    match tokio.block_on(pleach::open_root(config, grow)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn grow(root: pleach::Actor) -> Result<()> {
    pleach::open_nursery(async |n| {
        let mut heads = Vec::new();
        for transport in TRANSPORTS {
            let head = format!("{transport}-0");
            heads.push(n.start_actor(head).transport(transport).enable(module_path!()).await?);
        }
        let openers = heads.iter().cloned().zip(TRANSPORTS).map(|(head, transport)| {
            async move |gate: Gate<_>| {
                let enter = head.open_context(branch(transport.into()), async |ctx, below| {
                    gate.enter(below).await?;
                    ctx.cancel().await
                });
                let _ = enter.await; // some are told to end before
                Ok::<_, Error>(())
            }
        });
        gather_contexts(openers, async |below: Vec<BTreeMap<String, u32>>| {
            let ids = heads.iter().map(|head| head.id()).chain([root.id()]);
            let own = ids.map(|id| (id.name().to_owned(), id.pid()));
            let actors: BTreeMap<_, _> = below.into_iter().flatten().chain(own).collect();
            println!("{}", json!(actors));
            heads[1].open_stream_from(numbers(), async |stream| obey(stream, &heads).await).await
        })
        .await?;
        n.cancel().await;
        Ok(())
    })
    .await
}

/// Takes numbers, and does what each line of standard input says.
async fn obey(mut stream: StreamReceiver<u64>, heads: &[Portal]) -> Result<()> {
    tokio::select! {
        taken = async { while stream.recv().await?.is_some() {} Ok(()) } => taken,
        obeyed = obey_lines(heads) => obeyed,
    }
}

async fn obey_lines(heads: &[Portal]) -> Result<()> {
    loop {
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let line = line.await.unwrap().unwrap();
        match line.trim() {
            "" => return Ok(()),
            "ping" => {}
            "fail" => drop(heads[0].run(fail()).await),
            "end uds" => heads[0].cancel_actor().await?,
            other => panic!("{other}?"),
        }
        println!("done");
    }
}
