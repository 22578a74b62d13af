//! Values whose decoders take long, or fail: they hold up nothing but their own call.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use libtest_mimic::Trial;
use pleach::error::Refusal;
use pleach::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::{assert_says, matrix_over, over, patience, test_fn, with_peer};

/// A value whose decoder waits at a gate, or panics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Encoded")]
struct Held {
    gate: Option<usize>,
    panics: bool,
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Encoded {
    gate: Option<usize>,
    panics: bool,
    bytes: Vec<u8>,
}

impl From<Encoded> for Held {
    fn from(Encoded { gate, panics, bytes }: Encoded) -> Self {
        assert!(!panics, "decoded on purpose");
        if let Some(gate) = gate {
            Gate::of(gate).pass();
        }
        Self { gate: None, panics, bytes }
    }
}

/// What a decoder in this process waits for.
#[derive(Default)]
struct Gate {
    begun: Notify,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Closed,
    Open,
    /// The test did not open it: it was held up itself.
    Forced,
}

impl Gate {
    fn of(number: usize) -> Arc<Self> {
        static GATES: Mutex<BTreeMap<usize, Arc<Gate>>> = Mutex::new(BTreeMap::new());
        GATES.lock().unwrap().entry(number).or_default().clone()
    }

    /// A gate for one test.
    fn new() -> (usize, Arc<Self>) {
        static NEXT: Mutex<usize> = Mutex::new(0);
        let mut next = NEXT.lock().unwrap();
        *next += 1;
        (*next, Self::of(*next))
    }

    fn pass(&self) {
        self.begun.notify_one();
        let state = self.state.lock().unwrap();
        let (mut state, waited) =
            self.changed.wait_timeout_while(state, patience(), |state| *state == State::Closed).unwrap();
        if waited.timed_out() {
            *state = State::Forced;
        }
    }

    /// Lets the decoder go, which has waited for that.
    fn open(&self) {
        let before = std::mem::replace(&mut *self.state.lock().unwrap(), State::Open);
        self.changed.notify_all();
        assert_eq!(before, State::Closed, "the test was held up by a decoder");
    }
}

#[pleach::rpc]
async fn length(value: Held) -> Result<usize> {
    Ok(value.bytes.len())
}

#[pleach::rpc]
async fn value(gate: Option<usize>, panics: bool, len: usize) -> Result<Held> {
    Ok(Held { gate, panics, bytes: vec![7; len] })
}

/// Says a value, sends one, and returns one: that at `held` has a decoder that waits at the gate, and the others are small.
#[pleach::context]
async fn says_three(ctx: &mut Context<Held, (), Held>, gate: Option<usize>, held: usize) -> Result<Held> {
    let value = |at| match at == held {
        true => Held { gate, panics: false, bytes: vec![7; LARGE] },
        false => Held { gate: None, panics: false, bytes: vec![7] },
    };
    ctx.started(value(0)).await?;
    let stream = ctx.open_stream().await?;
    stream.send(value(1)).await?;
    stream.send(value(3)).await?;
    stream.close().await?;
    Ok(value(2))
}

#[pleach::rpc]
async fn text(len: usize) -> Result<String> {
    Ok("x".repeat(len))
}

#[pleach::rpc]
async fn blob(len: usize) -> Result<Bytes> {
    Ok(vec![7; len].into())
}

#[pleach::rpc]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

pub(crate) fn tests() -> Vec<Trial> {
    // In one process, so that the test can let a decoder go.
    const HERE: &[&str] = &["mem"];
    [
        matrix_over(HERE, "decoding::long_arguments_hold_up_no_other_call", |config| holds_up_none(config, false)),
        matrix_over(HERE, "decoding::a_long_result_holds_up_no_other_call", |config| holds_up_none(config, true)),
        matrix_over(HERE, "decoding::long_values_of_a_context_hold_up_no_call", values_of_a_context),
        matrix_over(HERE, "decoding::a_message_is_not_lost_while_it_is_decoded", message_is_not_lost),
        matrix_over(HERE, "decoding::a_value_that_is_not_asked_for_holds_up_no_other", not_asked_for),
        matrix_over(HERE, "decoding::a_call_is_cancelled_while_it_is_decoded", cancelled_while_decoded),
        vec![
            test_fn(a_panic_of_a_decoder_is_that_of_its_call),
            test_fn(large_arguments_that_do_not_fit_are_refused_as_small_ones),
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Sends enough values that debug builds try none of them any more: that would wait at the gate, too.
async fn exhaust_checks(portal: &Portal) -> Result<()> {
    for _ in 0..40 {
        assert_eq!(all_three(portal, None, 4).await?, [1; 4]);
        assert_eq!(portal.run(length(Held { gate: None, panics: false, bytes: vec![1] })).await?, 1);
        assert_eq!(portal.run(value(None, false, 1)).await?.bytes, [7]);
    }
    Ok(())
}

/// As [`with_peer`], in an actor of this process, whose values no check decodes any more.
async fn with_peer_here<F, Fut>(config: Config, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    with_peer(config, module_path!(), async move |portal| {
        exhaust_checks(&portal).await?;
        body(portal).await
    })
    .await;
}

async fn holds_up_none(config: Config, result: bool) {
    with_peer_here(config, async |portal| {
        let (number, gate) = Gate::new();
        let slow = async {
            match result {
                false => portal.run(length(Held { gate: Some(number), panics: false, bytes: vec![1; LARGE] })).await,
                true => portal.run(value(Some(number), false, LARGE)).await.map(|value| value.bytes.len()),
            }
        };
        let (len, calls) = tokio::join!(slow, call_meanwhile(&portal, &gate));
        calls?;
        assert_eq!(len?, LARGE);
        Ok(())
    })
    .await;
}

/// Returns the lengths of the values of [`says_three`], in the order in which they are sent.
async fn all_three(portal: &Portal, gate: Option<usize>, held: usize) -> Result<Vec<usize>> {
    portal
        .open_context(says_three(gate, held), async |ctx, first| {
            let mut lengths = vec![first.bytes.len()];
            let mut stream = ctx.open_stream().await?;
            while let Some(message) = stream.recv().await? {
                lengths.push(message.bytes.len());
            }
            lengths.push(ctx.result().await?.bytes.len());
            Ok(lengths)
        })
        .await
}

/// Makes calls while a decoder waits at its gate, and opens it.
async fn call_meanwhile(portal: &Portal, gate: &Gate) -> Result<()> {
    gate.begun.notified().await;
    for n in 0..100 {
        assert_eq!(portal.run(add(n, 1)).await?, n + 1);
    }
    gate.open();
    Ok(())
}

async fn values_of_a_context(config: Config) {
    with_peer_here(config, async |portal| {
        for (held, expected) in [[LARGE, 1, 1, 1], [1, LARGE, 1, 1], [1, 1, 1, LARGE]].into_iter().enumerate() {
            let (number, gate) = Gate::new();
            let (lengths, calls) = tokio::join!(all_three(&portal, Some(number), held), call_meanwhile(&portal, &gate));
            calls?;
            assert_eq!(lengths?, expected);
        }
        Ok(())
    })
    .await;
}

async fn message_is_not_lost(config: Config) {
    with_peer_here(config, async |portal| {
        let (number, gate) = Gate::new();
        let block = portal.open_context(says_three(Some(number), 1), async |ctx, _| {
            let mut stream = ctx.open_stream().await?;
            tokio::select! {
                message = stream.recv() => panic!("it came through a closed gate: {}", message.is_ok()),
                () = gate.begun.notified() => {}
            }
            gate.open();
            let mut lengths = Vec::new();
            while let Some(message) = stream.recv().await? {
                lengths.push(message.bytes.len());
            }
            Ok::<_, Error>(lengths)
        });
        assert_eq!(block.await?, [LARGE, 1]);
        Ok(())
    })
    .await;
}

/// A task may keep the future of a call and wait for another call, also while both have large values.
async fn not_asked_for(config: Config) {
    with_peer_here(config, async |portal| {
        let (number, gate) = Gate::new();
        let mut first = std::pin::pin!(portal.run(value(Some(number), false, LARGE)));
        let mut kept = std::pin::pin!(portal.run(text(LARGE)));
        tokio::select! {
            _ = &mut first => panic!("it came through a closed gate"),
            () = gate.begun.notified() => {}
        }
        // What comes behind it is here, so it waits for its turn.
        tokio::select! {
            _ = &mut first => panic!("it came through a closed gate"),
            _ = &mut kept => panic!("two were decoded at a time"),
            behind = portal.run(blob(8 * LARGE)) => assert_eq!(behind?.len(), 8 * LARGE),
        }
        gate.open();
        let others = async { tokio::try_join!(first, portal.run(value(None, false, LARGE))) };
        let (first, last) = timeout(patience(), others).await.expect("they wait for one that is not asked for")?;
        assert_eq!([first.bytes.len(), last.bytes.len(), kept.await?.len()], [LARGE; 3]);
        Ok(())
    })
    .await;
}

async fn cancelled_while_decoded(config: Config) {
    with_peer_here(config, async |portal| {
        for result in [false, true] {
            let (number, gate) = Gate::new();
            let scope = CancelScope::new();
            let slow = scope.run(async {
                match result {
                    false => {
                        portal.run(length(Held { gate: Some(number), panics: false, bytes: vec![1; LARGE] })).await
                    }
                    true => portal.run(value(Some(number), false, LARGE)).await.map(|value| value.bytes.len()),
                }
            });
            let cancel = async {
                gate.begun.notified().await;
                scope.cancel();
            };
            let (ended, ()) = tokio::join!(slow, cancel);
            assert!(matches!(ended, Err(Error::Cancelled(_)) | Ok(Err(Error::Cancelled(_)))), "{ended:?}");
            assert_eq!(portal.run(add(1, 1)).await?, 2);
            gate.open();
        }
        Ok(())
    })
    .await;
}

async fn a_panic_of_a_decoder_is_that_of_its_call() {
    with_peer(over("uds"), module_path!(), async |portal| {
        for len in [1, LARGE] {
            let ended = portal.run(length(Held { gate: None, panics: true, bytes: vec![1; len] })).await;
            assert_says(&ended, &["panicked: decoded on purpose", "decoding.rs"]);
            assert_eq!(portal.run(add(1, 1)).await?, 2);
        }
        Ok(())
    })
    .await;
}

async fn large_arguments_that_do_not_fit_are_refused_as_small_ones() {
    with_peer(over("uds"), module_path!(), async |portal| {
        for len in [1, LARGE] {
            let path = concat!(module_path!(), "::add");
            let refused: Result<i64> = portal.run_from_ns(path, &(vec!["text"; len], 2)).await;
            let Err(Error::Refused { why: Refusal::BadArguments { expected, why }, .. }) = &refused else {
                panic!("{refused:?}")
            };
            assert!(expected.contains("add(a: i64, b: i64)"), "{expected}");
            assert!(why.contains("expected i64"), "{why}");
            let refused = portal.run_from_ns::<i64>(concat!(module_path!(), "::length"), &(vec![1; len],)).await;
            assert_says(&refused, &["do not fit"]);
        }
        Ok(())
    })
    .await;
}

/// Bytes beyond which a value is decoded on a thread of its own.
const LARGE: usize = 100_000;
