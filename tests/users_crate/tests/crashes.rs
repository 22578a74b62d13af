//! Native code that crashes: the error says where, and the process ends as it would have ended without that.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use actors::prelude::*;
use actors::{ActorDied, WaitStatus};

#[actors::rpc(crate = actors)]
async fn crash(how: How) -> Result<()> {
    wrong_turn(how);
    Ok(())
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum How {
    BadAccess,
    Abort,
    Raised,
    InAThread,
    TooDeep,
}

#[inline(never)]
#[expect(unsafe_code, reason = "it is what native code does")]
fn wrong_turn(how: How) {
    match how {
        // SAFETY: it is not sound, on purpose.
        How::BadAccess => unsafe { std::ptr::null_mut::<u8>().wrapping_add(64).write_volatile(1) },
        How::Abort => std::process::abort(),
        // SAFETY: it takes a number.
        How::Raised => drop(unsafe { libc::raise(libc::SIGFPE) }),
        How::InAThread => std::thread::spawn(|| wrong_turn(How::BadAccess)).join().unwrap(),
        How::TooDeep => drop(too_deep(0)),
    }
}

#[expect(unconditional_recursion, reason = "it is to overflow the stack")]
fn too_deep(depth: u64) -> u64 {
    std::hint::black_box(too_deep(std::hint::black_box(depth) + 1)) + 1
}

/// How an actor has died that crashes so.
async fn death_by(how: How) -> Result<ActorDied> {
    let ended = actors::open_nursery(async |n| {
        let portal = n.start_actor("native").enable(module_path!()).await?;
        portal.run(crash(how)).await
    })
    .await;
    let error = ended.unwrap_err();
    Ok(error.actor_died().unwrap_or_else(|| panic!("{error:?}")).clone())
}

#[actors::test(crate = actors)]
async fn the_error_names_the_function_that_crashed() -> Result<()> {
    let cases = [
        (How::BadAccess, libc::SIGSEGV),
        (How::Abort, libc::SIGABRT),
        (How::Raised, libc::SIGFPE),
        (How::InAThread, libc::SIGSEGV),
    ];
    for (how, signal) in cases {
        let died = death_by(how).await?;
        assert_eq!(died.status, WaitStatus::Signalled(signal), "{how:?}");
        let named = died.stack.iter().any(|line| line.contains("wrong_turn at ") && line.contains("crashes.rs:"));
        assert!(named, "{how:?}: {:#?}", died.stack);
        let runtime = died.stack.iter().filter(|line| line.contains("tokio::")).count();
        assert_eq!(runtime, 0, "{how:?}: {:#?}", died.stack);
        assert!(!died.stderr.iter().any(|line| line.contains("killed by signal")), "{:?}", died.stderr);
        let told = format!("{:?}", Error::ActorDied(Box::new(died)));
        assert!(told.contains("it was here:") && told.contains("wrong_turn"), "{told}");
    }
    Ok(())
}

/// The standard library tells of it, as it does elsewhere.
#[actors::test(crate = actors)]
async fn a_stack_that_has_overflowed_is_told_by_the_standard_library() -> Result<()> {
    let died = death_by(How::TooDeep).await?;
    assert_eq!(died.status, WaitStatus::Signalled(libc::SIGABRT));
    assert!(died.stderr.iter().any(|line| line.contains("has overflowed its stack")), "{:?}", died.stderr);
    Ok(())
}
