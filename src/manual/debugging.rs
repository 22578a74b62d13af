//! The debugger: a tree of processes that stops where you want to look, and one terminal for all of them.
//!
//! ```text
//! $ PLEACH_DEBUG_MODE=1 cargo run
//! worker: thread 'main' panicked at src/orders.rs:34:5: order 7 wants 14, and the limit is 3
//!
//! ── root/worker (pid 4711) panicked: order 7 wants 14, and the limit is 3
//!    at src/orders.rs:34:5
//!       34 ->     assert!(wanted < limit, "order {} wants {wanted}, and the limit is {limit}", order.id);
//!    `help` lists the commands
//! (pleach) worker> bt
//! #0   orders::total
//!       at src/orders.rs:34
//! #1   orders::price_of
//!       at src/orders.rs:27
//! (pleach) worker> gdb
//! (gdb) info locals
//! wanted = 14
//! limit = 3
//! ```
//!
//! # What stops
//! - [`pause().await`](crate::pause), and [`pause_from_sync`](crate::pause_from_sync) in code that is not async: always.
//! - [`post_mortem(&error).await`](crate::post_mortem): always, with the error.
//! - In debug mode, each function of an actor that panics or returns an error, and the root's own body. It is set for a
//!   tree with [`Config::debug_mode`](crate::Config::debug_mode), `debug_mode = true` in `pleach.toml` or
//!   `PLEACH_DEBUG_MODE=1`; and for one actor, and those below it, with [`Start::debug_mode`](crate::Start::debug_mode).
//!   A panic that the program catches itself stops nothing, nor does a cancellation.
//!
//! A panic stops before it unwinds, and a pause inside of the task: the stack is there. An error has left the function
//! that made it; its causes are shown, and its frames are gone. When it goes on, the error goes to the parent, which
//! shows it once more on its way, and so each level up to the root.
//!
//! The thread that stops stands still, and on an async runtime of one thread, which is the default, all tasks of that
//! actor. Everything else goes on.
//!
//! # The prompt
//! It opens in the terminal of the root's process, whichever actor it is that stops; several take turns, in the order
//! in which they came. `help` lists the commands, `help bt` explains one, and the beginning of a name is enough.
//!
//! | command | |
//! |---|---|
//! | `where`, `list`, `error`, `bt [all]` | the place, the source around it, the error with its causes, the stack |
//! | `tree`, `actors` | the whole tree, asked at this moment |
//! | `tasks`, `contexts`, `peers` | what runs in this actor, its dialogs, its connections |
//! | `log [N]` | what came from the other actors meanwhile |
//! | `call FN ARGS` | runs a function of this actor with arguments in JSON: `call add 1 2` |
//! | `gdb`, `lldb` | a native debugger on this very process, in this terminal, with your frame selected |
//! | `continue`, Ctrl-D | lets it go on |
//! | `cancel` | asks this actor to end, and lets it go on |
//! | `quit` | ends the whole program in order |
//!
//! What the library writes to the terminal meanwhile, records and the relayed output of actors, appears above the line
//! that you type. In debug mode the standard output of an actor is relayed, unless its start says otherwise; what the
//! root itself prints goes where it always goes.
//!
//! Ctrl-C at the prompt ends nothing; while a command runs, it gives that up, and in `gdb` it is `gdb`'s. Ctrl-Z stops
//! the program as ever, and `fg` brings it back. SIGTERM asks the program to end, once the prompt is left; a second one
//! ends it at once. The terminal is left as it was found.
//!
//! # While an actor stands still
//! Each actor above it knows, at any depth, for as long as its process lives. No request, acknowledgement, exit or
//! connection of that branch counts as late, and no signal is sent to it; afterwards each patience begins again. A
//! request to end it is heard when it goes on. An actor that is killed at its prompt makes room for the next one.
//!
//! # On other hosts
//! An actor that `ssh` or Slurm has started stops like any other, at any depth and over any number of hosts: the prompt
//! is the root's, shows the host, and takes turns with all others. What is said goes over the login; nothing listens on
//! a network for it. The actors that wait are those above it, on every host, and those that it has started itself on
//! other hosts. A sibling on another host that is connected with it directly does not know that it stands still, and
//! gives that connection up after its patience ([`Config::dead_after`](crate::Config::dead_after)).
//!
//! A native debugger must run where the process is: `gdb` at the prompt says what to type in another terminal,
//! `ssh node2 -t gdb -p 4711`. The end of the login, or of a process on the way, lets the actor go on.
//!
//! # Variables
//! Cargo's usual profile has them. A profile with `debug = "line-tables-only"` or `debug = false` has none: set
//! `debug = 2` for the packages that you debug. `cargo run -p debugging -- panic` in this repository tries it.
//! A debugger needs the right to attach: where the system refuses, the prompt says why, and `pleach doctor` looks ahead.
//!
//! # Without a terminal
//! A program has the terminal if it can open `/dev/tty` and is in its foreground. Otherwise nothing stops: a record at
//! the level of warnings says what would have stopped and where. `pleach attach NAME` gives a running program a terminal
//! to show its actors in, from then on; the tool must run as the same user, or as root.
//!
//! An actor that has changed its user does not stop either: the processes above it would not wait for it.
//!
//! All of this is the package's feature `debugger`, which is on by default. A release without it has no prompt:
//! [`pause`](crate::pause) does not exist there, and debug mode changes nothing.
