//! A worker is killed in the middle of a stream: its consumer learns at once who died, and of what.
//!
//! ```text
//! cargo run --example ipc_failure_during_stream
//! ```

use std::time::Instant;

use pleach::ActorId;
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

/// Sends numbers for as long as its caller reads.
#[pleach::context]
async fn count(ctx: &mut Context<(), (), u64>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    stream.recv().await?; // the reader's stream is open: from here on, `send` waits for it
    let mut number = 0;
    loop {
        stream.send(number).await?;
        number += 1;
    }
}

/// Does what the kernel does when memory runs out, or an impatient operator.
fn kill(actor: &ActorId) -> Result<()> {
    let pid = i32::try_from(actor.pid()).ok().and_then(Pid::from_raw);
    let killed = pid.ok_or(rustix::io::Errno::SRCH).and_then(|pid| kill_process(pid, Signal::KILL));
    killed.map_err(|error| Error::from_boxed(error.into()))
}

#[pleach::main]
async fn main() -> Result<()> {
    let mut killed_at = None;
    let outcome: Result<()> = pleach::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        if worker.id().pid() == std::process::id() {
            println!("over `mem`, actors are threads of one process: there is no process to kill");
            return worker.cancel_actor().await;
        }
        worker
            .open_context(count(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                stream.send(()).await?;
                while let Some(number) = stream.recv().await? {
                    if number == 999 {
                        println!("took 1000 numbers; killing {}", worker.id());
                        killed_at = Some(Instant::now());
                        kill(worker.id())?;
                    }
                }
                Ok(())
            })
            .await
    })
    .await;
    let after = killed_at.map_or(0, |killed| killed.elapsed().as_millis());
    match outcome {
        Err(Error::ActorDied(death)) => println!("{after} ms later: {death}"),
        other => return other,
    }
    Ok(())
}
