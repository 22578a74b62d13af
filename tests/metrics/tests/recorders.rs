//! A recorder of the program's own, in each process of a tree: what it gets, when it is installed early, late, or never.
//!
//! A process has one recorder, so each case is a root of its own, which prints what its recorder and its actors' have.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;

/// The values by name and labels, in the notation of Prometheus; of a histogram, how many there are.
type Values = BTreeMap<String, f64>;

#[pleach::rpc]
async fn double(number: u64) -> Result<u64> {
    if number == 13 { Err(Error::Usage("on purpose".into())) } else { Ok(2 * number) }
}

#[pleach::rpc]
async fn sleep_for_ever() -> Result<()> {
    std::future::pending().await
}

#[pleach::rpc]
async fn boom() -> Result<()> {
    panic!("on purpose")
}

/// Blocks the thread of its actor, and takes no SIGTERM.
#[pleach::rpc]
async fn wedge() -> Result<()> {
    loop {
        std::thread::park();
    }
}

#[pleach::context]
async fn talk(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await
}

/// Opens its stream, and takes nothing.
#[pleach::context]
async fn take_nothing(ctx: &mut Context<u32, u32, ()>) -> Result<()> {
    ctx.started(std::process::id()).await?;
    let _stream = ctx.open_stream().await?;
    std::future::pending().await
}

#[pleach::stream]
async fn count_to(out: &mut StreamSender<u32>, n: u32) -> Result<()> {
    for number in 0..n {
        out.send(number).await?;
    }
    Ok(())
}

/// What the recorder of the callee has.
#[pleach::rpc]
async fn recorded_there() -> Result<Values> {
    Ok(recorded())
}

static RECORDER: OnceLock<Snapshotter> = OnceLock::new();

fn install() {
    let recorder = DebuggingRecorder::new();
    RECORDER.set(recorder.snapshotter()).ok().unwrap();
    recorder.install().unwrap();
}

/// What this process has recorded so far; the recorder itself forgets what it has told.
fn recorded() -> Values {
    static SO_FAR: Mutex<Values> = Mutex::new(Values::new());
    pleach::metrics::sample();
    let mut so_far = SO_FAR.lock().unwrap();
    for (key, _, description, value) in RECORDER.get().unwrap().snapshot().into_vec() {
        let (_, key) = key.into_parts();
        assert!(description.is_some(), "{key} is not described");
        let mut labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        let value_so_far = so_far.entry(format!("{}{{{}}}", key.name(), labels.join(","))).or_default();
        match value {
            DebugValue::Counter(more) => *value_so_far += more as f64,
            DebugValue::Gauge(now) => *value_so_far = now.0,
            DebugValue::Histogram(more) => *value_so_far += more.len() as f64,
        }
    }
    so_far.clone()
}

fn main() -> ExitCode {
    let case = std::env::var("RECORDS").unwrap_or_default();
    if case == "early" {
        install();
    }
    pleach::init();
    let transport = std::env::var("OVER").unwrap_or_default();
    match case.as_str() {
        "early" => run_main(Flavor::CurrentThread, early(transport)).unwrap(),
        "late" => run_main(Flavor::CurrentThread, late(transport)).unwrap(),
        "rude" => run_main(Flavor::CurrentThread, rude(transport)).unwrap(),
        "lines" => run_main(Flavor::CurrentThread, lines()).unwrap(),
        "ends" => run_main(Flavor::CurrentThread, ends(transport)).unwrap(),
        _ => return tests(),
    }
    ExitCode::SUCCESS
}

fn tests() -> ExitCode {
    let mut tests = Vec::new();
    for over in ["mem", "tcp", "tls+tcp", "uds", "quic"] {
        let test = move || {
            each_side_counts_what_it_does(over);
            Ok(())
        };
        tests.push(Trial::test(format!("each_side_counts_what_it_does/{over}"), test));
    }
    let mut add = |name: &str, test: fn()| {
        tests.push(Trial::test(name, move || {
            test();
            Ok(())
        }))
    };
    add("a_recorder_that_comes_late_gets_what_happens_from_then_on", a_recorder_that_comes_late);
    add("a_recorder_that_panics_ends_no_call", a_recorder_that_panics);
    add("what_happens_on_a_line_is_counted", what_happens_on_a_line);
    add("starts_restarts_and_ends_are_counted", starts_restarts_and_ends);
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Runs a root, and returns what it prints: the values of several recorders.
fn root(case: &str, over: &str) -> Vec<Values> {
    let mut root = Command::new(std::env::current_exe().unwrap());
    root.env("RECORDS", case).env("OVER", over).env_remove("PLEACH_LOG").stdin(Stdio::null());
    let output = root.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn print(values: &[Values]) {
    println!("{}", serde_json::to_string(values).unwrap());
}

async fn early(transport: String) -> Result<()> {
    let config = Config { transport, ..Config::default() };
    let worker = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let worker = n.start_actor("worker").enable(module_path!()).await?;
            for number in 0..20 {
                assert_eq!(worker.run(double(number)).await.is_ok(), number != 13);
            }
            worker.run(boom()).await.unwrap_err();
            worker.run_from_ns::<u64>("recorders::double", &(4,)).await?;
            worker.run_from_ns::<u64>("nowhere::nothing", &(4,)).await.unwrap_err();
            worker.run_from_ns::<u64>("recorders::talk", &(4,)).await.unwrap_err();
            assert!(move_on_after(Duration::from_millis(10), worker.run(sleep_for_ever())).await.is_none());
            worker.open_context(talk(), async |ctx, ()| ctx.result().await).await?;
            let items = async |mut items: StreamReceiver<u32>| {
                while items.recv().await?.is_some() {}
                Ok::<_, Error>(())
            };
            worker.open_stream_from(count_to(100), items).await?;
            let there = worker.run(recorded_there()).await?;
            worker.cancel_actor().await?;
            Ok::<_, Error>(there)
        })
        .await
    })
    .await?;
    print(&[recorded(), worker]);
    Ok(())
}

fn each_side_counts_what_it_does(over: &str) {
    let values = root("early", over);
    let [here, there] = &values[..] else { panic!("{values:?}") };
    // Over `mem`, both are one process.
    let there = if over == "mem" { here } else { there };
    let calls = |kind: &str, function: &str, outcome: &str| {
        let name =
            |side| format!("pleach_calls_total{{function={function},kind={kind},outcome={outcome},side={side}}}");
        [(here, "client"), (there, "server")].map(|(values, side)| values[&name(side)])
    };
    assert_eq!(calls("rpc", "recorders::double", "returned"), [20.0; 2], "19 of 20, and one by its path");
    assert_eq!(calls("rpc", "recorders::double", "failed"), [1.0; 2]);
    // The caller gets an error.
    assert_eq!(calls("rpc", "recorders::boom", "failed")[0], 1.0);
    assert_eq!(calls("rpc", "recorders::boom", "panicked")[1], 1.0);
    assert_eq!(calls("rpc", "recorders::sleep_for_ever", "cancelled"), [1.0; 2]);
    assert_eq!(calls("context", "recorders::talk", "returned"), [1.0; 2]);
    assert_eq!(calls("stream", "recorders::count_to", "returned"), [1.0; 2]);
    assert_eq!(calls("rpc", "other", "refused"), [1.0; 2]);
    let refused = |values: &Values, side| {
        values[&format!("pleach_calls_total{{function=recorders::talk,kind=context,outcome=refused,side={side}}}")]
    };
    assert_eq!((refused(here, "client"), refused(there, "server")), (1.0, 1.0), "a context can't be called");
    for (values, side) in [(here, "client"), (there, "server")] {
        let took = values[&format!("pleach_call_duration_seconds{{function=recorders::double,kind=rpc,side={side}}}")];
        assert_eq!(took, 21.0, "a time for each");
    }
    let flow = |values: &Values, what, direction| {
        values[&format!("pleach_{what}_total{{direction={direction},transport={over}}}")]
    };
    assert!(flow(here, "messages", "sent") >= 27.0, "{here:#?}");
    assert!(flow(here, "messages", "received") >= 125.0, "{here:#?}");
    assert!(flow(here, "bytes", "received") > 1000.0, "{here:#?}");
    assert_eq!(here[&format!("pleach_connections{{transport={over}}}")], 0.0, "all are closed");
    assert_eq!(here["pleach_calls_open{side=client}"], 0.0);
    assert_eq!(here["pleach_spawns_total{outcome=connected}"], 1.0);
    assert_eq!(here["pleach_spawn_duration_seconds{}"], 1.0);
    assert_eq!(here["pleach_ends_total{by=request,status=ok}"], 1.0, "{here:#?}");
    assert!(here[&format!("pleach_connections_total{{side=server,transport={over}}}")] >= 1.0);
    if over != "mem" {
        assert_eq!(there["pleach_actors{}"], 1.0);
        // It answers this call while it takes the sample.
        assert_eq!(there["pleach_calls_open{side=server}"], 1.0, "{there:#?}");
        assert!(there[&format!("pleach_connections{{transport={over}}}")] >= 1.0);
        // All that has come there, but for what follows that call, was sent from here.
        assert!(flow(there, "messages", "received") <= flow(here, "messages", "sent"));
    }
}

/// Installs a recorder when its actor has worked for a while.
async fn late(transport: String) -> Result<()> {
    let config = Config { transport, ..Config::default() };
    pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let worker = n.start_actor("worker").enable(module_path!()).await?;
            for number in 0..5 {
                worker.run(double(number)).await?;
            }
            install();
            for number in 0..7 {
                worker.run(double(number)).await?;
            }
            worker.cancel_actor().await
        })
        .await
    })
    .await?;
    print(&[recorded()]);
    Ok(())
}

fn a_recorder_that_comes_late() {
    let values = &root("late", "uds")[0];
    let calls = "pleach_calls_total{function=recorders::double,kind=rpc,outcome=returned,side=client}";
    assert_eq!(values[calls], 7.0);
    assert!(values["pleach_messages_total{direction=sent,transport=uds}"] >= 12.0, "those have always been counted");
}

/// A recorder without a state of its own, whose every function panics.
struct Rude;

impl metrics::Recorder for Rude {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {
        panic!("rude");
    }

    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {
        panic!("rude");
    }

    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {
        panic!("rude");
    }

    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        ASKED.store(true, std::sync::atomic::Ordering::Relaxed);
        panic!("rude");
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        panic!("rude");
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        panic!("rude");
    }
}

static ASKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

async fn rude(transport: String) -> Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    metrics::set_global_recorder(Rude).ok().unwrap();
    early_calls(transport).await?;
    assert!(ASKED.load(std::sync::atomic::Ordering::Relaxed), "it was found");
    print(&[]);
    Ok(())
}

async fn early_calls(transport: String) -> Result<()> {
    let config = Config { transport, ..Config::default() };
    pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let worker = n.start_actor("worker").enable(module_path!()).await?;
            for number in 0..5 {
                assert_eq!(worker.run(double(number)).await?, 2 * number);
            }
            worker.cancel_actor().await
        })
        .await
    })
    .await
}

fn a_recorder_that_panics() {
    assert!(root("rude", "mem").is_empty());
    assert!(root("rude", "uds").is_empty());
}

/// Restarts a child once, gives up with it, and has one that has to be killed.
async fn ends(transport: String) -> Result<()> {
    install();
    let short = Duration::from_millis(50);
    let config = Config { transport, soft_reap: short, kill_after: short, cancel_ack: short, ..Config::default() };
    let ended = pleach::open_root(config.clone(), async |_| {
        pleach::open_nursery(async |n| {
            let fails = pleach::ChildSpec::run_once("fails", boom);
            let group = pleach::Supervision::one_for_one().intensity(2, Duration::from_secs(600)).child(fails);
            n.supervise(group).await?.ended().await
        })
        .await
    })
    .await;
    assert!(ended.is_err());
    let ended = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let wedged = n.start_actor("wedged").enable(module_path!()).await?;
            let waiting = wedged.run(wedge());
            assert!(move_on_after(Duration::from_millis(500), waiting).await.is_none());
            n.cancel().await;
            Ok::<_, Error>(())
        })
        .await
    });
    ended.await?;
    print(&[recorded()]);
    Ok(())
}

fn starts_restarts_and_ends() {
    let values = &root("ends", "uds")[0];
    assert_eq!(values["pleach_restarts_total{}"], 2.0, "{values:#?}");
    assert_eq!(values["pleach_supervisor_give_ups_total{}"], 1.0);
    assert_eq!(values["pleach_spawns_total{outcome=connected}"], 4.0);
    for step in ["cancel", "sigterm", "sigkill"] {
        assert!(values[&format!("pleach_reap_steps_total{{step={step}}}")] >= 1.0, "{values:#?}");
    }
    assert_eq!(values["pleach_ends_total{by=sigkill,status=killed}"], 1.0, "{values:#?}");
}

/// A stranger, a heartbeat, a stalled sender, and a child that falls silent.
async fn lines() -> Result<()> {
    install();
    let (heartbeat, lease) = (Duration::from_millis(50), Duration::from_secs(2));
    let config = Config { transport: "tcp".into(), heartbeat, lease, ..Config::default() };
    let ended = pleach::open_root(config, async |root| {
        pleach::open_nursery(async |n| {
            let worker = n.start_actor("worker").heartbeats().enable(module_path!()).await?;
            let at = root.addresses().await.remove(0).to_string();
            let mut stranger = TcpStream::connect(at.trim_start_matches("tcp://")).unwrap();
            stranger.write_all(&[b'?'; 64]).unwrap();
            recorded_at_last("pleach_handshakes_refused_total{reason=refused}").await;
            recorded_at_last("pleach_round_trip_seconds{transport=tcp}").await;
            worker
                .open_context(take_nothing(), async |ctx, pid| {
                    let stream = ctx.open_stream().await?;
                    let sending = async {
                        loop {
                            stream.send(1).await?;
                        }
                    };
                    let ended: Result<()> = tokio::select! {
                        ended = sending => ended,
                        () = recorded_at_last("pleach_senders_stalled_total{}") => Ok(()),
                    };
                    ended?;
                    assert!(recorded()["pleach_contexts_open{}"] >= 1.0);
                    let stopped = Command::new("kill").args(["-STOP", &pid.to_string()]).status();
                    assert!(stopped.unwrap().success());
                    ctx.result().await
                })
                .await
        })
        .await
    });
    assert!(ended.await.is_err());
    print(&[recorded()]);
    Ok(())
}

/// Waits until something has been recorded.
async fn recorded_at_last(key: &str) {
    let until = std::time::Instant::now() + pleach_patience::patience();
    while recorded().get(key).is_none_or(|value| *value == 0.0) {
        assert!(std::time::Instant::now() < until, "{key} is missing: {:#?}", recorded());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn what_happens_on_a_line() {
    let values = &root("lines", "tcp")[0];
    assert_eq!(values["pleach_handshakes_refused_total{reason=refused}"], 1.0, "{values:#?}");
    assert_eq!(values["pleach_peers_declared_dead_total{reason=lease}"], 1.0, "{values:#?}");
    assert_eq!(values["pleach_connections_total{side=server,transport=tcp}"], 1.0, "{values:#?}");
    assert_eq!(values["pleach_stream_unread{}"], 0.0);
    assert!(values.keys().any(|key| key.starts_with("pleach_ends_total{by=lease,")), "{values:#?}");
}
