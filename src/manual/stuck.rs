//! A tree that hangs: how to find out what it waits for, from another terminal, without a debugger and without having
//! prepared for it.
//!
//! The tool is installed with `cargo install --path . --features cli`. It finds the running trees of the same user by
//! itself, with the actors that they have on other hosts. All that it shows of an actor comes from a thread of the actor's
//! process that does nothing else, so an actor in an endless loop is shown like any other. Only a process that is stopped
//! (by SIGSTOP, say) says nothing; it is named, and so is a host that is out of reach. Actors on another host are asked
//! through the process that has started them.
//!
//! # Which actor waits for which
//! `pleach ps` draws each tree, and below each actor the functions that it runs for others and those that it waits for:
//! ```text
//! ACTOR         PID   HOST  TRANSPORT  AGE    CPU    MEMORY  TASKS  CONTEXTS  STATE, LAST ERROR
//! root          4711  vm    -          2m03s  0.31s  14.2M   1      0         running
//! │  runs app::lookup for worker (1m58s)
//! │  waits for app::work in worker (1m58s)
//! └─ worker     4712  vm    uds        2m03s  0.05s  12.8M   1      0         running
//!       runs app::work for root (1m58s)
//!       waits for app::lookup in root (1m58s)
//! nothing moves, and the calls come back to an actor: root → app::work in worker → app::lookup in root
//! ```
//! The last line is about a chain of calls that comes back to an actor which waits in it, when none of them has moved for
//! a second. That is allowed, as actors serve such a call like any other. It is a deadlock if the actor holds what the
//! last function needs: here a lock that `root` holds while it calls `app::work`. A chain is followed through nurseries
//! and scopes, not through [`shield`](crate::shield) or tasks that something else than a nursery has spawned.
//!
//! # At which line
//! `pleach stacks` asks each task where it waits, and prints the frames of your own code:
//! ```text
//! process 4711: /home/ada/app/target/debug/app
//!   root: a task of app::lookup for worker (1m58s)
//!     waits in tokio::sync::mutex::Mutex<T>::lock, at
//!       app::Table::find (/home/ada/app/src/table.rs:31)
//!       app::lookup (/home/ada/app/src/main.rs:17)
//! ```
//! - Tasks are the exposed functions, the tasks of nurseries, and the body of the root. Of a `select!` or a `join!` each
//!   arm is shown. What is polled with wakers of its own, as in a `FuturesUnordered`, is shown as one wait.
//! - A task that never leaves its thread can't be asked. If one does not answer within 300 ms, the threads of its process
//!   are interrupted for a moment, and shown: an endless loop, a blocking call, a lock of the standard library.
//! - That is done by SIGURG, or SIGWINCH if the program handles that one itself; if it handles both, its threads can't be
//!   shown. The handler is installed only then, and removed at once. A system call that is interrupted is started again
//!   where the system does that; `epoll_wait`, `poll` and sleeps in C code return early with `EINTR`, as after any signal.
//! - Nothing else is changed: tasks are polled once more, and no wake-up is lost.
//! - It needs no privilege, and no debugger. The program is read from its file: with `strip = true` there is nothing to
//!   read; without debug information there are functions and no lines. `debug = "line-tables-only"` in the profile is
//!   enough. `--full` shows the frames of libraries too, `--json` is for programs.
//!
//! # And then
//! `pleach cancel NAME` asks an actor to end in order, with all below it, and waits for that. An actor in an endless loop
//! can't; with `--force` its process is killed when the time is up, and its parent learns that it has died.
//!
//! Programs can do the same: [`Process::stacks`](crate::inspect::Process::stacks),
//! [`Process::cancel`](crate::inspect::Process::cancel), [`call_chains`](crate::inspect::call_chains).
