//! The handbook: the guarantees, clause by clause, and the tests that hold them.
//!
//! | page | contents |
//! |---|---|
//! | [`cookbook`] | the usual tasks, each as a program that runs |
//! | [`pools`] | many calls over several workers: retries, poison, time-outs, replacement |
//! | [`state`] | actors with state: methods, handles, turns, restarts |
//! | [`supervision`] | restarts, children that come and go, health checks, handles that outlast processes |
//! | [`cancellation`] | the guarantees of scopes, nurseries, calls, contexts, streams and errors |
//! | [`signals`] | how a program is ended from outside, signal by signal, and job control |
//! | [`security`] | what strangers, other users and members can and cannot do |
//! | `sandbox` | running untrusted code: what a sandbox keeps out, tried, and what it leaves open (feature `sandbox`) |
//! | [`debugging`] | pausing, crashes and `gdb` at one prompt for the whole tree |
//! | [`stuck`] | a tree that hangs: which actor waits for which, and at which line |
//! | `testing` | a tree for each test, and recipes for all kinds of programs (feature `testing`) |
//! | [`hosts`] | trees over many hosts: requirements, start, end |
//! | [`observing`] | what actors print and log, and where it goes |
//! | [`values`] | which values arrive unchanged over which codec, and which are refused |
//! | `shared_memory` | the transport `shm`: when to choose it, and what it costs (feature `shm`) |
//! | [`transports`] | the stack without actors, and codecs and protocols of your own |
//! | [`migrating`] | from ractor, kameo, tarpc, Erlang, Ray and tractor, side by side |
//! | [`architecture`] | the journeys of a call, an answer, a cancel, a spawn and an error, station by station |
//! | [`rows`] | each row of the specified behaviour, and the test that holds it |
//!
//! There is no code here. Code and tests cite a clause by its number, as in `// C-12` or `// SEC-4`, and a row as in
//! `// S47`; `tests/manual.rs` fails when a row has no test, or a cited clause does not exist.

pub mod architecture;
pub mod cancellation;
pub mod cookbook;
#[cfg(feature = "debugger")]
pub mod debugging;
pub mod hosts;
pub mod migrating;
pub mod observing;
pub mod pools;
pub mod rows;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod security;
#[cfg(feature = "shm")]
pub mod shared_memory;
pub mod signals;
pub mod state;
pub mod stuck;
pub mod supervision;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transports;
pub mod values;
