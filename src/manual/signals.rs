//! Signals: how a program is ended from outside, what each signal does, and what job control does to a tree.
//!
//! # A program
//! This holds for programs under `#[pleach::main]`, and for [`run_daemon`](crate::run_daemon) wherever it runs.
//!
//! | signal | usual sender | first | clean-up and `on_exit` | exit status |
//! |---|---|---|---|---|
//! | SIGINT | Ctrl-C | cancels the body | run | 130 |
//! | SIGTERM | `kill`, `timeout`, a service manager | cancels the body | run | 143 |
//! | SIGHUP | a closed terminal | cancels the body; ignored if the launcher ignored it (`nohup`) | run | 129 |
//! | SIGQUIT | Ctrl-\ | cancels the body; ignored if the launcher ignored it | run | 131, no core file |
//! | any of these again | impatience | ends the process at once | do not run | 128 plus that signal's number |
//! | SIGKILL | the system | ends the process at once | do not run | by the signal |
//!
//! - The code of the body finds [`Cancelled::Signal`](crate::error::Cancelled::Signal) as the cause. A body that
//!   ends well all the same, as [`run_daemon`](crate::run_daemon) does, ends the program well.
//! - A program that is to finish its work first holds a [`shutdown_signal`](crate::shutdown_signal), or starts its pool
//!   with [`drain_on_signal`](crate::PoolStart::drain_on_signal): the first signal is told to that and has no other
//!   effect, the second one cancels the body, the third one ends the process at once. All actors live on until then.
//! - A SIGINT or SIGQUIT that the launcher had the program ignore, as a shell does with `program &` in a script, stays
//!   ignored, in the program and in its actors.
//! - A separate thread takes the signals. So a second one works whatever the runtime does: while `main` computes or
//!   blocks and never waits, before a tree is opened, while clean-up or callbacks hang. Once the body and its clean-up
//!   have ended nothing is left to cancel, and the first signal ends the process, also while the runtime is dropped.
//! - Signals within 200 ms of the first one count as the same: `timeout` signals a process and then its
//!   group; a service manager may send SIGHUP right after SIGTERM.
//! - When a program is ended at once its actors end too, by [C-14](super::cancellation).
//! - A program with a `main` of its own that only calls [`init`](crate::init) keeps the system's default: the first
//!   signal ends it at once.
//!
//! # A single actor
//! Actors take the same four signals. The first one ends the actor in order: its functions are
//! cancelled, with [`Cancelled::Signal`](crate::error::Cancelled::Signal), clean-up and callbacks run, and it dies of
//! the signal. Its parent learns at once which actor got which signal: calls and the nursery fail with
//! [`ActorDied`](crate::ActorDied), status [`Signalled`](crate::WaitStatus::Signalled), as after any unexpected death.
//! Other callers get [`ContextCancelled`](crate::ContextCancelled) with
//! [`by_signal`](crate::ContextCancelled::by_signal). A second one, 200 ms later or more, ends the actor at once, also
//! one that computes and never waits. An actor that is already ending goes on with that: the SIGTERM of its parent
//! (C-12) does not count as a cause.
//!
//! # Job control
//! Each actor leads a process group of its own, so a terminal's signals reach the root only, and with the root's end
//! the whole tree.
//!
//! | event | the root | its actors |
//! |---|---|---|
//! | Ctrl-C, Ctrl-\ | ends in order | end with it |
//! | Ctrl-Z, then `fg` or `bg` | stops, and goes on | go on meanwhile; their messages and output wait for the root, as far as buffers go |
//! | the terminal is closed | ends in order, by SIGHUP | end with it |
//! | `program &` in an interactive shell | runs in the background; `kill %1` ends it in order | go on |
//! | SIGSTOP to all processes, later SIGCONT | goes on | go on; on one host no actor was declared dead |
//! | reading from the terminal | as any program | standard input is empty; an actor that opens `/dev/tty` is stopped (SIGTTIN) |
//! | writing to a terminal with `stty tostop` | as any program | standard error goes through the root; an actor that prints to an inherited standard output is stopped (SIGTTOU) |
//!
//! A stopped actor counts as slow: calls to it wait, and C-12 ends it. Actors on other hosts exchange heartbeats
//! ([`hosts`](super::hosts)): one that is stopped for longer than its `lease` is lost.
//!
//! # Tests `tests/it/signals`, with real processes.
