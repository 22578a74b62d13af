//! Spans over hops, as a collector of OpenTelemetry gets them: a receiver in this process records what all processes of
//! a tree export.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use prost::Message as _;
use tracing::Instrument as _;

#[pleach::rpc]
async fn at_the_leaf(fails: bool) -> Result<u32> {
    if fails { Err(Error::Usage("on purpose".into())) } else { Ok(std::process::id()) }
}

#[pleach::context]
async fn opened_at_the_leaf(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await
}

#[pleach::stream]
async fn streamed_from_the_leaf(out: &mut StreamSender<u32>) -> Result<()> {
    out.send(1).await
}

/// Calls a leaf over another transport: in this task, and in a task of a nursery.
#[pleach::rpc]
async fn in_the_middle() -> Result<u32> {
    pleach::open_nursery(async |n| {
        let leaf = n.start_actor("leaf").transport("uds").enable(module_path!()).await?;
        let pid = leaf.run(at_the_leaf(false)).await?;
        assert!(leaf.run(at_the_leaf(true)).await.is_err());
        leaf.open_context(opened_at_the_leaf(), async |ctx, ()| ctx.result().await).await?;
        leaf.open_stream_from(streamed_from_the_leaf(), async |mut items| items.recv().await.map(drop)).await?;
        let beside = leaf.clone();
        pleach::open_task_nursery(async |t| {
            t.spawn(async move { beside.run(at_the_leaf(false)).await })?.join().await.map(drop)
        })
        .await?;
        leaf.cancel_actor().await?;
        Ok(pid)
    })
    .await
}

fn main() -> ExitCode {
    pleach::telemetry::otel::init();
    pleach::init();
    if std::env::var_os("OTEL_ROOT").is_some() {
        run_main(Flavor::CurrentThread, root()).unwrap();
        return ExitCode::SUCCESS;
    }
    let test = Trial::test("one_trace_leads_from_the_root_to_the_leaf", || {
        one_trace();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

async fn root() -> Result<()> {
    let config = Config { transport: "tcp".into(), ..Config::default() };
    let tree = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let middle = n.start_actor("middle").enable(module_path!()).await?;
            middle.run(in_the_middle()).await?;
            // One that is started for its function, too.
            n.run_in_actor(at_the_leaf(false)).await?.result().await?;
            middle.cancel_actor().await
        })
        .await
    });
    tree.instrument(tracing::info_span!("the program")).await
}

fn one_trace() {
    let (endpoint, received) = collect();
    let mut root = Command::new(std::env::current_exe().unwrap());
    root.env("OTEL_ROOT", "1").env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env_remove("PLEACH_LOG");
    let output = root.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let spans = received.lock().unwrap();
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id.clone(), span)).collect();
    let top = spans.iter().find(|span| span.name == "the program").expect("the root's own span");
    let functions = ["in_the_middle", "at_the_leaf", "opened_at_the_leaf", "streamed_from_the_leaf"]
        .map(|name| format!("spans::{name}"));
    let calls: Vec<_> = spans.iter().filter(|span| functions.contains(&span.name)).collect();
    assert_eq!(calls.len(), 14, "seven calls, each on two sides: {spans:#?}");
    for call in calls {
        assert_eq!(call.trace_id, top.trace_id, "{call:?}");
        let parent = by_id.get(&call.parent_span_id).unwrap_or_else(|| panic!("no parent: {call:?}"));
        let (side, outcome) = (call.kind, text(call, "outcome"));
        match side {
            CLIENT if text(call, "actor") == "root" => assert_eq!(parent.name, "the program"),
            CLIENT => assert_eq!((parent.name.as_str(), parent.kind), ("spans::in_the_middle", SERVER)),
            _ => assert_eq!((&parent.name, parent.kind), (&call.name, CLIENT)),
        }
        let failed = call.status.as_ref().is_some_and(|status| status.code == 2);
        assert_eq!(failed, outcome == "failed", "{call:?}");
        assert!(["returned", "failed"].contains(&outcome.as_str()) || call.name.contains("streamed"), "{call:?}");
    }
    let failed = spans.iter().filter(|span| text(span, "outcome") == "failed").count();
    assert_eq!(failed, 2, "one call failed, as both sides say");
}

/// The kinds of spans in OTLP.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn text(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|field| field.key == key).and_then(|field| field.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

/// Records what is sent to the returned endpoint.
fn collect() -> (String, Arc<Mutex<Vec<Span>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let into = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            take(stream.unwrap(), &into);
        }
    });
    (endpoint, received)
}

fn take(stream: TcpStream, into: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(&stream);
    let mut size = 0;
    for line in reader.by_ref().lines().map(|line| line.unwrap().to_lowercase()) {
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            size = length.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; size];
    reader.read_exact(&mut body).unwrap();
    let request = ExportTraceServiceRequest::decode(&*body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    into.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
}
