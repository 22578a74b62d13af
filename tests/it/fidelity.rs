//! Debug builds say once for each type that a value of it does not come back as it was sent: whichever way it is sent.

use std::fmt;

use futures_util::{SinkExt, Stream, stream};
use libtest_mimic::Trial;
use pleach::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{Notes, RootProcess, over, with_peer};

/// Types of which a value comes as another one.
macro_rules! lossy {
    ($($name:ident)*) => {$(
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(untagged)]
        enum $name {
            Single { n: f32 },
            Double { n: f64 },
        }

        impl $name {
            fn new() -> Self {
                Self::Double { n: 0.1 }
            }
        }
    )*};
}

lossy! {
    Argument CallResult RaisedError FirstValue ToFunction FromFunction ContextResult Item SinkItem GeneratedItem
}

/// What is told of, each once.
const TOLD: [&str; 12] = [
    "arguments of it::fidelity::calls",
    "it::fidelity::CallResult",
    "it::fidelity::RaisedError",
    "arguments of it::fidelity::talks",
    "it::fidelity::FirstValue",
    "it::fidelity::ToFunction",
    "it::fidelity::FromFunction",
    "it::fidelity::ContextResult",
    "arguments of it::fidelity::sends",
    "it::fidelity::Item",
    "it::fidelity::SinkItem",
    "it::fidelity::GeneratedItem",
];

/// What is not sent is not told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum RunHere {
    Single(f32),
    Double(f64),
}

impl fmt::Display for RaisedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on purpose")
    }
}

impl std::error::Error for RaisedError {}

pleach::register_error!(RaisedError);

#[pleach::rpc]
async fn calls(_argument: Argument) -> Result<CallResult> {
    Ok(CallResult::new())
}

#[pleach::rpc]
async fn raises() -> Result<(), RaisedError> {
    Err(RaisedError::new())
}

#[pleach::rpc]
async fn keeps(value: RunHere) -> Result<RunHere> {
    Ok(value)
}

#[pleach::context]
async fn talks(ctx: &mut Context<FirstValue, ToFunction, FromFunction>, _argument: Argument) -> Result<ContextResult> {
    ctx.started(FirstValue::new()).await?;
    let mut stream = ctx.open_stream().await?;
    while stream.recv().await?.is_some() {
        stream.send(FromFunction::new()).await?;
    }
    Ok(ContextResult::new())
}

#[pleach::stream]
async fn sends(out: &mut StreamSender<Item>, _argument: Argument) -> Result<()> {
    out.send(Item::new()).await
}

#[pleach::stream]
async fn sinks(out: &mut StreamSender<SinkItem>) -> Result<()> {
    SinkExt::send(out, SinkItem::new()).await
}

#[pleach::stream]
fn generates() -> impl Stream<Item = Result<GeneratedItem>> {
    stream::iter([Ok(GeneratedItem::new())])
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::test("fidelity::each_type_that_does_not_come_back_is_told_once", || {
        each_type_that_does_not_come_back_is_told_once();
        Ok(())
    })]
}

fn each_type_that_does_not_come_back_is_told_once() {
    let notes = Notes::new();
    let mut root = RootProcess::start_logged("fidelity", &notes, "");
    assert!(root.0.wait().unwrap().success());
    let log = std::fs::read_to_string(notes.dir().join("log")).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("does not come back as it was sent")).collect();
    let told = |name: &str| lines.iter().filter(|line| line.contains(&format!("type_name={name} "))).count();
    let wrong: Vec<_> = TOLD.iter().filter(|name| told(name) != 1).collect();
    assert!(wrong.is_empty(), "not told once: {wrong:?} in {log}");
    assert_eq!(lines.len(), TOLD.len(), "{log}");
}

/// Sends a value of each type, in each way, from both sides, and again.
pub(crate) fn root() {
    pleach::telemetry::init(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(with_peer(over("uds"), module_path!(), async |portal| {
        keeps(RunHere::Double(0.1)).await?;
        for _ in 0..2 {
            portal.run(calls(Argument::new())).await?;
            portal.run(raises()).await.unwrap_err();
            let open = portal.open_context(talks(Argument::new()), async |ctx, _| {
                let mut stream = ctx.open_stream().await?;
                stream.send(ToFunction::new()).await?;
                stream.recv().await?;
                stream.close().await?;
                ctx.result().await
            });
            open.await?;
            portal.open_stream_from(sends(Argument::new()), async |mut items| items.recv().await).await?;
            portal.open_stream_from(sinks(), async |mut items| items.recv().await).await?;
            portal.open_stream_from(generates(), async |mut items| items.recv().await).await?;
        }
        Ok(())
    }));
}
