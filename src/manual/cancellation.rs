//! What you can rely on when something is cancelled, fails, or goes away.
//!
//! An *actor* is a process; a *scope* is a region of code that can be cancelled as one; a *shield* keeps
//! code from being dropped by the scope around it; the *caller* opened a call or a context, the *callee*
//! runs its function. Bounds are settings of [`Config`](crate::Config), with these names.
//!
//! # Scopes
//! - **C-1** A cancelled scope drops its body at the body's next wait, unless a shield is held in it; then as
//!   soon as the last one is released. No code of the body runs after its scope has returned.
//! - **C-2** Cancellation is level-triggered. In a cancelled scope every primitive of this library that would have to
//!   wait returns [`Error::Cancelled`](crate::Error::Cancelled) at once, also under a
//!   [`Shield`](crate::scope::Shield) that keeps its scope from dropping it; in a [`shield`](crate::shield) none does.
//!   What is there already may still be taken, and what can be done without a wait is done. Those without an error to
//!   return just return. Only what brings something to its end (`cancel`, `close`, `shutdown`) is seen through, within
//!   the bounds that it has.
//! - **C-3** Clean-up nests inside-out: what was entered last is cleaned up first, and each clean-up runs exactly
//!   once, whether the scope was cancelled, its body failed, panicked, or was dropped.
//! - **C-4** A body that ends without having been told of the cancellation keeps its value. One that was told, by
//!   an error of a primitive, counts as cancelled, whatever value it returns. An error that is more than the echo of
//!   its cancellation is kept: by nurseries, by the blocks of contexts and streams, and by
//!   [`try_run`](crate::CancelScope::try_run). [`run`](crate::CancelScope::run) and deadlines take any future, and
//!   can't tell an error from a value.
//! - **C-5** The deadline of a scope is the nearest of its own and those around it. When it passes, the scope is
//!   cancelled as by [`cancel`](crate::CancelScope::cancel). It belongs to the scope in which its body is first polled:
//!   one that is awaited in a shield has nothing to do with what is outside of that, wherever it was written.
//! - **C-6** Dropping the future of a scope, as `select!` and `tokio::time::timeout` do, drops its body at once,
//!   shields or not. What then still owes clean-up that takes time is handed to the runtime, which does not end
//!   before it is done.
//!
//! # Task nurseries
//! - **C-7** A task belongs to the nursery in which it was started, and has ended when that returns. A closed
//!   nursery refuses to start one, with an error.
//! - **C-8** One cancels all: when a task or the body fails or panics, the others are cancelled and waited for. One
//!   failure comes out as it was; several make a group; cancellations that follow from a failure are not counted.
//!
//! # Nurseries of actors
//! - **C-9** When [`open_nursery`](crate::open_nursery) returns, no actor that was started in it, and none below
//!   those, is alive, but for one that even SIGKILL does not end (C-12). What else its actors have started has ended,
//!   too, if it stayed in their process groups; daemons, which have left those, end with the root.
//! - **C-10** An actor that dies, or whose one function fails, fails its nursery at once: the body is cancelled, the
//!   other actors are brought to their end, without waiting for a body that holds a shield, and the error says who it
//!   was and how it ended (exit status or signal, last lines of its standard error). This is so for daemons too. A crash stays one when the actor is asked to end
//!   a moment later, and one in its clean-up or in an exit callback fails its nursery as well. An actor has not failed
//!   when it left in order, asked by anybody or of its own accord, nor when its nursery had to force it (C-12).
//! - **C-11** A nursery whose body has returned waits for its actors with one function, and then for its daemons:
//!   those live until somebody cancels them.
//! - **C-12** An actor is brought to its end step by step: it is asked, and has `cancel_ack` to acknowledge and
//!   `soft_reap` to go; then comes SIGTERM; `kill_after` later SIGKILL. One that is still there `give_up_after`
//!   later, as a process is that waits for a broken disk, is left. Each step beyond asking is reported, with its
//!   reason. An actor that leaves of its own accord has `soft_reap`, too, from when it says goodbye to its parent: exit
//!   callbacks may take their time. A process to which a debugger is attached is not ended by force while it is.
//! - **C-13** A start that is given up half-way leaves nothing: what had been launched is killed and waited for.
//! - **C-14** Killing any process of a tree with SIGKILL leaves no actor below it alive, within two seconds, whatever
//!   those are doing: computing, blocking, stopped, under another user, with capabilities. Its parent gets the error of
//!   C-10. See [below](#what-ends-an-actor-whose-parent-was-killed).
//! - **C-15** Under [`supervise`](crate::Nursery::supervise) an actor's end is first judged by its strategy. Only when
//!   that gives up does C-10 hold, and the error then has the last failure in its chain.
//!
//! # Calls
//! - **C-16** A call has exactly one outcome: a value, an error of the function, or an error that says why there is
//!   none. It never waits for a peer that is gone.
//! - **C-17** A call whose scope is cancelled cancels its task in the other actor and waits, for `cancel_ack` at most,
//!   until that has ended; one that is dropped sends the request and does not wait.
//! - **C-18** The task of a cancelled call has run its clean-up before the cancellation is acknowledged.
//! - **C-19** A cancelled call is answered: with
//!   [`Error::ContextCancelled`](crate::Error::ContextCancelled), which names who asked for it.
//! - **C-20** When a connection ends, the tasks that its peer had started here are cancelled.
//! - **C-21** A deadline travels with a call as the time that remains; when it passes, the task is cancelled where it
//!   runs, also if no message of the caller comes through. What that task calls inherits what remains.
//!
//! # Contexts
//! - **C-22** Leaving [`open_context`](crate::Portal::open_context) waits for the task: for its result when the body has
//!   returned, for the acknowledgement of its cancellation when the body failed or was cancelled. A task that takes
//!   from a stream which the body has not opened gets the end of it.
//! - **C-23** The failure of the task interrupts the body, wherever that waits, and comes out at the end of the block.
//! - **C-24** The outcome of a block is the task's error, else the body's error, else the value. A failure of the
//!   clean-up does not replace an error that is on its way.
//! - **C-25** [`Error::ContextCancelled`](crate::Error::ContextCancelled) is absorbed only by the block whose context
//!   asked for the cancellation. Whoever else meets it gets it, with the actor that asked: a peer, a third actor, this
//!   actor by [`cancel_actor`](crate::Portal::cancel_actor), or the callee by itself. A result that was on its way
//!   before the request came counts instead. Where the cancellation is absorbed, other tasks of the block get the end
//!   of the stream.
//!   A block that has asked is not failed by the loss of its peer either, whether that is noticed before the request or
//!   after it: there is no task any more. Leaving the block of a one-way stream with a value is such a request. What
//!   an actor's death means is for its nursery to say (C-10).
//! - **C-26** The first value is said once, before the stream is opened and before the task returns; anything else is an
//!   error of whoever did it, and says so.
//! - **C-27** Both sides of a dialog mean the same types: inside one program the compiler holds it. Between two programs
//!   another order of fields is no difference; where names or types differ, as far as they can be traced through
//!   `Deserialize`, the opening is refused with a comparison of both declarations, and what can't be traced is an error
//!   that names the field which is missing or does not fit.
//! - **C-28** When a dialog has ended, nothing of it is kept; a message for it that comes late is ignored.
//!
//! # Streams
//! - **C-29** Messages of one direction arrive in the order in which they were sent, each once, until the receiver
//!   stops or the dialog fails.
//! - **C-30** At most `buffer` messages wait at a receiver. A sender beyond that waits, or fails with
//!   [`Error::StreamOverrun`](crate::Error::StreamOverrun), or the oldest are given up and counted, as the receiver has
//!   chosen. None is dropped silently.
//! - **C-31** A receiver that is cancelled has taken nothing; another one goes on where it was.
//! - **C-32** The end of a stream is final and the same for every receiver. Closing a stream ends neither the context nor
//!   its task.
//! - **C-33** A slow receiver holds up its own senders and nobody else: cancels, acknowledgements, calls and other
//!   contexts of the connection pass, also while large messages are under way.
//!
//! # Errors
//! - **C-34** An error keeps its type's name, message, causes and origin over any number of actors, and each that passed
//!   it on is named. An error of a registered type comes back as that type. A group keeps its members.
//! - **C-35** A panic of a task is an error of that task, with its message; it does not end the actor.
//! - **C-36** An error of an actor's runtime that belongs to no call goes to its parent, and fails the nursery there.
//! - **C-37** An error that can't be delivered is logged.
//!
//! # Processes that are not actors
//! Everything that an actor starts carries the mark of its tree, a limit of real-time computing (`RLIMIT_RTTIME`) of
//! many thousand years with a random number in it, through `fork`, `exec` and `setsid`. A process without the mark is the
//! program's own: the tree never waits for it and never signals it, whatever it is called and whichever group it is in,
//! also that of an actor.
//! - When an actor ends, marked processes in its group get SIGKILL.
//! - When the root ends, all others that are alive do, and each is reported with its command line. What is still there
//!   `kill_after` later is reported and left.
//! - Marked orphans that end meanwhile are reaped by the root, leaders of sessions among them, also if it is process 1.
//! - What the *program* orphans, not an actor, becomes the root's child and is left alone, for it can't be told from a
//!   child that the program is going to wait for. As process 1 of a container, such a program needs an init
//!   (`docker run --init`).
//! - An actor over `mem` is no process, and what it starts is the program's own. So is what an actor starts that could not
//!   be marked, because that limit was set before.
//!
//! # What ends an actor whose parent was killed
//! Three ties, each of which is enough, and none of which needs the help of another process:
//! 1. The kernel kills it (`PR_SET_PDEATHSIG`). The actor asks for that before `main`, in [`init`](crate::init), and on a
//!    thread that asks again when the C library changes the process's credentials. It works while the actor is stopped.
//! 2. That thread watches the parent's process. When it is gone, the actor has a second to end in order; then the
//!    thread kills what is in the group, and the actor. It works while the actor computes or blocks, and whatever
//!    its user; not while the actor is stopped.
//! 3. The same for the pipe from its parent, where process numbers say nothing: between PID namespaces.
//!
//! So one thing can outlive a killed parent: an actor that is stopped *and* may not be signalled by its parent, because
//! it runs a set-user-id program of another user, or has given up a user that the parent does not stand above. It ends
//! a second after it is continued, or when a root that is still there ends in order.
//!
//! # What is not promised
//! - A task that never waits can't be cancelled; its actor is ended by C-12 when that is asked to go.
//! - Whether a function ran, when its connection was lost before it answered: nothing is sent twice.
//! - A root that is killed with SIGKILL can't report, and ends nothing but by its own end: all actors below it end
//!   (C-14), while a program that an actor had started may survive it, in the actor's group or out of it.
