//! Starting an actor: from start options to a child that has connected back.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::address::HostPort;
use pleach_wire::{Address, Key, Reach};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[cfg(feature = "testing")]
use super::one_clock;
use super::{
    Child, Exit, Launched, Launcher, Process, Signal, StartOptions, died, not_started, process, slurm, thread,
};
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::channel::drain::PeerGone;
use crate::config::host::{Engine, is_destination};
use crate::config::{ChildOutput, ChildOutputs, Config, Host};
use crate::error::{ActorPhase, Cancelled, Error, Result, WaitStatus};
use crate::os::{program, sandbox};
use crate::runtime::Runtime;
use crate::runtime::actor_spec::{ActorSpec, Ancestor};
use crate::runtime::route::Route;
use crate::telemetry;
use crate::telemetry::meters::{self, Event};
use crate::{holds, inspect, random};

/// Starts an actor and waits until it has connected back.
///
/// # Errors
/// [`Error::Spawn`] when it could not be started or did not connect in time (it is killed then);
/// [`Error::ActorDied`] when it ended before it connected; [`Error::Cancelled`] when it was `given_up`
/// before. Nothing is left running then.
///
/// # Cancel safety
/// If dropped, a process may be left running: it belongs into a task of its own, and `given_up` ends it.
pub(crate) async fn start(
    runtime: &Arc<Runtime>,
    options: StartOptions,
    given_up: &CancellationToken,
) -> Result<Child> {
    let begun = std::time::Instant::now();
    let started = connect_new(runtime, options, given_up).await;
    meters::count(match &started {
        Ok(_) => Event::Spawned(begun.elapsed()),
        Err(Error::Cancelled(_)) => Event::SpawnCancelled,
        Err(_) => Event::NotSpawned,
    });
    started
}

async fn connect_new(runtime: &Arc<Runtime>, options: StartOptions, given_up: &CancellationToken) -> Result<Child> {
    let failed = |why| not_started(&options.name, &options.host, why);
    if options.name.is_empty() || options.name.contains('\0') {
        return Err(failed("its name is empty, or has a zero byte in it".into()));
    }
    check_env(&options).map_err(failed)?;
    let transport = transport(runtime, &options);
    let reach = runtime.registry().find(&transport)?.protocol().reach();
    let launcher = launcher(&options.host, reach, &transport).map_err(failed)?;
    if is_thread(&options, reach) {
        warn_of_shared(&options);
    }
    check_setup(&options, reach, &transport).map_err(failed)?;
    let uuid = random::unique();
    let spec = spec(runtime, &options, uuid, &transport).await?;
    let mut expected = runtime.expect(uuid, spec.heartbeats).map_err(failed)?;
    if given_up.is_cancelled() {
        return Err(Error::Cancelled(Cancelled::Nursery));
    }
    // Not beside `given_up`: dropped half-way, the process may be there already.
    let begun = std::time::Instant::now();
    let Launched { process, keeper } = launcher.launch(runtime, &spec, &options.env, given_up).await?;
    runtime.keep(keeper);
    let id = ActorId::with_uuid(&options.name, uuid);
    let id = match process.pid() {
        Some(pid) => id.in_process(pid),
        None => id.on(&options.host.to_string()),
    };
    debug!(target: "pleach::runtime", actor = %id, "started");
    let channel = tokio::select! {
        biased;
        () = given_up.cancelled() => {
            kill(&process, spec.config.give_up_after).await;
            return Err(Error::Cancelled(Cancelled::Nursery));
        }
        channel = expected.connected() => channel,
        exit = process.exited() => {
            let died = died(&id, &exit, ActorPhase::Starting);
            // One that a signal has killed has died of that.
            let left = matches!(exit.status, WaitStatus::Exited(_));
            return Err(match obstacle(runtime, &options, begun).filter(|_| left) {
                Some(obstacle) => failed(format!("{died}; {obstacle}")),
                None => Error::ActorDied(Box::new(died)),
            });
        }
        () = runtime.accepts_none(begun) => {
            kill(&process, spec.config.give_up_after).await;
            let obstacle = obstacle(runtime, &options, begun).unwrap_or_default();
            return Err(failed(format!("it could not connect back and was killed; {obstacle}")));
        }
        () = holds::patience(uuid, spec.config.connect_back) => {
            let words = kill(&process, spec.config.give_up_after).await.stderr;
            let obstacle = obstacle(runtime, &options, begun).map(|obstacle| format!("; {obstacle}")).unwrap_or_default();
            return Err(failed(too_late(&spec, &words) + &obstacle));
        }
    };
    runtime.keep(see_to_end(runtime.clone(), channel.clone(), process.clone()));
    // On another host only the actor itself knows its process.
    let soft_reap = options.soft_reap;
    Ok(Child { id: channel.peer().clone(), channel, process, soft_reap })
}

/// Checks that the environment of an actor is valid.
///
/// # Errors
/// Says which variable can't.
fn check_env(options: &StartOptions) -> Result<(), String> {
    let env = options.env.iter().map(|(name, value)| (name, value)).chain(&options.host.options.env);
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!(
                "{name:?} names no environment variable: it is empty, or has `=` or a zero byte in it"
            ));
        }
        if value.contains('\0') {
            return Err(format!("the environment variable `{name}` can't have a zero byte in its value"));
        }
    }
    Ok(())
}

/// Returns whether it is to be a thread of this process.
fn is_thread(options: &StartOptions, reach: Reach) -> bool {
    reach == Reach::Process && options.host.is_local()
}

/// Checks that the process of an actor can be set up as its options say.
///
/// # Errors
/// Says why not.
fn check_setup(options: &StartOptions, reach: Reach, transport: &Key) -> Result<(), String> {
    let (setup, is_thread) = (&options.setup, is_thread(options, reach));
    if sandbox::is_confined() && !is_thread {
        return Err(
            "an actor in a sandbox starts no processes: have its parent start them, and pass them its work".into()
        );
    }
    if is_thread && !setup.is_empty() {
        return Err(format!(
            "an actor over `{}` is a thread of its parent and has no process that could be set up: use another transport",
            transport.protocol
        ));
    }
    let other_user = setup.user.as_ref().is_some_and(|user| user.uid != rustix::process::geteuid().as_raw());
    if other_user && reach == Reach::Host {
        return Err(format!(
            "actors over `{}` have the same user as their parent: use `tcp`, `tls+tcp` or `quic`",
            transport.protocol
        ));
    }
    Ok(())
}

/// Says what an actor on a thread can't have for itself.
fn warn_of_shared(options: &StartOptions) {
    for (option, is_set) in [
        ("log_level", options.log_level.is_some()),
        ("stdout", options.stdout.is_some_and(|output| output != ChildOutput::Inherit)),
        ("stderr", options.stderr == Some(ChildOutput::Null)),
    ] {
        if is_set {
            warn!(target: "pleach::runtime", actor = options.name, option, "no effect: an actor on a thread has the outputs and the log filter of its process");
        }
    }
}

/// The known reasons why an actor has not connected back.
fn obstacle(runtime: &Runtime, options: &StartOptions, begun: std::time::Instant) -> Option<String> {
    let refused = runtime.not_accepted_since(begun);
    let refused = refused.map(|why| format!("{} could not accept a connection: {why}", runtime.id()));
    refused.or_else(|| program::impostor().filter(|_| options.host.is_local()))
}

/// Waits for the end of a child's process; ends its connection then, and its entry wherever names are kept: others
/// may have had no word of it.
async fn see_to_end(runtime: Arc<Runtime>, channel: Channel, process: Process) {
    let exit = process.exited().await;
    if !exit.seen {
        return;
    }
    let exited_by_itself = matches!(exit.status, WaitStatus::Exited(_));
    channel.note_peer_gone(if exited_by_itself { PeerGone::Exited } else { PeerGone::Killed });
    if exited_by_itself {
        channel.ended().await; // it may have said goodbye, and has then left its registry
    }
    if !channel.ended_in_order() {
        runtime.take_out_dead(channel.peer()).await;
    }
}

/// Ends a process that has not connected back (invariant 2 of `spawn`). One on another host that has fallen silent ends
/// by itself: it is refused, and serves no peer before it is admitted.
async fn kill(process: &Process, patience: Duration) -> Exit {
    process.signal(Signal::Kill);
    timeout(patience, process.exited()).await.unwrap_or_else(|_| {
        let still_there = format!("it is still there {patience:?} after SIGKILL (`give_up_after`)");
        error!(target: "pleach::cancel", pid = process.pid(), "still there after SIGKILL: left");
        Exit { stderr: vec![still_there], seen: false, ..Exit::with(WaitStatus::Unknown) }
    })
}

fn too_late(spec: &ActorSpec, words: &[String]) -> String {
    let words = if words.is_empty() { String::new() } else { format!("; its output: {}", words.join(" / ")) };
    let deadline = spec.config.connect_back;
    let told = match spec.remote {
        true => {
            let at: Vec<_> = spec.parent_at.iter().map(|at| at.address.as_str()).collect();
            format!(" to any of {} (see `advertise`)", at.join(", "))
        }
        false => String::new(),
    };
    format!("it did not connect back{told} within {deadline:?} (`connect_back`) and was killed{words}")
}

/// The launcher of processes on `host`.
///
/// # Errors
/// Names the feature that this build lacks, or transports over which an actor there could connect back.
fn launcher(host: &Host, reach: Reach, transport: &Key) -> Result<Box<dyn Launcher>, String> {
    match &host.engine {
        _ if !host.is_local() && reach != Reach::Network => Err(format!(
            "`{}` does not reach other hosts: use `quic` or `tls+tcp`, or leave the transport out",
            transport.protocol
        )),
        #[cfg(feature = "testing")]
        Engine::Local if reach == Reach::Process && one_clock::is_paused() => Ok(Box::new(one_clock::OneClock)),
        Engine::Local if reach == Reach::Process => Ok(Box::new(thread::Threads)),
        #[cfg(feature = "testing")]
        _ if one_clock::is_paused() => Err(one_clock::PAUSED.into()),
        Engine::Local => Ok(Box::new(process::Processes)),
        Engine::Ssh { destination } if !is_destination(destination) => Err("not a valid destination for `ssh`".into()),
        #[cfg(feature = "ssh")]
        Engine::Ssh { destination } => {
            Ok(Box::new(super::ssh::Ssh { host: host.clone(), destination: destination.clone() }))
        }
        #[cfg(not(feature = "ssh"))]
        Engine::Ssh { .. } => Err("this program was built without pleach's feature `ssh`".into()),
        Engine::Slurm { partition } => Ok(Box::new(slurm::Slurm { host: host.clone(), partition: partition.clone() })),
    }
}

/// How the child connects to this actor.
fn transport(runtime: &Runtime, options: &StartOptions) -> Key {
    let config = runtime.config();
    let codec = options.codec.as_ref().unwrap_or(&config.codec);
    let ours = Key::new(codec, &config.transport);
    let crosses_hosts = || {
        let kind = runtime.registry().find(&ours);
        let reaches = kind.is_ok_and(|kind| kind.protocol().reach() == Reach::Network);
        reaches && (config.allow_non_loopback || config.transport != PLAIN)
    };
    match options.transport.as_ref().or(options.host.options.transport.as_ref()) {
        Some(protocol) => Key::new(codec, protocol),
        None if options.host.is_local() || crosses_hosts() => ours,
        None => Key::new(codec, BETWEEN_HOSTS),
    }
}

async fn spec(runtime: &Arc<Runtime>, options: &StartOptions, uuid: Uuid, transport: &Key) -> Result<ActorSpec> {
    let remote = !options.host.is_local();
    let parent_at = match remote {
        true => runtime.listen_to_other_hosts(transport).await?,
        false => runtime.listen(transport).await?,
    };
    Ok(ActorSpec {
        name: options.name.clone(),
        uuid,
        parent: runtime.id().clone(),
        parent_at,
        root: runtime.root_contact().await,
        registrars: runtime.registrars().await,
        tree_key: runtime.identity.tree_key().clone(),
        modules: options.modules.clone(),
        state: options.state.clone(),
        config: child_config(runtime.config(), options, &transport.protocol),
        outputs: outputs(runtime.config(), options),
        socket_dir: runtime.socket_dir(),
        tls: runtime.tls_for_child(),
        remote,
        heartbeats: remote || options.heartbeats,
        starter: Some(std::process::id()),
        ancestors: ancestors(runtime),
        mark: runtime.descendants().mark(),
        setup: options.setup.clone(),
    })
}

/// What becomes of the actor's outputs. One that is debugged prints nothing past the debugger's prompt.
fn outputs(ours: &Config, options: &StartOptions) -> ChildOutputs {
    let is_debugged = options.debug_mode.unwrap_or(ours.debug_mode);
    let stdout = match ours.stdout {
        ChildOutput::Inherit if is_debugged => ChildOutput::Relay,
        configured => configured,
    };
    ChildOutputs { stdout: options.stdout.unwrap_or(stdout), stderr: options.stderr.unwrap_or(ours.stderr) }
}

/// The actors above a child, this one included, with the routes from here: none, if one of them can't be asked.
fn ancestors(runtime: &Runtime) -> Vec<Ancestor> {
    let above = runtime.identity.ancestors();
    match inspect::listener::address() {
        Some(socket) if runtime.identity.is_root() || !above.is_empty() => {
            let own = Ancestor { who: runtime.id().clone(), route: Route::to(socket) };
            above.iter().cloned().chain([own]).collect()
        }
        _ => Vec::new(),
    }
}

fn child_config(ours: &Config, options: &StartOptions, protocol: &str) -> Config {
    let mut config = ours.for_child();
    match options.host.is_local() {
        true => config.transport = protocol.into(),
        // The actors there reach each other as those here do; only their parent is far away.
        false => move_to(&options.host, &mut config, protocol),
    }
    if let Some(codec) = &options.codec {
        config.codec.clone_from(codec);
    }
    if let Some(level) = log_level(options) {
        config.log_level = Some(level.into());
    }
    if let Some(debug_mode) = options.debug_mode {
        config.debug_mode = debug_mode;
    }
    if let Some(multi_thread) = options.multi_thread {
        config.multi_thread = multi_thread;
    }
    if let Some(soft_reap) = options.soft_reap {
        config.soft_reap = soft_reap;
    }
    config.within_reason()
}

/// What a start says about the child's log filter.
fn log_level(options: &StartOptions) -> Option<&str> {
    let own_env = options.env.iter().rev().map(|(name, value)| (name, value));
    let mut env = own_env.chain(&options.host.options.env);
    let of_env = env.find(|(name, _)| *name == telemetry::LEVEL).map(|(_, level)| level.as_str());
    options.log_level.as_deref().or(of_env)
}

/// Sets host-specific values: addresses and directories.
fn move_to(host: &Host, config: &mut Config, protocol: &str) {
    config.listen.clone_from(&host.options.listen);
    if config.listen.is_empty() {
        let everywhere: Option<Address> = format!("{protocol}://{}", HostPort::new("0.0.0.0", 0)).parse().ok();
        config.listen.extend(everywhere);
    }
    config.advertise.clone_from(&host.options.advertise);
    config.socket_dir = None;
}

/// The default transport between hosts: encrypted, and for members only.
const BETWEEN_HOSTS: &str = "quic";

/// Crosses hosts only where that has been allowed in so many words.
const PLAIN: &str = "tcp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_host_stays_there() {
        let ours = Config { socket_dir: Some("/run/here".into()), transport: "uds".into(), ..Config::default() };
        let options = StartOptions { host: Host::ssh("node2"), ..StartOptions::default() };
        let there = child_config(&ours, &options, "quic");
        assert_eq!((there.socket_dir, &*there.transport), (None, "uds"));
        assert_eq!(there.listen, ["quic://0.0.0.0:0".parse().unwrap()]);
        let at: Address = "quic://10.0.0.2:7".parse().unwrap();
        let options = StartOptions { host: Host::ssh("node2").listen(at.clone()).advertise(at.clone()), ..options };
        let there = child_config(&ours, &options, "quic");
        assert_eq!((there.listen, there.advertise), (vec![at.clone()], vec![at]));
        let here = child_config(&ours, &StartOptions::default(), "tcp");
        assert_eq!((here.socket_dir, &*here.transport), (Some("/run/here".into()), "tcp"));
    }
}
