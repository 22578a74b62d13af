//! A worker that is killed now and then, and started again each time, until that happens too often.
//!
//! ```text
//! cargo run --example supervision
//! ```

use std::time::Duration;

use pleach::prelude::*;
use pleach::{Backoff, ChildSpec, Supervision, SupervisorEvent};

/// Works on one item; every third one is poison, and takes the whole process with it.
#[pleach::rpc]
async fn work(item: u32) -> Result<String> {
    if item.is_multiple_of(3) {
        std::process::abort();
    }
    Ok(format!("item {item} was done by pid {}", std::process::id()))
}

#[pleach::main]
async fn main() -> Result<()> {
    let ended: Result<()> = pleach::open_nursery(async |n| {
        let supervision = Supervision::one_for_one()
            .intensity(3, Duration::from_secs(30))
            .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)))
            .child(ChildSpec::daemon(n.start_actor("worker").enable(module_path!())));
        let supervisor = n.supervise(supervision).await?;
        let mut events = supervisor.events();
        let worker = supervisor.child("worker")?; // whichever process it is
        for item in 1.. {
            // Waits while the worker is being started again.
            match worker.run(work(item)).await {
                Ok(done) => println!("{done}"),
                // What was under way is not repeated by itself: only we know whether that would do.
                Err(error) => {
                    println!("item {item} is skipped: {error}");
                    print_until_restarting(&mut events).await;
                }
            }
        }
        Ok(())
    })
    .await;
    // The fourth death is one too many: the supervisor gives up, and the nursery fails with that.
    println!("in the end: {ended:?}");
    Ok(())
}

/// Prints what the supervisor did, up to what it makes of the last death.
async fn print_until_restarting(events: &mut pleach::SupervisorEvents) {
    while let Some(event) = events.recv().await {
        println!("  supervisor: {event}");
        if matches!(event, SupervisorEvent::Restarting { .. } | SupervisorEvent::GaveUp { .. }) {
            return;
        }
    }
}
