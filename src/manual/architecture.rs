//! How it works inside: five journeys, station by station.
//!
//! For readers of the source: each station is a link to the item that does it, and the links work in documentation
//! that was built with `--document-private-items`. `cargo run -p xtask -- journey` counts the files and lines of each
//! journey.
//!
//! # A call
//! From `portal.run(add(1, 2)).await` to the first line of `add` in the other process.
//! 1. [`call`](crate::rpc::call::call): what the macro made of `add` keeps the arguments, for either side.
//! 2. [`Call::send`](crate::rpc::call::Call::send) adds the schema of the function and the deadline of the scope.
//! 3. [`Channel::call`](crate::channel::Channel::call) makes the guard that cancels the task if the caller goes away.
//! 4. [`Session::call`](crate::proto::session::Session::call) gives the call its id, and says on which lane it goes.
//! 5. [`Framed`](pleach_wire::framed::Framed) encodes it into the buffer of the connection, once.
//! 6. There, the message loop [`run`](crate::channel::driver::run) reads a batch of messages.
//! 7. [`Session::handle_msg`](crate::proto::session::Session::handle_msg) finds that it is a request.
//! 8. [`dispatch`](crate::runtime::dispatch) starts a task for it, in a cancel scope of its own.
//! 9. [`AllowList::find`](crate::rpc::allow_list::AllowList::find) checks that the function is exposed here.
//! 10. [`Request::start`](crate::rpc::request::Request::start) makes the task, which decodes the
//!     arguments: large ones on a [thread for blocking work](crate::decode).
//!
//! # An answer
//! From the value that `add` returns to the caller's next line.
//! 1. [`answered`](crate::rpc::answer::answered) waits for the function in its task.
//! 2. [`Channel::answer`](crate::channel::Channel::answer) sends what the session says.
//! 3. [`Session::finish`](crate::proto::session::Session::finish) ends the task: its answer, then what is owed after it.
//! 4. [`Framed`](pleach_wire::framed::Framed) encodes the value.
//! 5. Here, the message loop [`run`](crate::channel::driver::run) reads it.
//! 6. [`Session::handle_msg`](crate::proto::session::Session::handle_msg) finds the call that it answers.
//! 7. [`Pending::answer`](crate::channel::Pending::answer) wakes with the undecoded value.
//! 8. [`Call::run_over`](crate::rpc::call::Call::run_over) decodes it.
//!
//! # A cancel
//! From `scope.cancel()` around a call to the acknowledgement of the remote task's end.
//! 1. [`CancelScope::cancel`](crate::scope::CancelScope::cancel) marks the scope, and wakes what waits in it.
//! 2. [`Pending::answer`](crate::channel::Pending::answer) wakes in its wait for the answer.
//! 3. [`Pending::cancel`](crate::channel::Pending::cancel) sends the request, and waits for the acknowledgement.
//! 4. [`Session::cancel`](crate::proto::session::Session::cancel) keeps its deadline, the only clock for it.
//! 5. There, [`Session::handle_msg`](crate::proto::session::Session::handle_msg) finds the running task.
//! 6. The message loop [`run`](crate::channel::driver::run) cancels the scope of the task, and goes on.
//! 7. [`CancelScope::run`](crate::scope::CancelScope::run) drops the task, unless it is shielded.
//! 8. [`Answer`](crate::rpc::answer::Answer) was in the task: dropping it says that the task was cancelled.
//! 9. [`Session::finish`](crate::proto::session::Session::finish) sends the acknowledgement behind that answer.
//! 10. Here, [`Channel::acknowledged`](crate::channel::Channel::acknowledged) wakes, or finds it overdue.
//!
//! # A spawn
//! From `n.start_actor("worker").await` to a portal.
//! 1. [`Nursery::start_actor`](crate::nursery::Nursery::start_actor) collects the options.
//! 2. [`start`](crate::spawn::start::start) checks them, listens, expects the child, and waits for it.
//! 3. [`ActorSpec`](crate::runtime::actor_spec::ActorSpec) is all that the child has to know.
//! 4. [`Processes`](crate::spawn::process::Processes) starts this program again, with the spec in its standard input.
//! 5. There, [`init`](crate::spawn::entry::init) takes over before the rest of `main`, and runs the actor.
//! 6. [`ties`](crate::os::ties), and a watchdog, which also tells others what runs here ([`inspect`](crate::inspect)),
//!    bind its life to that of its parent.
//! 7. [`Runtime::connect_to_parent`](crate::runtime::Runtime::connect_to_parent) dials the parent's addresses.
//! 8. [`handshake`](crate::channel::handshake) proves that both belong to the tree.
//! 9. Here, [`Runtime::serve_connection`](crate::runtime::Runtime::serve_connection) accepts it, and finds that it is
//!    expected.
//! 10. [`ChildHandle`](crate::portal::ChildHandle) is what the nursery watches, and the portal holds.
//!
//! # An error
//! From a function that returns `Err` to its caller, in whatever type.
//! 1. [`Outcome`](crate::rpc::answer::Outcome) takes the error out of the function's result, with its type's name.
//! 2. [`Channel::answer_failure`](crate::channel::Channel::answer_failure) prefers the cancellation that it follows
//!    from.
//! 3. [`Packed::new`](crate::error::Packed::new) keeps message, causes, origin and backtrace for the wire.
//! 4. [`Session::finish`](crate::proto::session::Session::finish) sends it, before what is owed after it.
//! 5. Here, [`Session::handle_msg`](crate::proto::session::Session::handle_msg) finds the call that it answers.
//! 6. [`Channel::answered`](crate::channel::Channel::answered) reads it.
//! 7. [`Packed::unpack`](crate::error::Packed::unpack) adds the peer to the actors that it came through.
//! 8. [`told`](crate::channel::explain::told) waits for the end of the peer's process, if that explains more.

#![allow(rustdoc::private_intra_doc_links, reason = "for readers of the source")]
