//! Children on other hosts: the common part of the engines that start them.
//!
//! An engine starts this program there as a [`agent`] and connects the agent's standard streams with
//! this process. The agent starts the actor; the rest is a conversation:
//!
//! ```text
//! this process                                        the agent
//!   its input:   instructions (length, msgpack) ─────►  starts the actor
//!                `t`, `k` ────────────────────────────►  SIGTERM, SIGKILL to the actor's group
//!                `n` ─────────────────────────────────►  its report of the actor's end has come
//!                `f`, a frame (length, bytes) ─────────►  the probe's connections, in both directions: see `mux.rs`
//!                end of file ─────────────────────────►  the parent has died: ends the actor
//!   ◄──────────── `pleach: exited 3`, `pleach> 5 hello`  its output: how the actor ended, its standard output,
//!                 `pleach= 9 …`                           and frames
//!   ◄──────────── the actor's standard error              its standard error
//! ```
//! Secrets go over the input, never into arguments, variables or files. Other output of the login is ignored; see
//! [`output`].
//!
//! | file | station |
//! |---|---|
//! | this one | this side of the conversation |
//! | [`agent`] | the other side |
//! | [`output`] | what the agent says |
//! | [`apart`] | the async runtime of the conversations |
//! | [`mux`], [`frame`] | the probe's connections, over the conversation |
//! | [`starter`], [`gate`] | those connections, at this side and at the agent's |
//!
//! # Invariants
//! 1. Waiting for the end of such a child takes no longer than the engine's connection lasts, or [`ANSWER`] after the
//!    order to kill it: the child then ends by its lease, or by the end of file.
//! 2. Only an agent's report is a child's end. Without it, the child counts as lost and perhaps alive.
//! 3. The connection's end is looked at after all output. The end of a program overtakes what it has printed, and `ssh`
//!    drops what it has not passed on by the time its user takes note of the end.

pub(super) mod agent;
pub(super) mod apart;
mod frame;
mod gate;
mod mux;
mod output;
mod starter;

use std::path::PathBuf;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::FramedRead;

use self::frame::MAX_FRAME;
use self::mux::Mux;
use self::output::{FromAgent, Said};
use super::{Exit, Launched, Process, Signal};
use crate::config::{ChildOutput, ChildOutputs, Host};
use crate::error::WaitStatus;
use crate::os::relay::{Destination, Lines, Relay, ToStderr, ToStdout};
use crate::runtime::actor_spec::ActorSpec;

/// The first message to an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Instructions {
    pub(super) spec: ActorSpec,
    pub(super) env: Vec<(String, String)>,
    /// The actor's working directory; by default, the agent's.
    pub(super) directory: Option<PathBuf>,
    /// The command that ends what was made for the actor, such as a job; the agent runs it if the parent can't.
    pub(super) clean_up: Option<Vec<String>>,
}

/// An agent that an engine has started. Dropping it closes the engine's connection.
pub(super) struct Link {
    pub(super) input: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) output: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) errors: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves when the engine's connection has ended, with the engine's reason. The outputs may end with it.
    pub(super) over: BoxFuture<'static, String>,
}

/// Has an agent start an actor.
///
/// # Errors
/// Says why not.
pub(super) fn converse(link: Link, host: &Host, instructions: &Instructions) -> Result<Launched, String> {
    let encoded = rmp_serde::to_vec_named(instructions).map_err(|error| format!("it can't be described: {error}"))?;
    let length = u32::try_from(encoded.len()).map_err(|_| "too many modules are enabled".to_owned())?;
    let mut unsent = BytesMut::with_capacity(4 + encoded.len());
    unsent.put_u32_le(length);
    unsent.put_slice(&encoded);
    let (process, exited, orders) = Process::new(None);
    let ActorSpec { name, outputs, ancestors, setup, .. } = &instructions.spec;
    let connections = starter::serve(&host.to_string(), ancestors.clone());
    let is_ours = setup.program.is_none();
    let conversation = keep(link, unsent, name.clone(), *outputs, connections, orders);
    let conversation = async move { super::report(&exited, conversation.await, is_ours).await };
    let keeper = Box::pin(async move {
        if let Err(why) = apart::run(conversation).await {
            warn!(target: "pleach::runtime", %why, "an actor on another host is left alone");
        }
    });
    Ok(Launched { process, keeper })
}

/// Passes an output on with the actor's name in front, or as it is.
fn lines<D: Destination>(output: ChildOutput, name: &str, to: D) -> Lines<D> {
    if output == ChildOutput::Inherit { Lines::plain(to) } else { Lines::named(name, to) }
}

/// Relays the actor's outputs and carries out signals, to the end of the conversation; returns that of the actor.
async fn keep(
    link: Link,
    mut unsent: BytesMut,
    name: String,
    outputs: ChildOutputs,
    mut connections: Mux,
    mut orders: mpsc::Receiver<Signal>,
) -> Exit {
    let Link { mut input, output, errors, over } = link;
    let mut output = FramedRead::new(output, FromAgent::default());
    let mut stdout = lines(outputs.stdout, &name, ToStdout::unless_stalled());
    let mut stderr = Relay::new(Some(errors), lines(outputs.stderr, &name, ToStderr));
    let (mut end, mut output_is_open, mut deadline) = (None, true, None);
    while output_is_open {
        tokio::select! {
            biased;
            // What was read has to be taken first.
            said = output.next(), if !stdout.are_waiting() => match said {
                Some(Ok(Said::End { status, core_dump })) => {
                    end = Some((status, core_dump));
                    unsent.put_u8(NOTED);
                    sooner(&mut deadline, LAST_WORDS);
                }
                Some(Ok(Said::Output(piece))) => stdout.push(&piece),
                Some(Ok(Said::Frame(frame))) => connections.take(&frame),
                Some(Ok(Said::Other(line))) => debug!(target: "pleach::runtime", actor = name, line, "output at its host"),
                Some(Err(_)) | None => output_is_open = false,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            Some(order) = orders.recv() => {
                unsent.put_slice(letter(order));
                if order == Signal::Kill {
                    sooner(&mut deadline, ANSWER);
                }
            }
            written = input.write_buf(&mut unsent), if !unsent.is_empty() => {
                if written.is_err() {
                    unsent.clear(); // the connection has ended, and `over` says why
                }
            }
            frame = connections.next(), if unsent.len() < MAX_FRAME => {
                unsent.put_u8(FRAME);
                unsent.put_u32_le(frame.len() as u32);
                unsent.put_slice(&frame);
            }
            () = stdout.hand_over(), if stdout.are_waiting() => {}
            () = stderr.run() => {}
        }
    }
    drop(connections); // an actor that was shown is gone, or goes on
    if !output_is_open {
        let _ = timeout(LAST_WORDS, stderr.pass_on_all()).await; // a process that it had started may hold it open
    }
    let (_, mut stderr) = tokio::join!(stdout.finish(), stderr.finish());
    let why = if output_is_open { silent(over) } else { reason(over).await };
    stderr.extend(end.is_none().then_some(why));
    let seen = end.is_some();
    let (status, core_dump) = end.unwrap_or((WaitStatus::Unknown, None)); // invariant 2
    drop(input);
    Exit { stderr, core_dump, seen, ..Exit::with(status) }
}

/// Waits for the engine's reason for the end of the connection (invariant 3).
async fn reason(over: BoxFuture<'static, String>) -> String {
    let none = |_| format!("its output has ended, and {ANSWER:?} later nothing has said why");
    timeout(ANSWER, over).await.unwrap_or_else(none)
}

/// Gives up an engine whose agent was to kill the actor.
fn silent(over: BoxFuture<'static, String>) -> String {
    drop(over);
    format!("its host did not answer within {ANSWER:?} of the order to kill it")
}

fn sooner(deadline: &mut Option<Instant>, patience: Duration) {
    let at = Instant::now() + patience;
    *deadline = Some(deadline.map_or(at, |before| before.min(at)));
}

/// How a signal is written to an agent.
const fn letter(signal: Signal) -> &'static [u8] {
    match signal {
        Signal::Terminate => b"t",
        Signal::Kill => b"k",
        // The end of file says that.
        Signal::Release => b"",
    }
}

fn parse_signal(letter: u8) -> Option<Signal> {
    [Signal::Terminate, Signal::Kill].into_iter().find(|signal| self::letter(*signal) == [letter])
}

/// A frame comes next.
const FRAME: u8 = b'f';

/// Tells an agent that its report has come.
const NOTED: u8 = b'n';

/// How long an agent may take to report the end of an actor that was to be killed, and an engine to say why there is no
/// report.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the output may stay open after the report of the actor's end, and its standard error after its output.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn signals_come_back_as_they_were_written() {
        assert_eq!((parse_signal(b't'), parse_signal(b'k')), (Some(Signal::Terminate), Some(Signal::Kill)));
        assert_eq!(parse_signal(b'\n'), None);
    }

    /// A conversation with an agent that says `output` and `errors`, and whose connection ends as `over` says.
    async fn end_of(
        output: impl AsyncRead + Send + Unpin + 'static,
        errors: &'static str,
        over: BoxFuture<'static, String>,
    ) -> Exit {
        let (output, errors) = (Box::new(output), Box::new(errors.as_bytes()));
        let link = Link { input: Box::new(tokio::io::sink()), output, errors, over };
        let (process, _exited, orders) = Process::new(None);
        process.signal(Signal::Kill);
        let outputs = ChildOutputs { stdout: ChildOutput::Null, stderr: ChildOutput::Relay };
        let connections = starter::serve("ssh:there", Vec::new());
        keep(link, BytesMut::new(), "there".into(), outputs, connections, orders).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_login_says_is_no_end_and_last_words_are_kept() {
        let output = "Welcome\npleach: killed 11\n";
        let exit = end_of(output.as_bytes(), "almost\ndone\n", Box::pin(async { "code 0".into() })).await;
        assert_eq!((exit.status, exit.stderr), (WaitStatus::Signalled(11), vec!["almost".into(), "done".into()]));
        assert!(exit.seen);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_too_early_says_why() {
        let exit = end_of(tokio::io::empty(), "oh\n", Box::pin(async { "ssh: connection reset".into() })).await;
        assert_eq!(
            (exit.status, exit.stderr, exit.seen),
            (WaitStatus::Unknown, vec!["oh".into(), "ssh: connection reset".into()], false)
        );
    }

    /// Invariant 1.
    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_not_waited_for() {
        let (_there, quiet) = tokio::io::duplex(1);
        let begun = Instant::now();
        let exit = end_of(quiet, "", Box::pin(std::future::pending())).await;
        assert_waited(begun);
        assert_eq!(exit.status, WaitStatus::Unknown);
        assert_eq!(exit.stderr, ["its host did not answer within 5s of the order to kill it"]);
        assert!(!exit.seen);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_says_no_reason_is_not_waited_for() {
        let begun = Instant::now();
        let exit = end_of(tokio::io::empty(), "", Box::pin(std::future::pending())).await;
        assert_waited(begun);
        assert_eq!(exit.status, WaitStatus::Unknown);
        assert_eq!(exit.stderr, ["its output has ended, and 5s later nothing has said why"]);
    }

    /// The last lines of standard error have a bound of their own. The clock of the test goes on also while all tasks wait
    /// for a thread that writes those lines.
    fn assert_waited(begun: Instant) {
        let waited = begun.elapsed();
        assert!((ANSWER..=ANSWER + LAST_WORDS).contains(&waited), "{waited:?}");
    }

    /// Invariant 3.
    #[tokio::test]
    async fn what_the_end_of_the_program_has_overtaken_is_passed_on() {
        let (mut there, output) = tokio::io::duplex(8);
        let noted = CancellationToken::new();
        let over = noted.clone();
        let passes_on = async {
            tokio::select! {
                biased;
                () = noted.cancelled() => {}
                written = there.write_all(b"\npleach> 5\nhello\npleach: exited 3\n") => written.unwrap(),
            }
            drop(there);
        };
        let over = Box::pin(async move {
            over.cancel();
            "code 3".into()
        });
        let (exit, ()) = tokio::join!(end_of(output, "", over), passes_on);
        assert_eq!((exit.status, exit.seen), (WaitStatus::Exited(3), true));
    }
}
