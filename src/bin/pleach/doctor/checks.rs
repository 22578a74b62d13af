//! The checks: each looks at one thing, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use pleach::{Config, Result};
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::Finding;
use super::cgroup::Limits;

/// Makes all checks.
pub(super) fn all() -> Vec<Finding> {
    let (settings, config) = settings();
    let mut findings = vec![settings];
    findings.extend(transports(&config));
    findings.extend([open_files(&config), control_group(), marks(), udp_buffers(), debuggers(), ptrace()]);
    findings.extend(launchers());
    findings
}

/// The settings of a program that is started here; the default ones, if those can't be used.
fn settings() -> (Finding, Config) {
    match Config::load() {
        Ok(config) => (Finding::fine("settings", format!("{} over {}", config.codec, config.transport)), config),
        Err(error) => {
            let advice = "programs that are started here end with this error; the other checks are of the defaults";
            (Finding::missing("settings", error.to_string(), advice), Config::default())
        }
    }
}

/// Starts an actor over each protocol: this program again.
fn transports(config: &Config) -> Vec<Finding> {
    let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(tokio) => tokio,
        Err(error) => return vec![Finding::missing("async runtime", error.to_string(), "look at `ulimit -a`")],
    };
    let protocols = pleach::transports::known().into_iter().filter(|key| key.codec == config.codec);
    protocols.map(|key| tokio.block_on(carries_actors(config, key.protocol))).collect()
}

async fn carries_actors(config: &Config, protocol: String) -> Finding {
    let is_chosen = protocol == config.transport;
    match start_one(config, &protocol).await {
        Ok(took) => Finding::fine(protocol, format!("an actor started in {:.1} ms", took.as_secs_f64() * 1000.0)),
        Err(error) if is_chosen => Finding::missing(
            protocol,
            error.to_string(),
            "actors use this `transport` here: mend that, or choose another",
        ),
        Err(error) => Finding::limited(protocol, error.to_string(), "actors can't use this `transport` here"),
    }
}

async fn start_one(config: &Config, protocol: &str) -> Result<Duration> {
    // A tree of its own, whatever the settings join.
    let (registry, listen) = (Vec::new(), Vec::new());
    let config = Config { transport: protocol.into(), registry, listen, ..config.clone() };
    let tree = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let begun = Instant::now();
            let actor = n.start_actor("checked").await?;
            let took = begun.elapsed();
            actor.cancel_actor().await?;
            Ok(took)
        })
        .await
    });
    tree.await
}

fn open_files(config: &Config) -> Finding {
    let (what, limit) = ("open files", getrlimit(Resource::Nofile).maximum);
    let wanted = config.max_connections as u64 + OTHER_FILES;
    match limit {
        Some(limit) if limit < wanted => Finding::limited(
            what,
            format!("a process may have {limit}"),
            format!(
                "`max_connections` allows {} connections: raise the hard limit (`ulimit -Hn`), or lower that",
                config.max_connections
            ),
        ),
        Some(limit) => Finding::fine(what, format!("a process may have {limit}")),
        None => Finding::fine(what, "any number"),
    }
}

fn control_group() -> Finding {
    let Limits { memory, processes, processors } = Limits::here();
    let memory_found = memory.map(|bytes| format!("{:.0} MiB of memory", bytes as f64 / f64::from(1 << 20)));
    let processes_found = processes.map(|number| format!("{number} processes and threads"));
    let processors_found = processors.map(|number| format!("{number:.2} processors"));
    let found: Vec<_> = [memory_found, processes_found, processors_found].into_iter().flatten().collect();
    let (what, found) = ("control group", if found.is_empty() { "no limits".into() } else { found.join(", ") });
    let few = processes.is_some_and(|number| number < PROCESSES);
    let small = memory.is_some_and(|bytes| bytes < MEMORY);
    match few || small {
        false => Finding::fine(what, found),
        true => Finding::limited(
            what,
            found,
            "each actor takes some 10 MiB and 4 threads: raise `memory.max` and `pids.max` (`docker run --memory --pids-limit`)",
        ),
    }
}

/// By this limit the processes of a tree are recognised after a crash.
fn marks() -> Finding {
    let (what, limit) = ("leftovers", getrlimit(Resource::Rttime));
    match (limit.current, limit.maximum) {
        (None, None) => Finding::fine(what, "processes that a tree leaves behind are recognised"),
        _ => Finding::limited(
            what,
            "RLIMIT_RTTIME is set, so that what a tree leaves behind is not recognised",
            "leave `ulimit -R` unlimited for programs with actors",
        ),
    }
}

/// QUIC asks for large socket buffers, and gets what the system allows.
fn udp_buffers() -> Finding {
    let what = "UDP buffers";
    let limits = ["net.core.rmem_max", "net.core.wmem_max"].map(|name| (name, sysctl(name)));
    let small: Vec<_> = limits.iter().filter(|(_, bytes)| bytes.is_some_and(|bytes| bytes < UDP_BUFFER)).collect();
    let found = limits.map(|(name, bytes)| format!("{name} = {}", bytes.map_or("?".into(), |bytes| bytes.to_string())));
    match small.is_empty() {
        true => Finding::fine(what, found.join(", ")),
        false => Finding::limited(
            what,
            found.join(", "),
            format!(
                "for fast QUIC: `sysctl -w {}`",
                small.iter().map(|(name, _)| format!("{name}={UDP_BUFFER}")).collect::<Vec<_>>().join(" ")
            ),
        ),
    }
}

fn debuggers() -> Finding {
    let found: Vec<_> = ["gdb", "lldb", "strace"].into_iter().filter(|program| is_in_path(program)).collect();
    match found.is_empty() {
        true => Finding::limited("debuggers", "none", "install gdb or lldb, to look into a running actor"),
        false => Finding::fine("debuggers", found.join(", ")),
    }
}

/// Whether a debugger may attach to a process of the same user.
fn ptrace() -> Finding {
    let (what, root) = ("ptrace", rustix::process::geteuid().is_root());
    match sysctl("kernel.yama.ptrace_scope") {
        None | Some(0) => Finding::fine(what, "debuggers may attach to your processes"),
        Some(1 | 2) if root => Finding::fine(what, "root may attach to processes"),
        Some(scope @ (1 | 2)) => Finding::limited(
            what,
            format!("kernel.yama.ptrace_scope = {scope}: debuggers may not attach to running actors"),
            "use `sudo gdb -p PID`, or `sysctl -w kernel.yama.ptrace_scope=0`",
        ),
        Some(scope) => Finding::limited(
            what,
            format!("kernel.yama.ptrace_scope = {scope}: no debugger may attach"),
            "it can't be changed before the next boot",
        ),
    }
}

/// The programs by which actors are started on other hosts.
fn launchers() -> Vec<Finding> {
    let launcher = |what, program: &str, advice: &str| match is_in_path(program) {
        true => Finding::fine(what, format!("`{program}` is here")),
        false => Finding::limited(what, format!("there is no `{program}`"), advice),
    };
    vec![
        launcher("ssh", "ssh", "install an OpenSSH client, to start actors on hosts by `ssh:HOST`"),
        launcher("slurm", "srun", "for actors on a cluster by `slurm`, start the program on a node of it"),
    ]
}

fn sysctl(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name.replace('.', "/"))).ok()?.trim().parse().ok()
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| access(directory.join(program), Access::EXEC_OK).is_ok())
}

/// Files of a process beside its connections.
const OTHER_FILES: u64 = 64;

/// With less, trees of some dozens of actors are in trouble: in bytes, and in processes and threads.
const MEMORY: u64 = 256 << 20;
const PROCESSES: u64 = 256;

/// The size of the socket buffers that `pleach-quic` asks for, in bytes.
const UDP_BUFFER: u64 = 8 << 20;
