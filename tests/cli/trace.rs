//! `pleach trace`: each message is told once, on both sides alike, and no actor waits for it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::time::Duration;

use futures_util::{Stream, stream};
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ActorId, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::stacks::{Stop, busy};
use crate::support::{command, pleach, scaled, test_fn};
use crate::tree::{Setup, in_root, rest, turn, while_it_runs};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(each_message_is_told_on_both_sides),
        test_fn(a_function_that_began_before_is_known),
        test_fn(a_reader_that_is_slow_loses_messages_and_the_actor_no_time),
        test_fn(filters_tell_what_they_name),
        test_fn(one_call_is_traced_to_its_end),
        test_fn(a_busy_actor_is_traced_and_a_killed_one_has_ended),
        test_fn(it_ends_with_a_summary_when_it_is_told_to),
        test_fn(what_can_not_be_traced_is_said),
        test_fn(callers_that_say_nothing_keep_no_trace_out),
    ]
}

/// A running `pleach trace` that has begun. Dropping it kills it.
struct Tool {
    process: Child,
    out: Option<BufReader<ChildStdout>>,
    err: BufReader<ChildStderr>,
    _at: TempDir,
}

/// What it has told, and how it ended.
#[derive(Debug)]
struct Told {
    lines: Vec<Value>,
    summary: String,
    success: bool,
}

impl Tool {
    fn start(args: &str) -> Self {
        let at = TempDir::new().unwrap();
        let mut command = command(at.path(), &format!("trace --tree {} --json {args}", std::process::id()));
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = process.stdout.take().map(BufReader::new);
        let mut tool = Self { err: BufReader::new(process.stderr.take().unwrap()), process, out, _at: at };
        let began = tool.said();
        assert!(began.starts_with("tracing actor"), "{args}: {began}");
        tool
    }

    fn said(&mut self) -> String {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Reads to the end.
    fn told(mut self) -> Told {
        let lines = self.out.take().unwrap().lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let lines = lines.collect();
        let mut summary = String::new();
        self.err.read_to_string(&mut summary).unwrap();
        Told { lines, summary, success: self.process.wait().unwrap().success() }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

impl Told {
    /// The messages of a kind that went this way.
    fn of(&self, way: &str, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["direction"] == way && line["kind"] == kind).collect()
    }

    fn messages(&self) -> u64 {
        self.lines.iter().filter(|line| line["kind"].is_string()).count() as u64
    }

    fn dropped(&self) -> u64 {
        self.lines.iter().filter_map(|line| line["dropped"].as_u64()).sum()
    }
}

#[pleach::rpc]
async fn weigh(secret: Blob) -> Result<usize> {
    Ok(secret.len())
}

#[pleach::rpc]
async fn fail() -> Result<()> {
    Err(Error::Usage("the secret ink is out".into()))
}

#[pleach::stream]
fn numbers(count: u64) -> impl Stream<Item = Result<u64>> {
    stream::iter((0..count).map(Ok))
}

#[pleach::context]
async fn echo(ctx: &mut Context<(), u64, u64>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(number) = stream.recv().await? {
        stream.send(number).await?;
    }
    Ok(())
}

#[pleach::context]
async fn wait(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

/// Runs a body in the root of a tree with an actor `traced`, which is a thread of this process over `mem`. The actor has
/// ended when this returns.
fn with_traced(protocol: &str, body: impl AsyncFnOnce(&Portal) -> Result<()>) {
    let _turn = turn();
    let config = Config { transport: protocol.to_owned(), ..Config::default() };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let traced = n.start_actor("traced").enable(module_path!()).await?;
            body(&traced).await?;
            traced.cancel_actor().await
        })
        .await
    });
}

/// Has a tool begin while the tree goes on.
async fn start(args: impl Into<String>) -> Tool {
    let args = args.into();
    tokio::task::spawn_blocking(move || Tool::start(&args)).await.unwrap()
}

async fn told(tool: Tool) -> Told {
    tokio::task::spawn_blocking(move || tool.told()).await.unwrap()
}

/// Calls of each kind.
async fn talk(traced: &Portal) -> Result<()> {
    for _ in 0..CALLS {
        traced.run(weigh(Blob::from(SECRET.repeat(100).into_bytes()))).await?;
    }
    assert!(traced.run(fail()).await.is_err());
    let mut taken = 0;
    traced
        .open_stream_from(numbers(ITEMS), async |mut stream| {
            while stream.recv().await?.is_some() {
                taken += 1;
            }
            Ok::<_, Error>(())
        })
        .await?;
    assert_eq!(taken, ITEMS);
    traced
        .open_context(echo(), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            for number in 0..ITEMS {
                stream.send(number).await?;
                assert_eq!(stream.recv().await?, Some(number));
            }
            Ok::<_, Error>(())
        })
        .await?;
    traced.open_context(wait(), async |ctx, ()| ctx.cancel().await).await
}

// SEC-29
fn each_message_is_told_on_both_sides() {
    for protocol in ["mem", "uds", "tcp", "quic"] {
        let mut tools = None;
        with_traced(protocol, async |traced| {
            let below = start("traced").await;
            let above = start(format!("root --peer traced@{}", traced.id().pid())).await;
            talk(traced).await?;
            tools = Some((below, above));
            Ok(())
        });
        let (below, above) = tools.unwrap();
        let below = below.told();
        assert!(below.success && below.summary.contains("actor `traced` (pid"), "{protocol}: {below:?}");
        assert!(below.summary.contains(&format!("has ended: {} messages, 0 dropped\n", below.messages())), "{below:?}");
        assert_eq!(below.of("sent", "goodbye").len(), 1, "its last words are told: {protocol}: {below:?}");
        let above = above.told();
        for (told, [way, back]) in [(&below, ["received", "sent"]), (&above, ["sent", "received"])] {
            let calls = told.of(way, "call");
            let weighed: Vec<_> = calls.iter().filter(|call| call["function"] == "cli::trace::weigh").collect();
            assert_eq!(weighed.len(), CALLS, "{protocol}: {told:?}");
            assert!(weighed.iter().all(|call| call["bytes"].as_u64().unwrap() > 100 * SECRET.len() as u64));
            let answers = told.of(back, "answer");
            let to = |call: &Value| answers.iter().filter(|answer| answer["cid"] == call["cid"]).count();
            assert!(weighed.iter().all(|call| to(call) == 1), "{protocol}: {told:?}");
            assert_eq!(told.of(back, "failure").len(), 1, "{protocol}: {told:?}");
            assert_eq!(told.of(back, "failure")[0]["function"], "cli::trace::fail");
            let items = told.of(back, "item");
            let of = |function: &str| items.iter().filter(|item| item["function"] == function).count() as u64;
            assert_eq!((of("cli::trace::numbers"), of("cli::trace::echo")), (ITEMS, ITEMS), "{protocol}");
            assert_eq!((told.of(way, "stream").len(), told.of(way, "context").len()), (1, 2));
            assert_eq!(told.of(back, "started").len(), 2, "{protocol}: {told:?}");
            for (way, kind) in [(way, "cancel"), (back, "cancelled"), (back, "cancel_ack")] {
                assert_eq!(told.of(way, kind)[0]["function"], "cli::trace::wait", "{protocol}: {kind}: {told:?}");
            }
            let text = format!("{told:?}");
            assert!(!text.contains(SECRET) && !text.contains("ink"), "no payload and no text of an error is told");
        }
        // What one side sends is what the other one receives, byte for byte.
        let both = ["call", "answer", "item", "cancel"].map(|kind| {
            let sum =
                |told: &Told, way| told.of(way, kind).iter().map(|line| line["bytes"].as_u64().unwrap()).sum::<u64>();
            [["sent", "received"], ["received", "sent"]].map(|[one, other]| sum(&below, one) == sum(&above, other))
        });
        assert_eq!(both, [[true; 2]; 4], "{protocol}: {below:?} {above:?}");
        assert!(above.summary.contains("actor `root`"), "{above:?}");
    }
}

const CALLS: usize = 20;
const ITEMS: u64 = 30;
const SECRET: &str = "rumpelstiltskin";

fn a_function_that_began_before_is_known() {
    let mut tool = None;
    with_traced("uds", async |traced| {
        traced
            .open_context(echo(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                stream.send(0).await?;
                stream.recv().await?;
                tool = Some(start("traced").await);
                stream.send(1).await?;
                stream.recv().await?;
                Ok::<_, Error>(())
            })
            .await
    });
    let told = tool.unwrap().told();
    let [came, went] = ["received", "sent"].map(|way| told.of(way, "item"));
    assert_eq!((came.len(), went.len()), (1, 1), "{told:?}");
    assert!(came.iter().chain(&went).all(|item| item["function"] == "cli::trace::echo"), "{told:?}");
}

fn a_reader_that_is_slow_loses_messages_and_the_actor_no_time() {
    let mut tool = None;
    with_traced("mem", async |traced| {
        let started = start("traced").await;
        started.signal(Signal::STOP);
        for _ in 0..FLOOD {
            traced.run(weigh(Blob::from(vec![1]))).await?;
        }
        started.signal(Signal::CONT);
        tool = Some(started);
        Ok(())
    });
    let told = tool.unwrap().told();
    let of_others = told.messages() - (told.of("received", "call").len() + told.of("sent", "answer").len()) as u64;
    let passed = told.messages() + told.dropped();
    assert!(
        told.dropped() > 0 && (2 * FLOOD..2 * FLOOD + 10).contains(&passed),
        "{passed}, {of_others}: {}",
        told.summary
    );
    assert!(told.summary.contains(&format!("{} dropped", told.dropped())), "{}", told.summary);
    assert!(told.success);
}

/// More calls than a ring has places, and the buffers of a socket and a pipe.
const FLOOD: u64 = 12_000;

fn filters_tell_what_they_name() {
    let mut tools = Vec::new();
    with_traced("uds", async |traced| {
        for filter in
            ["--kind call,failure", "--function weigh", "--function eigh", "--peer root", "--peer other", "--cid 0"]
        {
            tools.push((filter, start(format!("traced {filter}")).await));
        }
        talk(traced).await
    });
    for (filter, tool) in tools {
        let told = tool.told();
        let all = |is: &dyn Fn(&Value) -> bool| told.lines.iter().all(is);
        let expected = match filter {
            "--kind call,failure" => told.of("sent", "failure").len() == 1 && all(&|line| line["kind"] != "answer"),
            "--function weigh" => told.lines.len() == 2 * CALLS && all(&|line| line["function"] == "cli::trace::weigh"),
            "--peer root" => told.lines.len() > 2 * CALLS && all(&|line| line["peer"]["name"] == "root"),
            _ => told.lines.is_empty(),
        };
        assert!(expected && told.success, "{filter}: {told:?}");
    }
}

fn one_call_is_traced_to_its_end() {
    let mut tool = None;
    with_traced("uds", async |traced| {
        let mut cid = None;
        traced
            .open_context(echo(), async |ctx, ()| {
                cid = cid_of("cli::trace::echo").await;
                tool = Some(start(format!("#{}", cid.unwrap())).await);
                traced.run(weigh(Blob::from(vec![1]))).await?;
                let mut stream = ctx.open_stream().await?;
                stream.send(1).await?;
                stream.recv().await?;
                Ok::<_, Error>(())
            })
            .await?;
        let told = told(tool.take().unwrap()).await;
        assert!(told.summary.starts_with("the call has ended: ") && told.success, "{told:?}");
        assert!(told.lines.iter().all(|line| line["cid"].as_u64() == cid), "{told:?}");
        assert_eq!(told.of("received", "answer").len(), 1, "{told:?}");
        Ok(())
    });
}

/// The number of a call of this process.
async fn cid_of(function: &'static str) -> Option<u64> {
    let looked = tokio::task::spawn_blocking(move || {
        let found = pleach::inspect::processes().unwrap().into_iter().filter(|found| found.pid == std::process::id());
        let reports = found.filter_map(|found| found.report.ok()).flat_map(|report| report.actors);
        let calls = reports.flat_map(|actor| actor.peers.unwrap()).flat_map(|peer| peer.waiting.unwrap());
        calls.filter(|call| call.function == function).map(|call| call.cid).next()
    });
    looked.await.unwrap()
}

fn a_busy_actor_is_traced_and_a_killed_one_has_ended() {
    for protocol in ["uds", "mem"] {
        let stop = Stop::later();
        let setup = Setup { protocol, multi_thread: false };
        while_it_runs(setup, "burning", busy(stop.0), move || {
            let _stop = stop;
            let tool = Tool::start("burning");
            tool.signal(Signal::INT);
            let told = tool.told();
            assert!(told.success && told.summary == "0 messages, 0 dropped\n", "{protocol}: {told:?}");
        });
    }
    while_it_runs(Setup::default(), "doomed", rest(), || {
        let tool = Tool::start("doomed");
        let pid = pid_of("doomed");
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        let told = tool.told();
        assert!(
            told.success && told.summary.contains("actor `doomed`") && told.summary.contains("has ended"),
            "{told:?}"
        );
    });
}

fn pid_of(name: &str) -> u32 {
    let found = pleach::inspect::processes().unwrap().into_iter().filter_map(|process| process.report.ok());
    let is_meant = |who: &ActorId, parent: Option<&ActorId>| {
        who.name() == name && parent.is_some_and(|parent| parent.pid() == std::process::id())
    };
    let mut actors = found.flat_map(|report| report.actors);
    actors.find(|actor| is_meant(&actor.who, actor.parent.as_ref())).unwrap().who.pid()
}

fn it_ends_with_a_summary_when_it_is_told_to() {
    with_traced("tcp", async |traced| {
        let counted = start("traced --count 5").await;
        let timed = start("traced --for 50ms").await;
        let [interrupted, terminated] = [start("traced").await, start("traced").await];
        for _ in 0..CALLS {
            traced.run(weigh(Blob::from(vec![1]))).await?;
        }
        let counted = told(counted).await;
        assert_eq!((counted.lines.len(), &*counted.summary), (5, "5 messages, 0 dropped\n"));
        assert!(told(timed).await.success);
        for (tool, signal) in [(interrupted, Signal::INT), (terminated, Signal::TERM)] {
            tool.signal(signal);
            let told = told(tool).await;
            assert_eq!(told.summary, format!("{} messages, 0 dropped\n", told.lines.len()));
            assert!(told.success, "{signal:?}: {told:?}");
        }
        Ok(())
    });
}

fn what_can_not_be_traced_is_said() {
    while_it_runs(Setup::default(), "present", rest(), || {
        let (at, tree) = (TempDir::new().unwrap(), std::process::id());
        let trace = |args: &str| pleach(at.path(), &format!("trace --tree {tree} {args}"));
        let none = trace("absent").unwrap_err();
        assert!(none.contains("no actor is `absent`; there are: present, root"), "{none}");
        let no_call = trace("#999999999").unwrap_err();
        assert!(no_call.contains("no actor and no call is `999999999`"), "{no_call}");
        let no_kind = trace("present --kind letter").unwrap_err();
        assert!(no_kind.contains("answer") && no_kind.contains("heartbeat"), "{no_kind}");
        assert!(trace("present --for never").unwrap_err().contains("10s"));
        let tools: Vec<_> = (0..16).map(|_| Tool::start("present")).collect();
        let many = trace("present").unwrap_err();
        assert!(many.contains("16 traces run in process"), "{many}");
        drop(tools);
        // The places of those that were killed are free in a moment.
        let until = std::time::Instant::now() + pleach_patience::patience();
        while trace("present --for 0s").is_err() {
            assert!(std::time::Instant::now() < until, "their places stay taken");
        }
    });
}

fn callers_that_say_nothing_keep_no_trace_out() {
    while_it_runs(Setup::default(), "quiet", rest(), || {
        let name = format!("pleach-inspect/{}/", pid_of("quiet"));
        let list = std::fs::read_to_string("/proc/net/unix").unwrap();
        let socket = list.lines().filter_map(|line| line.split_once('@')).find(|(_, socket)| socket.starts_with(&name));
        let address = SocketAddr::from_abstract_name(socket.unwrap().1).unwrap();
        let _silent: Vec<_> = (0..20).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        let begun = std::time::Instant::now();
        let tool = Tool::start("quiet --for 0s");
        assert!(begun.elapsed() < scaled(Duration::from_secs(10)));
        assert!(tool.told().success);
    });
}
