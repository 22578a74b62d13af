//! The other end of the conversation: a process that starts one actor on its host and sees it to its end.
//!
//! It is this program as well. It does the duties of a local parent: for the actor's process group, its orphans, the
//! directory of its sockets, and its end when the parent has died, even if the actor itself does not respond. If the
//! parent does not confirm the actor's end, the agent runs the clean-up command, if there is one: the parent's machine
//! may have failed, and a job that was made for the actor must not stay.
//!
//! # What keeps an actor from outliving its parent
//! 1. The end of file of the agent's input, when the engine's connection has ended: the agent closes the actor's input,
//!    waits, and escalates.
//! 2. The [ties] of any child to its parent, which is the agent here.
//! 3. The actor's lease, when the network is cut without notice.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::process::Stdio;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::commands::clean_up;
use super::super::entry::{async_runtime, name_process, read_message, take_stdin, unusable};
use super::super::process::{command, spawn};
use super::super::{Exit, Launched, Process, Signal};
use super::frame::MAX_FRAME;
use super::gate::Gate;
use super::mux::Mux;
use super::output::{ToParent, write_end, write_frame};
use super::{FRAME, Instructions, NOTED, parse_signal};
use crate::config::{ChildOutput, Config};
use crate::error::{Error, Result};
use crate::os::orphans::Descendants;
use crate::os::relay::Lines;
use crate::os::socket_dir::SocketDir;
use crate::os::ties;
use crate::runtime::actor_spec::ActorSpec;
use crate::telemetry::stdout;

/// Starts the actor that the input describes, and reports how it ended.
pub(in crate::spawn) fn run() -> Result<()> {
    let mut input = take_stdin().map_err(unusable("standard input can't be taken over"))?;
    let read = read_message::<Instructions>(&mut input);
    let mut instructions =
        read.map_err(unusable("no instructions on standard input; actors are started by their parents"))?;
    let ActorSpec { name, config, .. } = &instructions.spec;
    name_process(name);
    pleach_wire::log::set_process_origin(name);
    crate::telemetry::init_actor(config.log_level.as_deref(), config.log_format);
    let sockets = SocketDir::new();
    instructions.spec.socket_dir = sockets.path().to_owned();
    let descendants = Descendants::default();
    (instructions.spec.starter, instructions.spec.mark) = (Some(std::process::id()), descendants.mark());
    let after = instructions.clean_up.take();
    let gate = open_gate(&mut instructions.spec);
    let tokio = async_runtime(false, None).map_err(unusable("no async runtime"))?;
    let kept = tokio.block_on(keep(instructions, input, &descendants, gate));
    sockets.remove();
    let (exit, orders) = kept?;
    let report = write_end(exit.status, exit.core_dump.as_deref());
    tokio.block_on(async {
        stdout::pass_on(report.as_bytes()).await;
        all_is_written().await;
    });
    if let Some(command) = after {
        tokio.block_on(clean_up_unless_noted(&command, orders));
    }
    Ok(())
}

/// Waits until all output is written, unless nothing moves: the parent may have left, or take nothing.
async fn all_is_written() {
    loop {
        let backlog = stdout::backlog();
        let left = backlog.left();
        if timeout(REPORT, backlog.delivered()).await.is_ok() || stdout::backlog().left() == left {
            return;
        }
    }
}

/// Opens the gate to the actors above; without it, they can't be asked.
fn open_gate(spec: &mut ActorSpec) -> Option<Gate> {
    let gate = Gate::open();
    match &gate {
        Ok(gate) => gate.lead_to(&mut spec.ancestors),
        Err(error) => {
            debug!(target: "pleach::runtime", %error, "the actors above can't be asked from here");
            spec.ancestors.clear();
        }
    }
    gate.ok()
}

/// Ends what was made for the actor, if the parent can't: often this process is part of it, and ends too.
///
/// Slurm may end a step whose `srun` has died, with SIGTERM first: the job goes on without it, and with its nodes.
async fn clean_up_unless_noted(command: &[String], mut orders: mpsc::Receiver<Order>) {
    let mut terminated = signal(SignalKind::terminate()).ok();
    let noted = async {
        while let Some(order) = orders.recv().await {
            if matches!(order, Order::Letter(NOTED)) {
                return true;
            }
        }
        false
    };
    let noted = tokio::select! {
        noted = timeout(NOTES, noted) => noted.unwrap_or(false),
        () = sigterm(&mut terminated) => false,
    };
    if noted {
        return;
    }
    for _ in 0..CLEAN_UPS {
        clean_up(command).await;
        tokio::select! {
            () = sigterm(&mut terminated) => return,
            () = sleep(ENDS_WITH_IT) => {}
        }
    }
}

async fn sigterm(terminated: &mut Option<tokio::signal::unix::Signal>) {
    match terminated {
        Some(terminated) => drop(terminated.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns how the actor ended, and its parent's remaining instructions.
async fn keep(
    instructions: Instructions,
    input: File,
    descendants: &Descendants,
    gate: Option<Gate>,
) -> Result<(Exit, mpsc::Receiver<Order>)> {
    let Instructions { spec, env, directory, clean_up: _ } = instructions;
    let failed = |why: String| Error::Spawn { actor: spec.name.clone(), why };
    let mut command = command(&spec, &env, &[ties::ACTOR.to_owned()]);
    if let Some(directory) = &directory {
        let can_be_entered = File::open(directory.join("."));
        can_be_entered.map_err(|error| failed(format!("its directory {}: {error}", directory.display())))?;
        command.current_dir(directory);
    }
    // The parent gives both their names.
    let unless_null = |output, otherwise| if output == ChildOutput::Null { Stdio::null() } else { otherwise };
    command.stdout(unless_null(spec.outputs.stdout, Stdio::piped()));
    command.stderr(unless_null(spec.outputs.stderr, Stdio::inherit()));
    let Launched { process, keeper } = spawn(command, &spec, Lines::plain(ToParent)).await.map_err(failed)?;
    let mut connections = gate.and_then(|gate| gate.serve(process.pid(), spec.ancestors.len()).ok());
    let mut orders =
        read_orders(input).map_err(|error| failed(format!("no thread to listen to its parent: {error}")))?;
    let exit = tokio::select! {
        biased;
        ((), exit) = async { tokio::join!(keeper, process.exited()) } => {
            descendants.end(spec.config.kill_after).await;
            exit
        }
        never = obey(&mut orders, &mut connections, &process, &spec.config) => match never {},
        never = adopt(descendants) => match never {},
    };
    Ok((exit, orders))
}

/// Carries out the parent's instructions, and the consequences of its silence.
async fn obey(
    orders: &mut mpsc::Receiver<Order>,
    connections: &mut Option<Mux>,
    process: &Process,
    config: &Config,
) -> Infallible {
    let mut unsent = None;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Letter(letter)) => match parse_signal(letter) {
                    Some(signal) => process.signal(signal),
                    None => debug!(target: "pleach::runtime", letter, "an unknown order"),
                },
                Some(Order::Frame(frame)) => connections.iter_mut().for_each(|connections| connections.take(&frame)),
                None => break,
            },
            () = stdout::pass_on(unsent.as_deref().unwrap_or_default()), if unsent.is_some() => unsent = None,
            frame = next_frame(connections), if unsent.is_none() => unsent = Some(write_frame(&frame)),
        }
    }
    drop(connections.take()); // nothing here waits for an answer of the parent's host
    debug!(target: "pleach::cancel", "the parent is gone: stopping");
    process.signal(Signal::Release);
    sleep(config.soft_reap).await;
    process.signal(Signal::Terminate);
    sleep(config.kill_after).await;
    process.signal(Signal::Kill);
    std::future::pending().await
}

async fn next_frame(connections: &mut Option<Mux>) -> Vec<u8> {
    match connections {
        Some(connections) => connections.next().await,
        None => std::future::pending().await,
    }
}

/// Takes orphans in, as the root does on its own host.
async fn adopt(descendants: &Descendants) -> Infallible {
    descendants.adopt().await;
    std::future::pending().await
}

/// Reads the orders on a thread, which ends with the process: the input may be of any kind.
fn read_orders(mut input: File) -> io::Result<mpsc::Receiver<Order>> {
    let (orders, received) = mpsc::channel(4);
    std::thread::Builder::new().name("pleach-orders".into()).spawn(move || {
        while let Ok(order) = read_order(&mut input)
            && orders.blocking_send(order).is_ok()
        {}
    })?;
    Ok(received)
}

/// What the parent says.
enum Order {
    Letter(u8),
    /// A frame of the probe's connections.
    Frame(Vec<u8>),
}

fn read_order(input: &mut File) -> io::Result<Order> {
    let (mut letter, mut length) = ([0], [0; 4]);
    input.read_exact(&mut letter)?;
    if letter[0] != FRAME {
        return Ok(Order::Letter(letter[0]));
    }
    input.read_exact(&mut length)?;
    let mut frame = vec![0; (u32::from_le_bytes(length) as usize).min(MAX_FRAME)];
    input.read_exact(&mut frame)?;
    Ok(Order::Frame(frame))
}

/// The only argument of an agent.
pub(in crate::spawn) const MARK: &str = "--pleach-agent";

/// How long the parent may take nothing of what the actor has printed, and of how it ended.
const REPORT: Duration = Duration::from_secs(5);

/// How long the parent may take to note the actor's end: it cleans up itself then.
const NOTES: Duration = Duration::from_secs(2);

/// How often the clean-up is run, until that ends this process.
const CLEAN_UPS: u32 = 10;

/// How soon a clean-up has ended this process: Slurm may take a while to cancel a job, and tells nothing.
const ENDS_WITH_IT: Duration = Duration::from_secs(5);
