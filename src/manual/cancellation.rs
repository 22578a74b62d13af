//! The guarantees when something is cancelled, fails, or disconnects.
//!
//! An *actor* is a process; a *scope* is a region of code that can be cancelled as one; a *shield* keeps code from
//! being dropped by the enclosing scope; the *caller* opened a call or a context, the *callee* runs its function.
//! Bounds are settings of [`Config`](crate::Config), with these names.
//!
//! # Scopes
//! - **C-1** A cancelled scope drops its body at the body's next wait, or, if shields are held in it, as soon as the
//!   last one is released. No code of the body runs after its scope has returned.
//! - **C-2** Cancellation is level-triggered. In a cancelled scope every primitive of this library that would have to
//!   wait returns [`Error::Cancelled`](crate::Error::Cancelled) at once, also under a [`Shield`](crate::scope::Shield)
//!   that keeps its scope from dropping it; in a [`shield`](crate::shield) none does. Values that have arrived may
//!   still be taken, and steps that need no wait are done. Primitives that return no error just return. Only those that
//!   end something (`cancel`, `close`, `shutdown`) complete, within their own bounds.
//! - **C-3** Clean-up nests inside-out: the last entered is cleaned up first, and each clean-up runs exactly
//!   once, whether the scope was cancelled, its body failed, panicked, or was dropped.
//! - **C-4** A body that ends without having noticed the cancellation keeps its value. One that got it as an error of a
//!   primitive counts as cancelled, whatever value it returns. An error other than the echo of the cancellation is
//!   kept: by nurseries, by the blocks of contexts and streams, and by [`try_run`](crate::CancelScope::try_run).
//!   [`run`](crate::CancelScope::run) and deadlines take any future, and can't tell an error from a value.
//! - **C-5** The deadline of a scope is the nearest of its own and those of the enclosing scopes. When it passes, the
//!   scope is cancelled as by [`cancel`](crate::CancelScope::cancel). It belongs to the scope in which its body is
//!   first polled: one that is awaited in a shield is independent of the scopes outside of the shield, wherever it was
//!   written.
//! - **C-6** Dropping the future of a scope, as `select!` and `tokio::time::timeout` do, drops its body at once,
//!   shields or not. Clean-up that is still owed and takes time is handed to the runtime, which does not end before it
//!   is done.
//!
//! # Task nurseries
//! - **C-7** A task belongs to the nursery in which it was started, and has ended when that returns. A closed
//!   nursery refuses to start one, with an error.
//! - **C-8** One cancels all: when a task or the body fails or panics, the others are cancelled and waited for. One
//!   failure comes out unchanged; several make a group; cancellations that follow from a failure are not counted.
//!
//! # Nurseries of actors
//! - **C-9** When [`open_nursery`](crate::open_nursery) returns, no actor that was started in it, and none below those,
//!   is alive, except one that survives SIGKILL (C-12). Other processes that its actors have started have ended, too,
//!   if they stayed in their process groups; daemons, which left those groups, end with the root.
//! - **C-10** An actor that dies, or whose one function fails, fails its nursery at once: the body is cancelled, the
//!   other actors are ended, without waiting for a body that holds a shield, and the error names the actor and says how
//!   it ended (exit status or signal, last lines of its standard error). This includes daemons. A crash remains a crash
//!   when the actor is asked to end a moment later, and a crash in its clean-up or in an exit callback fails its
//!   nursery as well. An actor that left in order, by itself or on request, or that its nursery had to kill (C-12), has
//!   not failed.
//! - **C-11** A nursery whose body has returned waits for its actors with one function, and then for its daemons, which
//!   live until they are cancelled.
//! - **C-12** An actor is ended step by step: it is asked, and has `cancel_ack` to acknowledge and `soft_reap` to exit;
//!   then it gets SIGTERM; `kill_after` later SIGKILL. One that still exists `give_up_after` later, such as a process
//!   that waits for a broken disk, is abandoned. Each escalation is reported, with its reason. An actor that leaves by
//!   itself has `soft_reap`, too, from its goodbye to its parent: exit callbacks may take their time. A process is not
//!   killed while a debugger is attached to it.
//! - **C-13** A start that is cancelled half-way leaves nothing: what it launched is killed and waited for.
//! - **C-14** Killing any process of a tree with SIGKILL leaves no actor below it alive after two seconds, whatever
//!   state those are in: computing, blocking, stopped, under another user, with capabilities. Its parent gets the error
//!   of C-10. See [below](#how-an-actor-ends-whose-parent-was-killed).
//! - **C-15** Under [`supervise`](crate::Nursery::supervise) its strategy handles an actor's end first. C-10 applies
//!   only when the strategy gives up, and the error then has the last failure in its chain.
//!
//! # Calls
//! - **C-16** A call has exactly one outcome: a value, an error of the function, or an error that says why neither
//!   arrived. It never waits for a peer that has disconnected.
//! - **C-17** A call whose scope is cancelled cancels its task in the other actor and waits, for `cancel_ack` at most,
//!   until that has ended; one that is dropped sends the request and does not wait.
//! - **C-18** The task of a cancelled call has run its clean-up before the cancellation is acknowledged.
//! - **C-19** A cancelled call is answered with [`Error::ContextCancelled`](crate::Error::ContextCancelled), which
//!   names the actor that cancelled it.
//! - **C-20** When a connection ends, the tasks that its peer had started here are cancelled.
//! - **C-21** A deadline travels with a call as the time that remains; when it passes, the task is cancelled where it
//!   runs, also if no message of the caller comes through. That task's own calls inherit the remaining time.
//!
//! # Contexts
//! - **C-22** Leaving [`open_context`](crate::Portal::open_context) waits for the task: for its result when the body
//!   has returned, for the acknowledgement of its cancellation when the body failed or was cancelled. A task that
//!   receives from a stream which the body has not opened gets the end of it.
//! - **C-23** The failure of the task interrupts the body, wherever it waits, and comes out at the end of the block.
//! - **C-24** The outcome of a block is the task's error, else the body's error, else the value. A failure of the
//!   clean-up does not replace an error that is already being returned.
//! - **C-25** [`Error::ContextCancelled`](crate::Error::ContextCancelled) is absorbed only by the block whose context
//!   asked for the cancellation. All others get it, with the actor that asked: a peer, a third actor, this actor by
//!   [`cancel_actor`](crate::Portal::cancel_actor), or the callee by itself. A result that was sent before the request
//!   arrived counts instead. Where the cancellation is absorbed, other tasks of the block get the end of the stream.
//!   The loss of its peer does not fail a block that has asked either, whether it is noticed before the request or
//!   after it: the task no longer exists. Leaving the block of a one-way stream with a value is such a request. What an
//!   actor's death means is for its nursery to decide (C-10).
//! - **C-26** The first value is sent once, before the stream is opened and before the task returns; anything else is
//!   an error at the side that did it, and says so.
//! - **C-27** Both sides of a dialog use the same types: inside one program the compiler ensures it. Between two
//!   programs the order of fields does not matter; where names or types differ, as far as they can be traced through
//!   `Deserialize`, the opening is refused with a comparison of both declarations, and a difference that can't be
//!   traced is an error that names the missing or unfitting field.
//! - **C-28** When a dialog has ended, nothing of it is kept; a late message for it is ignored.
//!
//! # Streams
//! - **C-29** Messages of one direction arrive in the order in which they were sent, each once, until the receiver
//!   stops or the dialog fails.
//! - **C-30** At most `buffer` messages wait at a receiver. A sender beyond that waits, or fails with
//!   [`Error::StreamOverrun`](crate::Error::StreamOverrun), or the oldest are dropped and counted, as the receiver has
//!   chosen. None is dropped silently.
//! - **C-31** A receiver that is cancelled has taken nothing; another one continues where it was.
//! - **C-32** The end of a stream is final and the same for every receiver. Closing a stream ends neither the context nor
//!   its task.
//! - **C-33** A slow receiver holds up its own senders only: cancels, acknowledgements, calls and other
//!   contexts of the connection pass, also while large messages are under way.
//!
//! # Errors
//! - **C-34** An error keeps its type's name, message, causes and origin over any number of actors, and names each that
//!   passed it on. An error of a registered type comes back as that type. A group keeps its members.
//! - **C-35** A panic of a task is an error of that task, with its message; it does not end the actor.
//! - **C-36** An error of an actor's runtime that belongs to no call goes to its parent, and fails the nursery there.
//! - **C-37** An error that can't be delivered is logged.
//!
//! # Processes that are not actors
//! Everything that an actor starts carries the mark of its tree, real-time limits (`RLIMIT_RTTIME`) of many thousand
//! years with random numbers in them, through `fork`, `exec` and `setsid`. A process without the mark is the program's
//! own: the tree never waits for it and never signals it, whatever its name and group, even an actor's group.
//! - When an actor ends, marked processes in its group get SIGKILL.
//! - When the root ends, it kills all others, and reports each with its command line. A process that still exists
//!   `kill_after` later is reported and abandoned.
//! - The root reaps marked orphans that end meanwhile, session leaders included, also if it is process 1.
//! - A process that the *program* orphans, not an actor, becomes the root's child and is left alone, for it can't be
//!   distinguished from a child that the program is going to wait for. As process 1 of a container, such a program
//!   needs an init (`docker run --init`). When the last root of the program has ended, its orphans go where they went
//!   before.
//! - An actor over `mem` is a thread, and the processes that it starts are the program's own. So are those of an actor
//!   that could not be marked because that limit was set before.
//!
//! # How an actor ends whose parent was killed
//! Three mechanisms, each of them sufficient and independent of other processes:
//! 1. The kernel kills it (`PR_SET_PDEATHSIG`). The actor asks for that before `main`, in [`init`](crate::init), and on a
//!    thread that asks again when the C library changes the process's credentials. It works while the actor is stopped.
//! 2. That thread watches the parent's process. When the parent has exited, the actor has a second to end in order;
//!    then the thread kills its process group, and the actor. It works while the actor computes or blocks, and whatever
//!    its user; not while the actor is stopped.
//! 3. The same for the pipe from its parent, where process ids are meaningless: between PID namespaces.
//!
//! So one thing can outlive a killed parent: an actor that is stopped *and* may not be signalled by its parent, because
//! it runs a set-user-id program of another user, or has changed to a user whose processes the parent may not signal.
//! It ends a second after it is continued, or when a surviving root ends in order.
//!
//! # The story of a cancellation
//! With `PLEACH_LOG=cancel` each actor records its part in each cancellation, once: the caller that it has cancelled a
//! call, a context or a stream, the callee that a task was cancelled, a nursery that its actors are ended, a parent how
//! each child has ended, an actor that it has ended. A record says who or why, the outcome, and how long that took. Here,
//! `imports` and `reports` have one actor each below that reads, and `imports` also one that panics. The failure climbs
//! to the root, which ends `reports`, where a call is under way:
//!
//! ```text
//! 09:30:00.047 DEBUG [imports 101] pleach::cancel: a child failed: cancelled its nursery
//!         error=actor `parser` (pid 104): panicked: line 7 has no price at src/import.rs:27:5
//! 09:30:00.047 DEBUG [imports/reader 103] pleach::cancel: a task was cancelled
//!         function=shop::read outcome=stopped took=106µs by=actor `imports` (pid 101) why=its actor is shutting down
//! 09:30:00.048 DEBUG [imports/reader 103] pleach::cancel: this actor was asked to end, and has
//!         took=2.08ms by=actor `imports` (pid 101)
//! 09:30:00.056 DEBUG [imports/parser 104] pleach::cancel: this actor was asked to end, and has
//!         took=7.18ms by=actor `imports` (pid 101)
//! 09:30:00.061 DEBUG [imports 101] pleach::cancel: a child has ended
//!         child=actor `reader` (pid 103) how=ended on request took=15.0ms status=exited with code 0
//! 09:30:00.065 DEBUG [imports 101] pleach::cancel: a child has ended
//!         child=actor `parser` (pid 104) how=ended on request took=19.3ms status=exited with code 0
//! 09:30:00.067 DEBUG [root 100] pleach::cancel: a child failed: cancelled its nursery
//!         error=actor `parser` (pid 104): panicked: line 7 has no price at src/import.rs:27:5
//! 09:30:00.071 DEBUG [imports 101] pleach::cancel: this actor was asked to end, and has
//!         took=2.64ms by=actor `root` (pid 100)
//! 09:30:00.072 DEBUG [reports/printer 105] pleach::cancel: a task was cancelled
//!         function=shop::read outcome=stopped took=140µs why=its caller actor `reports` (pid 102) cancelled it
//! 09:30:00.073 DEBUG [reports 102] pleach::cancel: cancelled a call
//!         function=shop::read peer=actor `printer` (pid 105) outcome=acknowledged took=3.44ms
//!         why=its actor is shutting down
//! 09:30:00.077 DEBUG [reports 102] pleach::cancel: cancelled a nursery
//!         children=1 why=its actor is shutting down
//! 09:30:00.083 DEBUG [reports/printer 105] pleach::cancel: this actor was asked to end, and has
//!         took=4.62ms by=actor `reports` (pid 102)
//! 09:30:00.087 DEBUG [reports 102] pleach::cancel: a child has ended
//!         child=actor `printer` (pid 105) how=ended on request took=9.60ms status=exited with code 0
//! 09:30:00.088 DEBUG [reports 102] pleach::cancel: a task was cancelled
//!         function=shop::report outcome=stopped took=18.1ms by=actor `root` (pid 100) why=its actor is shutting down
//! 09:30:00.090 DEBUG [root 100] pleach::cancel: a child has ended
//!         child=actor `imports` (pid 101) how=ended on request took=22.5ms status=exited with code 0
//! 09:30:00.091 DEBUG [reports 102] pleach::cancel: this actor was asked to end, and has
//!         took=21.9ms by=actor `root` (pid 100)
//! 09:30:00.098 DEBUG [root 100] pleach::cancel: a child has ended
//!         child=actor `reports` (pid 102) how=ended on request took=28.3ms status=exited with code 0
//! ```
//! An outcome of the caller's is `acknowledged`, `finished first`, `failed`, `gone` (its connection), `not awaited` (the
//! code was dropped), or, as a warning, `not acknowledged in time`. Signals and escalations are warnings as well.
//!
//! # Not guaranteed
//! - A task that never waits can't be cancelled; C-12 ends its actor when that is asked to end.
//! - Whether a function ran, when its connection was lost before it answered: nothing is sent twice.
//! - A root that is killed with SIGKILL can't report or kill: all actors below it end (C-14), while a program that an
//!   actor had started may survive, in the actor's group or out of it. `pleach reap` finds it by its mark, and
//!   [`leftovers`](crate::leftovers) does.
