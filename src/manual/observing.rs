//! Observing a tree: what its actors print, what they log, their messages, what happens to them, the spans of their
//! calls, and metrics.
//!
//! # Outputs
//! An actor's process has a standard output and a standard error like any other, and one rule says what becomes of
//! them, on this host and on others:
//!
//! | [`ChildOutput`] | standard output | standard error |
//! |---|---|---|
//! | `Inherit` | default: goes where that of the parent goes, byte for byte | |
//! | `Relay` | whole lines, with the actor's name in front: `worker: said` | default |
//! | `Null` | discarded | discarded, with log records and last words |
//!
//! [`Start::stdout`] and [`Start::stderr`] set it for one actor, `stdout` and `stderr` in `pleach.toml`, in `PLEACH_STDOUT`
//! and `PLEACH_STDERR`, or in [`Config`](crate::Config) for all.
//!
//! - What an actor prints goes into the same pipe as what the root prints. If another program reads the root's output
//!   and parses it, an actor's `println!` breaks that: set `stdout = "null"`, or `relay`, or print to standard error.
//! - When the reader leaves (`program | head -1`), no actor dies of SIGPIPE. `println!` in an actor that inherits its
//!   output panics, as in any Rust program, which is the error of the function that printed. Relayed output is
//!   discarded from then on, and standard error says so.
//! - A reader that is slow or stopped (`program | less`) holds up an actor that prints, and no other. One that is
//!   monitored with heartbeats, as on another host, would be declared dead if it stood still: when nothing at all was
//!   read for a second, its further lines are dropped, and standard error says how many. So are lines for standard
//!   error, of all actors.
//! - At the end of the program, relayed output is written for up to two seconds while it is taken; the number of lines
//!   that are left is said.
//!
//! # Logs
//! The library emits [`tracing`] events under the targets `pleach::transport`, `pleach::runtime` and `pleach::cancel`.
//! Actors write them to standard error, through [`telemetry::init`](crate::telemetry::init). A program under
//! `#[pleach::main]` writes those of this library in the same way, as long as it has neither a subscriber of `tracing` nor a
//! logger of the `log` crate: none is installed for it, so it can set its own at any time, which gets all that follows.
//! One that calls `telemetry::init` writes those of other crates, too. Each record has the time in UTC and the name and
//! process id of its actor.
//!
//! The levels of an actor, the first that is set:
//! 1. [`Start::log_level`]: for it, and for all actors below it, on this host or another,
//! 2. `PLEACH_LOG` among the variables of [`Start::env`] or [`Host::env`](crate::Host::env): likewise,
//! 3. that of its parent: for the root and its children, `PLEACH_LOG`, and then [`Config::log_level`](crate::Config::log_level),
//! 4. warnings.
//!
//! Actors on threads (`mem`) have the outputs, the subscriber and the levels of their process; a warning says so where a
//! start asks for others.
//!
//! # Messages
//! `pleach trace worker` shows the messages of an actor as they pass, at another terminal and without any preparation:
//! ```text
//! 14:22:10.123456 <- root (4711)          #17    call          app::resize  10342 B
//! 14:22:10.131207 -> root (4711)          #17    answer        app::resize  27 B
//! 14:22:10.131995 -> store (4715)         #4     item          app::pages  4120 B
//! ```
//! - Times are UTC. `->` is sent: it is in the queue of the connection. `<-` is received. Numbers are those of
//!   [`RunningFunction`](crate::inspect::RunningFunction): odd ones are of the side that has dialled.
//! - Kinds are `call`, `context` and `stream`, which begin one; `started`, `open`, `item`, `credit` and `stop` of a stream;
//!   `answer`, `failure`, `cancelled` and `refused`, which end it; `cancel` and `cancel_ack`; `heartbeat`,
//!   `heartbeat_ack`, `goodbye`. Neither values nor the texts of errors are shown.
//! - `--peer`, `--cid`, `--function` and `--kind` choose; `--for 10s` and `--count 100` end it; `--json` has an object on
//!   each line. `pleach trace '#17'` follows one call to its end.
//! - The actor does not wait for the tool. Some thousand messages are kept for a tool that is slow, and further ones are
//!   counted: `… 120 messages were not shown`. While nothing is traced, a message costs the load of a flag.
//! - [`Process::trace`](crate::inspect::Process::trace) is the same for programs. A
//!   [`MsgTransport`](crate::wire::MsgTransport) of your own is seen if it has a
//!   [`set_tap`](crate::wire::MsgTransport::set_tap); those made of a [`Protocol`](crate::wire::Protocol) are.
//!
//! # Events
//! Each process keeps what has happened to its actors and their children lately: starts and restarts, ends with how,
//! requests to end and by which actor, escalations to signals, supervisors that have given up, and failures of functions.
//! `pleach web` lists it; [`Process::events`](crate::inspect::Process::events) is the same for programs. A parent tells of
//! its children, so actors that lived for a moment only are in the list. It keeps some 8000 events, and 500 failures; how
//! many a reader has missed is told.
//!
//! # Spans
//! Where calls are traced, each call, context and stream is a `tracing` span `rpc` on both sides, with actor, function,
//! peer and outcome, and the function runs in the span of its side; see
//! [`telemetry::trace_calls`](crate::telemetry::trace_calls). The subscriber of `telemetry::init` takes them at
//! `PLEACH_LOG=pleach::rpc=debug`. Elsewhere a call costs one branch.
//!
//! With a [`telemetry::Propagator`](crate::telemetry::Propagator), calls carry the trace that they belong to (W3C Trace
//! Context), so that the callee's span is a child of the caller's over any number of actors, hosts and transports. Tasks
//! of a task nursery, and functions that start with their actor, belong to the trace of the code that started them. A
//! call without a trace has no byte more. A `tracestate` of more than 512 bytes is not sent on.
//!
//! With the feature `otel`, one line exports the spans of all processes of a tree to a collector of OpenTelemetry:
//!
//! ```text
//! #[pleach::main(init = pleach::telemetry::otel::init)]
//! ```
//! It works in actors too, because they run the same `main`. The standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`,
//! `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`) apply; actors on other hosts get them with
//! [`Host::env`](crate::Host::env).
//!
//! # Metrics
//! With the feature `metrics`, each process tells its recorder of the `metrics` crate (statsd, OTLP, Prometheus, the
//! program's own) what this library counts and measures: see the module `pleach::metrics`. Times are in seconds, sizes
//! in bytes. A value belongs to its process.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `pleach_calls_total` | counter | `side`, `kind`, `function`, `outcome` | calls, contexts and streams that have ended |
//! | `pleach_call_duration_seconds` | histogram | `side`, `kind`, `function` | how long calls, contexts and streams took |
//! | `pleach_calls_open` | gauge | `side` | calls, contexts and streams that are under way |
//! | `pleach_contexts_open` | gauge | | contexts and streams that are open, by either side |
//! | `pleach_stream_credit` | gauge | | stream messages that may be sent without a wait |
//! | `pleach_stream_unread` | gauge | | stream messages that have come and were not taken yet |
//! | `pleach_senders_stalled_total` | counter | | senders that found the buffer of their peer full for seconds |
//! | `pleach_connections` | gauge | `transport` | open connections |
//! | `pleach_connections_total` | counter | `transport`, `side` | connections that were opened |
//! | `pleach_messages_total` | counter | `transport`, `direction` | messages over all connections |
//! | `pleach_bytes_total` | counter | `transport`, `direction` | bytes over all connections |
//! | `pleach_send_queue_bytes` | gauge | `transport` | bytes that wait to be sent, or that the network has not confirmed |
//! | `pleach_round_trip_seconds` | histogram | `transport` | how long answers to heartbeats took |
//! | `pleach_peers_declared_dead_total` | counter | `reason` | peers whose heartbeats were missed for too long, or whose lease has expired |
//! | `pleach_handshakes_refused_total` | counter | `reason` | connections that did not become those of members |
//! | `pleach_actors` | gauge | | actors in this process |
//! | `pleach_spawns_total` | counter | `outcome` | starts of actors |
//! | `pleach_spawn_duration_seconds` | histogram | | from the start of an actor until it has connected |
//! | `pleach_ends_total` | counter | `by`, `status` | ends of child actors, and the strongest step that it took |
//! | `pleach_reap_steps_total` | counter | `step` | steps to bring child actors to their end |
//! | `pleach_restarts_total` | counter | | restarts by supervisors |
//! | `pleach_supervisor_give_ups_total` | counter | | supervisors that have passed a failure on |
//!
//! - `function` is the path of a function of this program, or `other`; `kind` is `rpc`, `context` or `stream`; `side` is
//!   `client` where the call was made and `server` where the function ran; `outcome` is `returned`, `failed`, `panicked` (for
//!   the caller it has failed), `cancelled`, `refused` or `lost`. Calls that run where they are made are not counted.
//! - `transport` is a protocol, such as `tls+tcp`; `direction` is `sent` or `received`.
//! - `by` is the strongest step that an end has taken: `itself`, `request`, `sigterm`, `sigkill`, `lease`, `still_there`;
//!   `status` is `ok`, `error`, `killed`, `out_of_memory` or `unknown`; `step` is `cancel`, `sigterm` or `sigkill`.
//! - `reason` of a peer that was declared dead: `lease`, `own_lease`, `phi`, `network`; of a handshake: `refused`,
//!   `too_fast`, `not_accepted`.
//!
//! No label has the name of an actor: names may be made up while a program runs, and a value for each would be kept for
//! good.
//!
//! With the feature `prometheus`, a setting makes the root an endpoint for Prometheus, at `/metrics`:
//!
//! ```text
//! PLEACH_PROMETHEUS=127.0.0.1:9464        # Config::prometheus; in a file: prometheus = "127.0.0.1:9464"
//! ```
//! It serves the values of all processes of its tree, on all hosts, each with the labels `actor`, `pid` and `host`, so that
//! one target is enough, whatever actors come and go. It has no authentication: see the module `pleach::metrics::prometheus`.
//!
//! [`ChildOutput`]: crate::ChildOutput
//! [`Start::stdout`]: crate::Start::stdout
//! [`Start::stderr`]: crate::Start::stderr
//! [`Start::log_level`]: crate::Start::log_level
//! [`Start::env`]: crate::Start::env
