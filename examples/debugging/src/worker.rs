//! One child that stands still.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pleach::prelude::*;

/// Where the functions of this file are.
pub(super) const MODULE: &str = module_path!();

/// Has locals worth looking at.
#[derive(Debug)]
struct Order {
    id: u64,
    items: Vec<String>,
}

#[pleach::rpc]
async fn handle_order(id: u64) -> Result<u64> {
    let greeting = format!("order {id}");
    let price = price_of(id).await;
    Ok(price + greeting.len() as u64)
}

async fn price_of(id: u64) -> u64 {
    tokio::task::yield_now().await;
    let order = Order { id, items: vec!["nut".into(), "bolt".into()] };
    total(&order)
}

#[inline(never)]
fn total(order: &Order) -> u64 {
    let limit = 3;
    let wanted = order.items.len() as u64 * order.id;
    assert!(wanted < limit, "order {} wants {wanted}, and the limit is {limit}", order.id);
    wanted
}

#[pleach::rpc]
async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

#[pleach::rpc]
async fn sleep_long() -> Result<()> {
    let _woken = Woken;
    std::future::pending().await
}

/// Says that a function that would sleep for ever has been cancelled.
struct Woken;

impl Drop for Woken {
    fn drop(&mut self) {
        eprintln!("woken before its time");
    }
}

#[pleach::rpc]
pub(super) async fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

#[pleach::rpc]
pub(super) async fn pause_once() -> Result<u64> {
    let secret = 42;
    pleach::pause().await;
    Ok(secret)
}

/// Keeps other programs from reading its memory, as those do that hold keys; native debuggers are such programs.
#[pleach::rpc]
async fn pause_guarded() -> Result<u64> {
    let off = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    off.map_err(|error| Error::Usage(error.to_string()))?;
    pause_once().await
}

#[pleach::rpc]
async fn pause_in_threads() -> Result<()> {
    pleach::pause_from_sync();
    let other = tokio::task::spawn_blocking(pleach::pause_from_sync).await;
    other.map_err(|error| Error::Usage(error.to_string()))
}

#[pleach::rpc]
async fn look_at_error(text: String) -> Result<i64> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(error) => {
            pleach::post_mortem(&error as &std::num::ParseIntError).await;
            Ok(-1) // handled: no crash
        }
    }
}

#[pleach::rpc]
async fn pause_shielded() -> Result<()> {
    shield(pleach::pause()).await;
    Ok(())
}

#[pleach::rpc]
async fn catch_it() -> Result<bool> {
    Ok(catch_unwind(AssertUnwindSafe(|| total(&Order { id: 9, items: vec!["nut".into()] }))).is_err())
}

pub(super) async fn panics_three_calls_deep() -> Result<()> {
    let price = pleach::open_nursery(async |n| n.run_in_actor(handle_order(7)).name("worker").await?.result().await);
    println!("the price is {}", price.await?);
    Ok(())
}

pub(super) async fn fails() -> Result<()> {
    pleach::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        println!("1 + 2 is {}", worker.run(add(1, 2)).await?);
        worker.run(parse("seven".into())).await?;
        worker.cancel_actor().await
    })
    .await
}

pub(super) async fn pauses() -> Result<()> {
    let secret = pleach::open_nursery(async |n| n.run_in_actor(pause_once()).name("worker").await?.result().await);
    println!("the secret is {}", secret.await?);
    Ok(())
}

pub(super) async fn pauses_with_a_secret() -> Result<()> {
    let secret = pleach::open_nursery(async |n| n.run_in_actor(pause_guarded()).name("worker").await?.result().await);
    println!("the secret is {}", secret.await?);
    Ok(())
}

/// Each pause without a prompt goes on at once.
#[pleach::rpc]
async fn pause_until_shown() -> Result<u64> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(60) {
        let before = std::time::Instant::now();
        pause_once().await?;
        if before.elapsed() > std::time::Duration::from_millis(200) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(42)
}

/// For a program without a terminal, to which a tool is attached.
pub(super) async fn pauses_until_it_is_shown() -> Result<()> {
    let secret =
        pleach::open_nursery(async |n| n.run_in_actor(pause_until_shown()).name("worker").await?.result().await);
    println!("the secret is {}", secret.await?);
    Ok(())
}

pub(super) async fn pauses_in_threads() -> Result<()> {
    pleach::open_nursery(async |n| n.run_in_actor(pause_in_threads()).name("worker").await?.result().await).await?;
    println!("both threads went on");
    Ok(())
}

pub(super) async fn asks_for_a_post_mortem() -> Result<()> {
    let number = pleach::open_nursery(async |n| {
        n.run_in_actor(look_at_error("seven".into())).name("worker").await?.result().await
    });
    println!("the number is {}", number.await?);
    Ok(())
}

pub(super) async fn pauses_in_a_shield() -> Result<()> {
    pleach::open_nursery(async |n| n.run_in_actor(pause_shielded()).name("worker").await?.result().await).await?;
    println!("the shield is gone");
    Ok(())
}

/// Its own `catch_unwind` opens no prompt.
pub(super) async fn catches_its_panic() -> Result<()> {
    let caught = pleach::open_nursery(async |n| n.run_in_actor(catch_it()).name("worker").await?.result().await);
    println!("caught: {}", caught.await?);
    Ok(())
}

/// Only `watched` is shown; `other` fails as without a debugger.
pub(super) async fn has_debug_mode_alone() -> Result<()> {
    pleach::open_nursery(async |n| {
        let watched = n.start_actor("watched").enable(module_path!()).debug_mode(true).await?;
        let other = n.start_actor("other").enable(module_path!()).await?;
        let failed = other.run(parse("eight".into())).await;
        println!("other failed: {}", failed.is_err());
        let failed = watched.run(parse("nine".into())).await;
        println!("watched failed: {}", failed.is_err());
        n.cancel().await;
        Ok(())
    })
    .await
}
