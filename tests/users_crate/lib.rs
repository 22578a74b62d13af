//! A crate as users write it: a library with functions and an actor, and the library under the name `actors`.
//!
//! Its tests are those of `#[actors::test]`, run by the harness of `cargo test`. `::pleach` does not exist here, so each
//! expansion that says it fails to compile.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod facade;

use std::io::Write as _;

use actors::prelude::*;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// Adds two numbers.
#[actors::rpc(crate = actors)]
pub async fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a + b)
}

/// Returns the process that it runs in, and its arguments.
#[actors::rpc(crate = "actors")]
pub async fn about() -> Result<(u32, Vec<String>)> {
    Ok((std::process::id(), std::env::args().collect()))
}

/// Adds in an actor of its own.
#[actors::rpc(crate = actors)]
pub async fn add_below(a: i64, b: i64) -> Result<i64> {
    actors::open_nursery(async |n| n.run_in_actor(add(a, b)).await?.result().await).await
}

/// Prints a line.
#[actors::rpc(crate = actors)]
pub async fn prints(line: String) -> Result<()> {
    println!("{line}");
    Ok(())
}

/// Returns what it gets.
#[actors::rpc(crate = facade::renamed)]
pub async fn echo(data: Bytes) -> Result<Bytes> {
    Ok(data)
}

/// Writes into a pipe without a reader; returns what came of it.
#[actors::rpc(crate = actors)]
pub async fn writes_into_a_closed_pipe() -> std::io::Result<String> {
    let (reader, mut writer) = std::io::pipe()?;
    drop(reader);
    Ok(format!("{:?}", writer.write(b"x").map_err(|error| error.kind())))
}

/// Uses all of its stack.
#[actors::rpc(crate = actors)]
pub async fn overflows() -> Result<u64> {
    fn deeper(n: u64) -> u64 {
        let here = std::hint::black_box([n; 1024]);
        if n == 0 { 0 } else { deeper(here[7]) ^ here[8] }
    }
    Ok(deeper(1))
}

/// Starts a process in a group of its own, and forgets it.
#[actors::rpc(crate = actors)]
pub async fn leaves_a_process() -> std::io::Result<u32> {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};
    let mut left = Command::new("sleep");
    left.arg("1000").process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(left.spawn()?.id())
}

/// Sends a value, gets one, returns both.
#[actors::context(crate = actors)]
pub async fn dialog(ctx: &mut Context<u8, u8, u8>) -> Result<u8> {
    ctx.started(1).await?;
    let mut stream = ctx.open_stream().await?;
    Ok(1 + stream.recv().await?.unwrap_or_default())
}

/// Counts.
#[actors::stream(crate = actors)]
pub fn count(from: u64) -> impl Stream<Item = Result<u64>> {
    futures_util::stream::iter(from..).map(Ok)
}

/// A number that is added to.
pub struct Counter(i64);

#[actors::actor(crate = facade::renamed)]
impl Counter {
    /// Begins with a number.
    pub async fn new(start: i64) -> Result<Self> {
        Ok(Self(start))
    }

    /// Adds to it.
    pub async fn add(&mut self, n: i64) -> Result<i64> {
        self.0 += n;
        Ok(self.0)
    }
}

/// Has an actor hold a [`dialog`], and [`count`].
pub async fn talks_and_counts(portal: &Portal) -> Result<()> {
    portal
        .open_context(dialog(), async |ctx, first| {
            let stream = ctx.open_stream().await?;
            stream.send(first).await?;
            assert_eq!(ctx.result().await?, 2);
            actors::Ok(())
        })
        .await?;
    portal
        .open_stream_from(count(7), async |mut numbers| {
            assert_eq!(numbers.recv().await?, Some(7));
            actors::Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actors::test(crate = actors)]
    async fn an_actor_is_another_process() -> Result<()> {
        actors::open_nursery(async |n| {
            let portal = n.start_actor("worker").enable("pleach_users_crate").await?;
            assert_eq!(portal.run(add(1, 2)).await?, 3);
            assert_ne!(portal.run(about()).await?.0, std::process::id());
            assert_eq!(portal.run(echo(Bytes::from_static(b"x"))).await?, "x");
            assert_eq!(portal.run(add_below(3, 4)).await?, 7);
            portal.cancel_actor().await
        })
        .await
    }

    #[actors::test(crate = actors)]
    async fn an_actor_has_state() -> Result<()> {
        actors::open_nursery(async |n| {
            let counter = n.start(Counter::new(5)).await?;
            assert_eq!(counter.add(2).await?, 7);
            actors::Handle::stop(&counter).await
        })
        .await
    }

    /// In any Rust program a broken pipe is an error, and a stack overflow aborts with a message.
    #[actors::test(crate = actors, flavor = "multi_thread", worker_threads = 2)]
    async fn signals_are_handled_as_in_any_program() {
        let ended: Result<()> = actors::open_nursery(async |n| {
            let portal = n.start_actor("worker").enable("pleach_users_crate").await?;
            assert_eq!(portal.run(writes_into_a_closed_pipe()).await?, "Err(BrokenPipe)");
            portal.run(overflows()).await?;
            Ok(())
        })
        .await;
        let ended = format!("{:?}", ended.unwrap_err());
        assert!(ended.contains("signal 6 (SIGABRT)") && ended.contains("has overflowed its stack"), "{ended}");
    }

    #[actors::test(crate = actors, transport = "mem")]
    async fn without_a_process() -> Result<()> {
        actors::open_nursery(async |n| {
            let portal = n.start_actor("worker").enable("pleach_users_crate").await?;
            assert_eq!(portal.run(about()).await?.0, std::process::id());
            talks_and_counts(&portal).await?;
            portal.cancel_actor().await
        })
        .await
    }

    fn named() -> Config {
        Config { root_name: "named".into(), transport: "uds".into(), ..Config::default() }
    }

    fn note_that_it_was_called() {
        INIT_CALLED.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    static INIT_CALLED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

    #[actors::rpc(crate = actors)]
    async fn init_was_called() -> Result<bool> {
        Ok(INIT_CALLED.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[actors::test(crate = actors, config = named, init = note_that_it_was_called)]
    async fn a_configuration_of_its_own() {
        assert_eq!(actors::current_actor().unwrap().id().name(), "named");
        let called: Result<bool> =
            actors::open_nursery(async |n| n.run_in_actor(init_was_called()).await?.result().await).await;
        assert!(called.unwrap(), "an actor enters by the test that has started it");
    }

    #[actors::test(crate = actors)]
    #[ignore = "for `a_test_that_is_left_out_and_has_an_odd_name`"]
    async fn r#type() -> Result<()> {
        actors::open_nursery(async |n| n.run_in_actor(init_was_called()).await?.result().await).await.map(drop)
    }

    #[actors::test(crate = actors)]
    #[ignore = "for `a_test_that_is_left_out_and_has_an_odd_name`"]
    async fn r#odd() -> Result<()> {
        actors::open_nursery(async |n| n.run_in_actor(init_was_called()).await?.result().await).await.map(drop)
    }

    #[test]
    fn a_test_that_is_left_out_and_has_an_odd_name() {
        let ran = std::process::Command::new(std::env::current_exe().unwrap()).arg("--ignored").output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert!(ran.status.success() && printed.contains("2 passed"), "{printed}");
    }

    /// Its actors end before it does.
    #[actors::test(crate = actors)]
    #[should_panic = "as asked"]
    async fn a_test_may_panic() {
        let nursery = actors::open_nursery(async |n| {
            n.start_actor("worker").await?;
            std::future::pending::<()>().await;
            Ok(())
        });
        let ended: Result<()> =
            futures_util::future::select(Box::pin(nursery), Box::pin(panics())).await.factor_first().0;
        ended.unwrap();
    }

    #[actors::test(crate = actors)]
    #[should_panic = "(sleep 1000)"]
    async fn a_process_that_is_left_fails_the_test() {
        let left: Result<u32> =
            actors::open_nursery(async |n| n.run_in_actor(leaves_a_process()).await?.result().await).await;
        left.unwrap();
    }

    #[actors::test(crate = actors, leaks = "ignore")]
    async fn a_process_may_be_left_where_that_is_said() -> Result<()> {
        actors::open_nursery(async |n| n.run_in_actor(leaves_a_process()).await?.result().await).await.map(drop)
    }

    fn impatient() -> Config {
        let [cancel_ack, soft_reap, kill_after, give_up_after, peers] = [std::time::Duration::from_millis(50); 5];
        let transport = "mem".to_owned();
        Config { transport, cancel_ack, soft_reap, kill_after, give_up_after, peers, ..Config::default() }
    }

    #[actors::rpc(crate = actors)]
    async fn never_waits() -> Result<()> {
        loop {
            std::thread::park();
        }
    }

    #[actors::test(crate = actors, config = impatient)]
    #[should_panic = "the tree of this test has left actor `stuck`"]
    async fn an_actor_on_a_thread_that_is_left_fails_the_test() {
        let call = actors::open_nursery(async |n| {
            let stuck = n.start_actor("stuck").enable(module_path!()).await?;
            // Its time is up, or it fails: it does not return.
            let _ = move_on_after(std::time::Duration::from_millis(100), stuck.run(never_waits())).await;
            n.kill().await;
            actors::Ok(())
        });
        let _ = call.await; // it says so, too
    }

    async fn panics() -> Result<()> {
        panic!("as asked")
    }
}
