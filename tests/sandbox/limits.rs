//! What a sandbox leaves to limits: memory, threads.

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Resource, Sandbox};

use crate::{in_nursery, is_root, test};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![test("limits::memory_ends_at_its_limit", memory)];
    // The kernel counts no threads of root.
    if is_root() {
        tests.push(test("limits::threads_of_another_user_end_at_their_limit", threads));
    }
    tests
}

#[pleach::rpc]
async fn takes(bytes: usize) -> Result<bool> {
    Ok(Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

async fn memory() {
    in_nursery("uds", async |n| {
        let start = n.start_actor("eater").enable(module_path!()).sandbox(Sandbox::new());
        let eater = start.limit(Resource::AddressSpace, 4 << 30).await?;
        assert_eq!((eater.run(takes(1 << 20)).await?, eater.run(takes(8 << 30)).await?), (true, false));
        eater.cancel_actor().await
    })
    .await
    .unwrap();
}

/// Starts up to 1000 threads, which end when this does; returns how many there were.
#[pleach::rpc]
async fn multiplies() -> Result<usize> {
    let (keep, held) = std::sync::mpsc::sync_channel::<()>(0);
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let wait = |held: std::sync::Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>| {
        move || drop(held.lock().map(|held| held.recv()))
    };
    let started = (0..1000).map_while(|_| std::thread::Builder::new().spawn(wait(held.clone())).ok());
    let threads: Vec<_> = started.collect();
    drop(keep);
    let count = threads.len();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(count)
}

async fn threads() {
    in_nursery("tcp", async |n| {
        // A user that no other test has: the kernel counts by users.
        let start = n.start_actor("bomb").enable(module_path!()).user(64_999, 64_999, &[]).sandbox(Sandbox::new());
        let bomb = start.limit(Resource::Processes, 50).await?;
        let count = bomb.run(multiplies()).await?;
        assert!((20..50).contains(&count), "{count}");
        bomb.cancel_actor().await
    })
    .await
    .unwrap();
}
