//! Trees of actors that are OS processes: supervised, cancelled and failing as one structured program.
//!
//! An actor is a process that runs one tree of async tasks. Every process lives inside a nursery,
//! every remote call inside a scope: errors climb the tree, cancellation runs down it, and nothing
//! outlives its parent.
//!
//! ```
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn add(a: i64, b: i64) -> Result<i64> {
//!     Ok(a + b)
//! }
//!
//! #[pleach::main] // a child process enters here too, and becomes an actor
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let portal = n.start_actor("worker").enable(module_path!()).await?;
//!         assert_eq!(portal.run(add(1, 2)).await?, 3); // there
//!         assert_eq!(add(1, 2).await?, 3); // here
//!         portal.cancel_actor().await // a daemon lives until it is cancelled
//!     })
//!     .await
//! }
//! ```
//!
//! # The path of a call
//! ```text
//! your task                                                    the other process
//!   portal.run(add(1, 2))                                        add's body
//!     │                                                            ▲ a task and a scope for each call
//!     ▼                                                            │ its name → the function
//!   channel: the call's id, and who waits for it ────┐         channel: the dialog that a message belongs to
//!     │ encodes once, for the connection's buffer    │             ▲
//!     ▼                                              │             │
//!   wire: frames, limits ────► tcp, uds, quic, mem ──┼──────► wire: frames
//! ```
//! [`manual::architecture`] follows it, an answer, a cancellation, a start and an error, station by station.
//!
//! # Where to read on
//! The handbook is [`manual`]: what you can rely on, actors with state, pools, tests, hosts, debugging.

#![deny(unsafe_code)]
// The debugger's hooks are small, and wherever something waits or crashes; the usual build has all of them in use.
#![cfg_attr(not(feature = "debugger"), allow(dead_code))]
#![cfg_attr(test, allow(clippy::disallowed_methods))]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "pleach runs on Linux only: that nothing outlives its parent rests on signals of a parent's death, child subreapers \
     and /proc, which other systems don't have"
);

// The macros write `::pleach::…`, so this crate must know itself by that name.
extern crate self as pleach;

#[macro_use]
mod log;

mod actor;
mod backoff;
mod boot;
mod broadcast;
mod callers;
mod channel;
pub mod config;
mod crash;
mod current;
#[cfg(feature = "debugger")]
pub mod debug;
mod decode;
pub mod discovery;
mod epoch;
pub mod error;
mod events;
mod fidelity;
mod find;
mod frames;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod holds;
pub mod inspect;
pub mod key_file;
mod lazy;
pub mod leftovers;
pub mod manual;
#[cfg(feature = "metrics")]
pub mod metrics;
mod misspelt;
mod nursery;
mod os;
mod panics;
mod portal;
mod proto;
mod random;
mod registry;
mod retry;
mod rpc;
mod runtime;
pub mod scope;
mod shape;
mod spawn;
mod stateful;
mod stream;
mod sync;
mod task_group;
mod task_local;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod traces;
pub mod transports;
pub mod trionics;

#[cfg(feature = "testing")]
#[doc(inline)]
pub use pleach_macros::test;
#[doc(inline)]
pub use pleach_macros::{actor, context, main, rpc, stream};
#[doc(inline)]
pub use pleach_wire as wire;
#[doc(inline)]
pub use pleach_wire::Blob;

pub use crate::actor::ActorId;
pub use crate::backoff::Backoff;
pub use crate::boot::daemon::run_daemon;
pub use crate::boot::root::open_root;
pub use crate::boot::shutdown::{ShutdownSignal, shutdown_signal};
pub use crate::channel::Liveness;
#[doc(inline)]
pub use crate::config::{ChildOutput, Config, Host, HostEntry, Hosts};
#[cfg(feature = "debugger")]
#[doc(inline)]
pub use crate::debug::{pause, pause_from_sync, post_mortem};
#[doc(inline)]
pub use crate::error::ok::Ok;
#[doc(inline)]
pub use crate::error::{
    ActorDied, ActorPhase, BoxError, ContextCancelled, Error, Poison, RemoteError, Result, ScopeError, WaitStatus,
};
pub use crate::find::{FindActor, find_actor, get_registry, get_root, query_actor, wait_for_actor};
pub use crate::nursery::pool::{Pool, PoolCall, PoolProgress, PoolStart, Results};
pub use crate::nursery::supervise::{
    ChildInfo, ChildSpec, ChildState, SupervisedCall, SupervisedPortal, Supervision, Supervisor, SupervisorEvent,
    SupervisorEvents,
};
pub use crate::nursery::{EndingReport, Nursery, Start, open_nursery};
pub use crate::os::cgroup::Cgroup;
pub use crate::os::exit_callbacks::on_exit;
pub use crate::os::privileges::drop_privileges;
#[cfg(feature = "sandbox")]
pub use crate::os::sandbox::Sandbox;
pub use crate::os::setup::Resource;
pub use crate::portal::{Daemon, OneShot, Portal, PortalCall};
pub use crate::proto::dialog::ContextState;
pub use crate::retry::Retry;
pub use crate::rpc::call::Call;
pub use crate::rpc::context::{Context, ContextCall, OpenContext};
pub use crate::rpc::method::cell::{State, StopReason};
pub use crate::rpc::method::me::Me;
pub use crate::rpc::method::turn::{Exclusive, Shared};
pub use crate::rpc::stream_call::StreamCall;
pub use crate::runtime::handle::{Actor, current_actor};
#[doc(inline)]
pub use crate::scope::{CancelScope, Task, TaskNursery, fail_after, move_on_after, open_task_nursery, shield};
pub use crate::spawn::entry::init;
pub use crate::spawn::reap::{EndedBy, Ending};
pub use crate::stateful::call::{MethodCall, MethodContext, MethodStream};
pub use crate::stateful::handle::Handle;
pub use crate::stateful::new::New;
pub use crate::stateful::{ActorState, find};
pub use crate::stream::{Lag, MsgStream, OpenStream, RecvHalf, SendHalf, StreamReceiver, StreamSender, Subscription};

/// The items that most programs need: `use pleach::prelude::*`.
pub mod prelude {
    pub use crate::{
        Blob, Call, CancelScope, Config, Context, Error, MsgStream, Nursery, OpenContext, Portal, Result,
        StreamReceiver, StreamSender, TaskNursery, fail_after, move_on_after, shield,
    };
}

/// Called by the macros' code. Not for other use: it may change with any version.
#[doc(hidden)]
pub mod __private {
    pub use linkme;
    pub use pleach_wire::blob;
    pub use serde;

    pub use crate::boot::main::{Flavor, run_main};
    #[cfg(feature = "testing")]
    pub use crate::boot::test::{TestOptions, TestResult, run_seeds, run_test};
    pub use crate::callers::Callers;
    pub use crate::error::boxed::Raised;
    pub use crate::error::register::{ERRORS, RegisteredError};
    pub use crate::rpc::answer::Outcome;
    pub use crate::rpc::arguments::NoArguments;
    pub use crate::rpc::call::{call, call_blob, invoke, invoke_blob};
    pub use crate::rpc::context::{context_call, invoke_context};
    pub use crate::rpc::export::{EXPORTS, Export};
    pub use crate::rpc::method::{
        MethodArguments, invoke_is, invoke_me, invoke_me_context, invoke_me_stream, invoke_method,
        invoke_method_stream, invoke_new,
    };
    pub use crate::rpc::request::{DialogRequest, Invoked, Request};
    pub use crate::rpc::stream_call::{invoke_generator, invoke_stream, stream_call};
    pub use crate::shape::Shapes;
    #[cfg(feature = "testing")]
    pub use crate::spawn::tested::{TESTS, Test};
    pub use crate::stateful::route::Route;
    pub use crate::stateful::{IsCall, is_call};
}
