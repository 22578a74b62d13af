//! The options of a call: time-outs that say what was waited for, and attempts that are repeated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Backoff, Retry};

use crate::support::{NoteOnDrop, Notes, assert_says, in_nursery, matrix_fn, note, over, soon, test_fn};

/// Never returns by itself, and notes when it is dropped.
#[pleach::rpc]
async fn lingers(notes: String) -> Result<()> {
    let _dropped = NoteOnDrop(notes.clone(), "dropped");
    note(&notes, "begun");
    std::future::pending().await
}

/// How often each of those who ask was called; several tests are in one process.
static ATTEMPTS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

fn next_attempt(by: &str) -> u32 {
    let mut attempts = ATTEMPTS.lock().unwrap();
    let attempt = attempts.entry(by.to_owned()).or_default();
    *attempt += 1;
    *attempt
}

/// Fails the first `times`.
#[pleach::rpc]
async fn fails(by: String, times: u32, text: String) -> anyhow::Result<u32> {
    let attempt = next_attempt(&by);
    anyhow::ensure!(attempt > times, "attempt {attempt} with {} bytes", text.len());
    Ok(attempt)
}

/// Hangs when it is called for the first time.
#[pleach::rpc]
async fn hangs_once(by: String) -> Result<u32> {
    match next_attempt(&by) {
        1 => std::future::pending().await,
        attempt => Ok(attempt),
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(a_time_out_names_the_function_and_cancels_it);
    tests.extend(matrix_fn(a_call_is_repeated_as_its_options_say));
    tests.push(test_fn(a_call_is_a_future_like_others));
    tests
}

async fn a_time_out_names_the_function_and_cancels_it(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let time = soon();
        let late = portal.run(lingers(notes.address())).timeout(time).await;
        assert!(matches!(&late, Err(Error::Timeout { after, .. }) if *after == time), "{late:?}");
        assert_says(&late, &["`lingers` in", "`peer`"]);
        notes.expect_async("begun").await;
        notes.expect_async("dropped").await;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_call_is_repeated_as_its_options_say(config: Config) {
    let notes = Notes::new();
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let fails = |part, times, text: &str| fails(format!("{part} {}", notes.address()), times, text.into());
        let thrice = Retry::times(2).backoff(Backoff::none());
        // The function's own error is final, unless the caller says otherwise.
        let once = portal.run(fails("once", 1, "text")).retry(thrice.clone()).await;
        assert_says(&once, &["attempt 1 with 4 bytes"]);
        let any = thrice.clone().when(|error| matches!(error, Error::Remote(_)));
        // Large arguments are encoded again, and need no `Clone`.
        assert_eq!(portal.run(fails("large", 2, &"x".repeat(1 << 20))).retry(any.clone()).await?, 3);
        assert_says(&portal.run(fails("more", 9, "text")).retry(any).await, &["attempt 3 with 4 bytes"]);
        let late = thrice.attempt_timeout(soon()).when(|error| matches!(error, Error::Timeout { .. }));
        assert_eq!(portal.run(hangs_once(notes.address())).retry(late).await?, 2);
        // The time-out is for all attempts.
        let for_ever = Retry::times(u32::MAX).backoff(Backoff::constant(Duration::from_millis(1))).when(|_| true);
        let late = portal.run(fails("for ever", u32::MAX, "")).retry(for_ever).timeout(soon()).await;
        assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_call_is_a_future_like_others() {
    let notes = Arc::new(Notes::new());
    in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        // Nothing is sent before the first poll.
        drop(portal.run(lingers(notes.address())));
        tokio::select! {
            biased;
            ended = portal.run(lingers(notes.address())) => panic!("{ended:?}"),
            begun = notes.expect_async("begun") => drop(begun),
        }
        notes.expect_async("dropped").await;
        let own = portal.clone();
        let call = fails(notes.address(), 0, String::new());
        let task = pleach::open_task_nursery(async |t| {
            t.spawn(async move { own.run(call).timeout(Duration::from_secs(3600)).await })?.join().await
        });
        assert_eq!(task.await?, 1);
        assert_eq!(
            format!("{:?}", portal.run(lingers(String::new()))),
            format!("PortalCall(Call(it::call_options::lingers) in {})", portal.id())
        );
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}
