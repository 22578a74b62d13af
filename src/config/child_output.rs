//! What becomes of the standard output and the standard error of an actor.

use serde::{Deserialize, Serialize};

/// What becomes of an output of an actor's process: its standard output, or its standard error.
///
/// The rule is the same for actors on this host and on others. `stdout` and `stderr` of [`Config`](crate::Config) set
/// it for all actors, [`Start::stdout`](crate::Start::stdout) and [`Start::stderr`](crate::Start::stderr) for one. By
/// default an actor's standard output is that of its parent ([`Inherit`](Self::Inherit)), and its standard error is
/// relayed ([`Relay`](Self::Relay)). An actor on a thread (`mem`) shares the outputs of its process.
///
/// An actor below another one writes to that one's outputs: `Relay` gives its lines the names on the way to the root,
/// `worker: leaf: said`, and what a parent's `Null` discards, it discards for all below it.
///
/// ```
/// # #[pleach::main]
/// # async fn main() -> pleach::Result<()> {
/// use pleach::ChildOutput;
///
/// pleach::open_nursery(async |n| {
///     let worker = n.start_actor("worker").stdout(ChildOutput::Relay).stderr(ChildOutput::Null).await?;
///     worker.cancel_actor().await
/// })
/// .await
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChildOutput {
    /// Goes where the parent's own goes, byte for byte.
    ///
    /// If that is a pipe to another program, the actor writes into that pipe as well: lines of several processes may
    /// be torn, and a reader that parses them sees what it does not expect. Use `Relay` to have whole lines with names,
    /// or `Null`. When the reader leaves, an actor on this host gets an error from its next write, as its parent does:
    /// `println!` panics then, which fails the function that printed; no signal (SIGPIPE) ends the process. The parent
    /// does not see the last lines of a standard error that it does not read, so [`ActorDied`](crate::ActorDied) lacks
    /// them. The outputs of an actor on another host pass through the parent even so, and are as bounded as with
    /// `Relay`.
    Inherit,
    /// Goes through the parent, as whole lines with the actor's name in front: `worker: said`. A log record that names
    /// the actor already is left as it is.
    ///
    /// A line of more than 64 KiB is passed on in pieces. If the reader of the parent's output is slow, an actor that
    /// writes more waits. Once nothing at all was read for a second, further lines are dropped, and standard error says
    /// how many; but those that an actor without heartbeats writes to standard output are data, and wait. When the
    /// reader of standard output leaves, the rest is discarded, standard error says so, and the actors live on.
    Relay,
    /// Is discarded. Of a standard error, that includes the actor's log records and what it says before it dies.
    Null,
}

/// The outputs of one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChildOutputs {
    pub(crate) stdout: ChildOutput,
    pub(crate) stderr: ChildOutput,
}
