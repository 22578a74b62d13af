//! Calls: values, errors, refusals, panics, cancellation.

use std::sync::Arc;

use bytes::Bytes;
use libtest_mimic::Trial;
use pleach::error::Refusal;
use pleach::prelude::*;

use crate::support::{
    ALL, NoteOnDrop, Notes, WITHIN_TLS, assert_says, in_root, matrix_fn, matrix_over, note, over, soon, test, test_fn,
};

#[pleach::rpc]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

#[pleach::rpc]
async fn nothing() -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn maybe(some: bool) -> Result<Option<u8>> {
    Ok(some.then_some(7))
}

#[pleach::rpc]
async fn fail(text: String) -> anyhow::Result<()> {
    Err(anyhow::anyhow!("the root of it").context(text))
}

#[pleach::rpc]
async fn panics() -> Result<()> {
    panic!("on purpose")
}

#[pleach::rpc]
async fn reversed(bytes: Bytes) -> Result<Bytes> {
    Ok(bytes.iter().rev().copied().collect())
}

/// Notes when it has begun and when it was dropped, and never returns by itself.
#[pleach::rpc]
async fn linger(notes: String) -> Result<()> {
    let _dropped = NoteOnDrop(notes.clone(), "dropped");
    note(&notes, "begun");
    std::future::pending().await
}

mod elsewhere {
    #[pleach::rpc]
    pub(crate) async fn hidden() -> pleach::Result<()> {
        Ok(())
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ALL.into_iter().chain(WITHIN_TLS) {
        for codec in ["msgpack", "json"] {
            let name = format!("calls::values_cross_{codec}_over_{protocol}");
            tests.push(test(name, move || values_cross(protocol, codec)));
        }
    }
    tests.extend(matrix_fn(a_cancelled_call_ends_the_remote_task));
    tests.extend(matrix_over(
        &WITHIN_TLS,
        "calls::a_cancelled_call_ends_the_remote_task",
        a_cancelled_call_ends_the_remote_task,
    ));
    tests.push(test_fn(errors_come_back_with_chain_and_source));
    tests.push(test_fn(a_panic_is_an_error_and_the_actor_goes_on));
    tests.push(test_fn(a_refused_call_says_how_to_fix_it_and_the_actor_goes_on));
    tests.push(test_fn(a_value_over_the_frame_limit_is_an_error_of_that_call));
    tests
}

// S101
async fn values_cross(protocol: &'static str, codec: &'static str) {
    let config = Config { codec: codec.into(), ..over(protocol) };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            assert_eq!(portal.run(add(40, 2)).await?, 42);
            portal.run(nothing()).await?;
            assert_eq!((portal.run(maybe(true)).await?, portal.run(maybe(false)).await?), (Some(7), None));
            for size in [0, 100, 1 << 20] {
                let bytes: Bytes = (0..size).map(|at| at as u8).collect();
                let back = portal.run(reversed(bytes.clone())).await?;
                assert!(back.iter().rev().eq(bytes.iter()), "{size} bytes came back changed");
            }
            let many: Vec<_> = (0..200).map(|at| portal.run(add(at, at))).collect();
            for (at, sum) in futures_util::future::join_all(many).await.into_iter().enumerate() {
                assert_eq!(sum?, 2 * at as i64);
            }
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn errors_come_back_with_chain_and_source() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            match portal.run(fail("while testing".into())).await {
                Err(Error::Remote(remote)) => {
                    assert_eq!(
                        (remote.message.as_str(), remote.chain.as_slice()),
                        ("while testing", &["the root of it".to_owned()][..])
                    );
                    assert_eq!(&remote.src, portal.id());
                }
                other => panic!("{other:?}"),
            }
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_panic_is_an_error_and_the_actor_goes_on() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            assert_says(&portal.run(panics()).await, &["panicked: on purpose", "calls.rs"]);
            assert_eq!(portal.run(add(1, 1)).await?, 2);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// S100, SEC-14
async fn a_refused_call_says_how_to_fix_it_and_the_actor_goes_on() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let hidden = portal.run(elsewhere::hidden()).await;
            assert!(matches!(&hidden, Err(Error::Refused { why: Refusal::ModuleNotExposed { .. }, .. })), "{hidden:?}");
            assert_says(&hidden, &[".enable(\"it::calls::elsewhere\")", "peer"]);

            let unknown: Result<()> = portal.run_from_ns("it::cals::add", &()).await;
            assert_says(&unknown, &["no such function", "did you mean `it::calls::add`"]);

            let path = "it::calls::add";
            let misfit: Result<i64> = portal.run_from_ns(path, &("one", 2)).await;
            assert_says(&misfit, &["do not fit `add(a: i64, b: i64) -> Result < i64 >`"].map(|text| &text[..24]));
            assert_eq!(portal.run_from_ns::<i64>(path, &(1, 2)).await?, 3);
            let named = std::collections::BTreeMap::from([("b", 2), ("a", 1)]);
            assert_eq!(portal.run_from_ns::<i64>(path, &named).await?, 3);

            let method: Result<()> = portal.run_from_ns("self:nonsense", &()).await;
            assert_says(&method, &["self:nonsense", "no such function"]);
            assert_eq!(portal.run(add(2, 2)).await?, 4);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_value_over_the_frame_limit_is_an_error_of_that_call() {
    let config = Config { max_frame: 100_000, ..over("uds") };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let large = portal.run(reversed(vec![0; 200_000].into())).await;
            assert_says(&large, &["frame of 2000", "limit of 100000 bytes", "max_frame"]);
            assert_eq!(portal.run(add(2, 3)).await?, 5);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_cancelled_call_ends_the_remote_task(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            // Structured: the remote task has ended when the scope is left.
            let scope = CancelScope::new();
            let canceller = async {
                notes.expect_async("begun").await;
                scope.cancel();
            };
            let (ended, ()) = tokio::join!(scope.run(portal.run(linger(notes.address()))), canceller);
            assert!(matches!(ended, Err(Error::Cancelled(_)) | Ok(Err(Error::Cancelled(_)))), "{ended:?}");
            notes.expect_async("dropped").await;
            // Dropped: the remote task is told.
            let call = portal.run(linger(notes.address()));
            tokio::select! {
                _ = call => panic!("it never returns"),
                _ = notes.expect_async("begun") => {}
            }
            notes.expect_async("dropped").await;
            // A scope's deadline does the same.
            assert!(move_on_after(soon(), portal.run(linger(notes.address()))).await.is_none());
            assert_eq!(
                (notes.expect_async("begun").await, notes.expect_async("dropped").await),
                (String::new(), String::new())
            );
            assert_eq!(portal.run(add(2, 3)).await?, 5);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}
