//! All settings, their defaults, and the reasons for them.
//!
//! [`load`](Config::load) layers the sources; see there. A program that fixes a setting writes the field after loading,
//! or makes the whole value itself. Children get the [`Config`] of their parent with their start options: they read no
//! file and no environment.
//!
//! This module only holds numbers and names. It knows no transport; its caller passes the registry's names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pleach_wire::{Address, Window};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::telemetry::LogFormat;

mod child_output;
mod file;
pub(crate) mod host;
pub(crate) mod hosts;
mod load;
mod own_file;
mod spelling;
mod variables;

pub use self::child_output::ChildOutput;
pub(crate) use self::child_output::ChildOutputs;
pub use self::host::Host;
pub use self::hosts::{HostEntry, Hosts};

use spelling::{addresses, count, duration, frame_size, patience, ring_size, socket_address, spin, switch};

/// Everything that a tree can be tuned with.
///
/// ```
/// use std::time::Duration;
///
/// let config = pleach::Config { connect_back: Duration::from_secs(60), ..Default::default() };
/// assert_eq!(config.codec, "msgpack");
/// ```
///
/// In `pleach.toml` the fields are keys of the same name, at the top level; in the environment they
/// are upper case behind `PLEACH_`. Durations are text like `"500ms"`, `"2s"` or `"1m"`, or whole
/// numbers of milliseconds; sizes are text like `"64MiB"`, or whole numbers of bytes.
///
/// ```toml
/// transport = "tcp"
/// max_frame = "256MiB"
/// connect_back = "60s"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the actors of one host reach each other. Default: `uds`, the fastest that crosses processes;
    /// the next best in a build without it.
    pub transport: String,
    /// How messages are written. Default: `msgpack`, compact and fast; `json` can be read by eye.
    pub codec: String,
    /// The largest message in bytes, both ways. Default: 64 MiB, far above what a call should carry, and little enough
    /// that a hostile length can't take the machine's memory. It must be between 1 KiB and 4 GiB − 1, the limit of a
    /// frame's size field.
    #[serde(with = "frame_size")]
    pub max_frame: usize,
    /// How long a cancel request waits for its acknowledgement. Default: 500 ms, a thousand times what a healthy actor
    /// needs; a busy or stopped one is noticed soon.
    #[serde(with = "duration")]
    pub cancel_ack: Duration,
    /// How long a cancelled remote task may take for its clean-up. Default: 500 ms.
    #[serde(with = "duration")]
    pub task_cancel: Duration,
    /// How long a closing connection waits for the next byte to move, in either direction, before it drops the rest and
    /// reports how much. Default: 500 ms, more than a working line takes; `peers` bounds the whole.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long closing a connection may take altogether, and an actor that ends waits for its remaining ones.
    /// Default: 3 s, so that last words get through a slow line, and peers that are just closing get there.
    #[serde(with = "duration")]
    pub peers: Duration,
    /// How long a child that has acknowledged its cancellation, or has said goodbye by itself, may take to
    /// exit before it gets SIGTERM.
    /// Default: 3 s, because it may have children of its own to end.
    #[serde(with = "duration")]
    pub soft_reap: Duration,
    /// How long after SIGTERM a child gets SIGKILL. Default: 1.6 s, enough to flush files, short enough
    /// for the person at the terminal.
    #[serde(with = "duration")]
    pub kill_after: Duration,
    /// How long a child may still be there after SIGKILL; then it is left, and reported. Default: 5 s: the kernel
    /// frees its memory, and can't end it at all while it waits for a broken disk or network file system.
    #[serde(with = "duration")]
    pub give_up_after: Duration,
    /// How long a new process may take to connect back before it is killed, and another host to answer while
    /// it is started there. Default: 10 s: a big program on a cold disk and a loaded machine.
    #[serde(with = "patience")]
    pub connect_back: Duration,
    /// How long a handshake may take. Default: 10 s, the same as for `connect_back`.
    #[serde(with = "patience")]
    pub handshake: Duration,
    /// How long it may take to reach a peer. Default: 3 s: one lost packet and its repetition; some
    /// protocols (QUIC) get no answer at all from a host that does not listen.
    #[serde(with = "patience")]
    pub dial: Duration,
    /// How many handshakes each listener may have pending; when full, a new connection evicts the oldest. Default: 128,
    /// so that strangers take little.
    #[serde(with = "count")]
    pub max_pending_handshakes: usize,
    /// How many connections per second a listener takes from one address (on Unix sockets: from one user); more
    /// are closed unread. Children that are waited for come on top. Default: 1000, more than a machine starts,
    /// and few enough that refusing them all takes a small part of one core.
    #[serde(with = "count")]
    pub max_connection_rate: usize,
    /// How many connections an actor holds; a member beyond that waits for [`drain`](Self::drain), for one that is
    /// ending, and is refused then. Default: 4096, below the usual limit of file descriptors of a server.
    #[serde(with = "count")]
    pub max_connections: usize,
    /// How many calls of one peer run in an actor at once; more are refused. Default: 65 536, a
    /// safety limit, not a concurrency setting.
    #[serde(with = "count")]
    pub max_tasks: usize,
    /// How many bytes of arguments an actor holds for the calls of one peer, from their arrival to the end of their
    /// tasks, besides one message of `max_frame`; a call beyond that is refused. Default: 512 MiB, eight of the largest
    /// messages: more than calls should carry at once, and little enough that one peer can't take the machine's memory.
    /// Arguments of up to 1 KiB don't count: `max_tasks` bounds those.
    #[serde(with = "frame_size")]
    pub max_arguments: usize,
    /// How many bytes of answers may wait for a peer before its further calls wait to begin, until it has read most of
    /// them; those of functions whose answers are small wait for small ones only. Default: 64 MiB, what a fast link
    /// carries in some 30 ms: a peer that reads is hardly held up by it.
    #[serde(with = "frame_size")]
    pub max_answers: usize,
    /// How many bytes may wait for a peer that does not read, besides one message of `max_frame`; then its
    /// connection is closed. Default: 1 GiB. Calls and streams wait long before that; it bounds the answers
    /// of calls that had begun before `max_answers` was reached, and must let the largest honest burst of them pass.
    #[serde(with = "frame_size")]
    pub max_backlog: usize,
    /// How many bytes of a stream's messages, at least one of them, wait for the task that takes them; more have to wait
    /// where they are sent. Default: 256 KiB, which keeps both sides busy with messages of any size, and bounds what a
    /// slow reader holds; `.buffer_bytes(…)` and `.buffer(…)` set it for one stream.
    #[serde(with = "frame_size")]
    pub stream_bytes: usize,
    /// How many messages of a stream wait where their senders do not: one more is an error there, or takes the place of
    /// the oldest. Also how far one of several subscribers may be behind. Default: 64, as in the reference;
    /// `.buffer(…)` sets it for one stream.
    #[serde(with = "count")]
    pub stream_buffer: usize,
    /// How long a lost connection to a child waits for the child's exit status. Default: 500 ms; the
    /// socket closes a little before the status can be read, and the status says more.
    #[serde(with = "duration")]
    pub death_notice: Duration,
    /// How often heartbeats are sent to an actor on another host. Default: 1 s: some 100 bytes a second, and
    /// a loss is suspected after about four.
    #[serde(with = "patience")]
    pub heartbeat: Duration,
    /// How long an actor lives, and counts as alive, without its parent on another host having answered: it ends
    /// itself then, and its parent gives it up no sooner. At least three heartbeats, so that one may be lost; and
    /// three round trips, as it counts from when the child begins to connect. No task there may block its thread for so long.
    /// Default: 10 s: longer than a route takes to change. An actor on this host may be silent for any time, and so may
    /// one that stands still under the debugger.
    #[serde(with = "patience")]
    pub lease: Duration,
    /// The phi threshold for suspecting a silent peer: how unlikely its silence is, as the negative power of ten.
    /// Default: 8, one in a hundred million; with regular heartbeats that is four of them. A suspicion is only
    /// reported, see [`Portal::liveness`](crate::Portal::liveness).
    #[serde(with = "count")]
    pub suspect_after: usize,
    /// The phi threshold for declaring a peer on another host dead that is neither parent nor child; more than
    /// `suspect_after`. Default: 60; with regular heartbeats that is nine of them, close to `lease`, and more on a line
    /// where they are not regular.
    #[serde(with = "count")]
    pub dead_after: usize,
    /// How many bytes each side of a connection over shared memory sends before its peer has to read: a power of two from
    /// 4 KiB to 64 MiB. Default: 256 KiB, with which large messages stay in a core's cache. See `manual::shared_memory`.
    #[serde(with = "ring_size")]
    pub shm_ring: usize,
    /// How long an actor looks for a message in shared memory before it sleeps. Default: not at all. `50us` or so makes a
    /// call many times as fast where both actors have a core of their own, and takes that core. At most 10 ms.
    #[serde(with = "spin")]
    pub shm_spin: Duration,
    /// Whether actors run on several threads. Default: no; one thread wakes no other core,
    /// and an actor is a process already. The root's own threads are set with `#[pleach::main]`.
    #[serde(with = "switch")]
    pub multi_thread: bool,
    /// Whether a task of an actor that fails or panics stands still first, and is shown at the debugger's prompt: see
    /// [`manual::debugging`](crate::manual::debugging). Default: no. It is for the program at a terminal; without one,
    /// crashes go their way. [`Start::debug_mode`](crate::Start::debug_mode) sets it for one actor.
    #[serde(with = "switch")]
    pub debug_mode: bool,
    /// Where Unix sockets live; made if it is missing, with mode 0700. Default: a new directory below the temporary one
    /// (or `XDG_RUNTIME_DIR`, or `/tmp`, if the path would be too long for a socket), only for this user.
    pub socket_dir: Option<PathBuf>,
    /// The file with the tree's key. Default: none; the root makes a random secret key. Programs with the same file can
    /// join one tree: any process that can read it is a member. It is created with mode 0600 if missing, and refused if
    /// others can read it; see [`key_file`](crate::key_file).
    pub key_file: Option<PathBuf>,
    /// The directory with the certificates of this host: `authority.pem`, `certificate.pem` and `key.pem`, as `pleach
    /// cert new` makes them. Default: none; certificates are made of the tree's key. They are read and checked once, at
    /// the start; children read the directory of the same name on the host where they run. They add to the key, and do
    /// not replace it: a certificate without the key is not enough.
    pub certificates: Option<PathBuf>,
    /// Whether actors may listen where other hosts reach them without encryption. Default: no.
    #[serde(with = "switch")]
    pub allow_non_loopback: bool,
    /// Additional addresses where the root listens from its start, e.g. `quic://0.0.0.0:1616`; the name
    /// `localhost` means both `127.0.0.1` and `[::1]`. The actors below it on
    /// its host listen the same way on ports that the system chooses. Default: nowhere. In a file a list of
    /// addresses, in the environment with commas between them.
    #[serde(with = "addresses")]
    pub listen: Vec<Address>,
    /// Addresses announced to peers instead of the bound ones, for each protocol named here: where a router forwards to
    /// this actor. Default: the bound ones, and for `0.0.0.0` and `[::]` the addresses of the host's interfaces. Actors
    /// below get none of it.
    #[serde(with = "addresses")]
    pub advertise: Vec<Address>,
    /// The hosts that this program may use, for [`Config::host`] and for clusters over all of them. Default:
    /// none. In a file tables, in the environment text like `ssh:a*2,local`; see [`Hosts`].
    pub hosts: Hosts,
    /// Where the registrar of several trees listens, e.g. `tcp://127.0.0.1:1616`. A root that finds one there joins it;
    /// if there is none, it becomes one and binds all of these. Needs `key_file`: programs that join must know the same
    /// key. Default: none; a root is the registrar of its own tree, and binds nothing for that.
    ///
    /// Programs that have joined register again by themselves when the registrar is back, or another program has
    /// replaced it; lookups meanwhile fail after `dial`. Actors on other hosts are found if they `listen` where others
    /// get.
    ///
    /// With the feature `etcd` it can be one `etcd://host:port[,host:port…]/prefix` instead, which keeps the names
    /// beyond the end of any program: see `discovery::etcd`.
    #[serde(with = "addresses")]
    pub registry: Vec<Address>,
    /// Whether the root has to be the registrar itself, and fails if there is another one. Default: no.
    #[serde(with = "switch")]
    pub ensure_registry: bool,
    /// How long an ending actor may take to remove its name. Default: 500 ms; the registrar notices by itself if that
    /// fails.
    #[serde(with = "duration")]
    pub deregister: Duration,
    /// The name of the root, under which it is found. Default: `root`.
    pub root_name: String,
    /// The log filter of the actors, the root among them, e.g. `info` or `pleach::cancel=debug`; see
    /// [`telemetry::init`](crate::telemetry::init). The variable `PLEACH_LOG` overrides it, and
    /// [`Start::log_level`](crate::Start::log_level) does for one actor and all below it. Default: warnings.
    pub log_level: Option<String>,
    /// How records are written: `text`, or `json`, one object in a line. Default: `text`. It is for the actors, and for
    /// the root as long as the program has no subscriber; with [`telemetry::init`](crate::telemetry::init) the program has
    /// what `PLEACH_LOG_FORMAT` says.
    pub log_format: LogFormat,
    /// Where the root serves the metrics of its tree to Prometheus, e.g. `127.0.0.1:9464`; port 0 is a free one. Default:
    /// nowhere. There is no authentication and no encryption: all who reach this address read them. It needs the feature
    /// `prometheus`; see `pleach::metrics::prometheus`.
    #[serde(with = "socket_address")]
    pub prometheus: Option<SocketAddr>,
    /// What becomes of the standard output of actors: `inherit`, `relay` or `null`; see [`ChildOutput`]. Default:
    /// `inherit`, it goes where that of the parent goes. [`Start::stdout`](crate::Start::stdout) sets it for one actor.
    pub stdout: ChildOutput,
    /// As `stdout`, for the standard error of actors. Default: `relay`, line by line with the actor's name in front.
    pub stderr: ChildOutput,
}

impl Config {
    /// Returns the longest time that it takes to end one child: to ask, to wait, to escalate.
    pub fn ladder(&self) -> Duration {
        self.cancel_ack.saturating_add(self.soft_reap).saturating_add(self.kill_after)
    }

    /// Returns how much a stream buffers unless it says otherwise.
    pub(crate) fn stream_window(&self) -> Window {
        let limit = |limit| u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        Window { messages: limit(self.stream_buffer), bytes: limit(self.stream_bytes) }
    }

    /// Returns the host of this name among [`hosts`](Self::hosts).
    ///
    /// # Errors
    /// [`Error::Config`] when there is none; it names those that there are.
    pub fn host(&self, name: &str) -> Result<Host> {
        let known = || self.hosts.iter().map(|entry| format!("`{}`", entry.name)).collect::<Vec<_>>().join(", ");
        let unknown = || match known() {
            none if none.is_empty() => format!("no host is named `{name}`: there are no `[[hosts]]`"),
            known => format!("no host is named `{name}`; there are {known}"),
        };
        self.hosts.named(name).cloned().ok_or_else(|| Error::Config(unknown()))
    }
}

impl Config {
    /// Checks fields against each other.
    ///
    /// # Errors
    /// Says which fields do not go together.
    pub(crate) fn check_patience(&self) -> Result<()> {
        let Self { heartbeat, lease, suspect_after, dead_after, .. } = self;
        if heartbeat.is_zero() || lease.div_duration_f64(*heartbeat) < 3.0 {
            return Err(Error::Config(format!(
                "`lease` is {lease:?} and `heartbeat` {heartbeat:?}: a lease takes at least three heartbeats, and they some time"
            )));
        }
        if suspect_after >= dead_after {
            return Err(Error::Config(format!(
                "`suspect_after` is {suspect_after} and `dead_after` {dead_after}: a peer must be suspected before it \
                    is declared dead"
            )));
        }
        Ok(())
    }

    /// The same, with every duration short enough to be added to any point in time.
    pub(crate) fn within_reason(mut self) -> Self {
        for duration in [
            &mut self.cancel_ack,
            &mut self.task_cancel,
            &mut self.drain,
            &mut self.peers,
            &mut self.soft_reap,
            &mut self.kill_after,
            &mut self.give_up_after,
            &mut self.connect_back,
            &mut self.handshake,
            &mut self.dial,
            &mut self.death_notice,
            &mut self.deregister,
            &mut self.heartbeat,
            &mut self.lease,
        ] {
            *duration = (*duration).min(FOR_EVER);
        }
        self
    }
}

impl Default for Config {
    /// The defaults that the fields name, without any file or environment.
    fn default() -> Self {
        Self {
            transport: TRANSPORT.into(),
            codec: "msgpack".into(),
            max_frame: 64 << 20,
            cancel_ack: Duration::from_millis(500),
            task_cancel: Duration::from_millis(500),
            drain: Duration::from_millis(500),
            peers: Duration::from_secs(3),
            soft_reap: Duration::from_secs(3),
            kill_after: Duration::from_millis(1600),
            give_up_after: Duration::from_secs(5),
            connect_back: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            dial: Duration::from_secs(3),
            max_pending_handshakes: 128,
            max_connection_rate: 1000,
            max_connections: 4096,
            max_tasks: 65_536,
            max_arguments: 512 << 20,
            max_answers: 64 << 20,
            max_backlog: 1 << 30,
            stream_bytes: 256 << 10,
            stream_buffer: 64,
            death_notice: Duration::from_millis(500),
            heartbeat: Duration::from_secs(1),
            lease: Duration::from_secs(10),
            suspect_after: 8,
            dead_after: 60,
            shm_ring: 256 << 10,
            shm_spin: Duration::ZERO,
            multi_thread: false,
            debug_mode: false,
            socket_dir: None,
            key_file: None,
            certificates: None,
            allow_non_loopback: false,
            listen: Vec::new(),
            advertise: Vec::new(),
            hosts: Hosts::default(),
            registry: Vec::new(),
            ensure_registry: false,
            deregister: Duration::from_millis(500),
            root_name: "root".into(),
            log_level: None,
            log_format: LogFormat::Text,
            prometheus: None,
            stdout: ChildOutput::Inherit,
            stderr: ChildOutput::Relay,
        }
    }
}

/// As good as no limit, and no sum of a few overflows: ten years.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The fastest protocol of this build that crosses processes. `mem` does not: alone, it is for tests.
const TRANSPORT: &str = if cfg!(all(unix, feature = "uds")) {
    "uds"
} else if cfg!(feature = "tcp") {
    "tcp"
} else if cfg!(feature = "quic") {
    "quic"
} else if cfg!(feature = "shm") {
    "shm"
} else {
    "mem"
};
