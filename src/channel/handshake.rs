//! From a fresh transport to a member of the tree: drives [`crate::proto::handshake`] over a transport.
//!
//! Until the peer has proved itself, frames are small, nothing but handshake messages is decoded,
//! and everything ends at a deadline.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::transport::Lane;
use pleach_wire::{Msg, MsgTransport, MsgTransportExt, Outgoing, TransportError};
use tokio::time::{Instant, timeout, timeout_at};

use crate::actor::ActorId;
use crate::proto::fencing::Fenced;
use crate::proto::handshake::{Handshake, Hello, Introduction, Output, Step, Then};
use crate::proto::membership::{Nonce, TreeKey};
use crate::random;

/// The inputs of both sides of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeConfig {
    pub(crate) own: Introduction,
    pub(crate) key: TreeKey,
    /// How long the whole handshake may take.
    pub(crate) deadline: Duration,
    /// The largest frame from a member, in bytes.
    pub(crate) max_frame: usize,
    /// Actors that may not rejoin, because they were declared dead.
    pub(crate) lost: Arc<Fenced>,
}

/// The result of a handshake with a member: its identity, and the messages that came right behind.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) member: Introduction,
    pub(crate) early: Vec<Msg>,
    /// When the handshake began.
    pub(crate) began: Instant,
}

/// Introduces this actor to the listener at the other end.
///
/// # Errors
/// [`TransportError::Handshake`] says why it failed; other errors are the connection's.
///
/// # Cancel safety
/// If dropped, the connection must be dropped too.
pub(crate) async fn dial(transport: &dyn MsgTransport, config: &HandshakeConfig) -> Result<Accepted, TransportError> {
    let (key, own, codec) = (config.key.clone(), config.own.clone(), transport.format().name());
    let (handshake, first) = Handshake::dial(key, own, codec, fresh_nonce()?, config.deadline);
    let handshake = handshake.bound_to(transport.ends().binding);
    let accepted = drive(transport, config, handshake, first, None).await?;
    accepted.ok_or_else(|| TransportError::Handshake("the listener took this actor for a probe".into()))
}

/// What a listener has to say in the handshake with a dialer.
#[async_trait::async_trait]
pub(crate) trait Gate: Sync {
    /// Hears who the dialer claims to be, before that is proved.
    fn hear(&self, claimed: &ActorId);

    /// Admits a dialer that has proved itself a member.
    ///
    /// # Errors
    /// Why it is refused all the same.
    async fn admit(&self, member: &Introduction) -> Result<(), String>;
}

/// Takes a dialer's introduction. `None`: it was a probe, which has been answered.
///
/// # Errors
/// [`TransportError::Handshake`] says why the peer was refused; other errors are the connection's.
///
/// # Cancel safety
/// If dropped, the connection must be dropped too.
pub(crate) async fn accept(
    transport: &dyn MsgTransport,
    config: &HandshakeConfig,
    gate: &dyn Gate,
) -> Result<Option<Accepted>, TransportError> {
    let (key, own, codec) = (config.key.clone(), config.own.clone(), transport.format().name());
    let handshake = Handshake::listen(key, codec, fresh_nonce()?, own, config.deadline)
        .without(config.lost.clone())
        .bound_to(transport.ends().binding);
    drive(transport, config, handshake, Output::wait(), Some(gate)).await
}

async fn drive(
    transport: &dyn MsgTransport,
    config: &HandshakeConfig,
    mut handshake: Handshake,
    mut output: Output,
    gate: Option<&dyn Gate>,
) -> Result<Option<Accepted>, TransportError> {
    transport.set_max_frame(MAX_HANDSHAKE_FRAME);
    let (began, mut batch) = (Instant::now(), Vec::new());
    // One deadline for all steps, sending included: a peer that trickles bytes or does not read gains nothing.
    let until = began + handshake.poll_timeout();
    let late = |_| TransportError::Handshake("the peer did not read the last step in time".into());
    loop {
        let Output { send, then } = output;
        match then {
            Then::Continue => {}
            Then::Accept(member) => match timeout_at(until, admitted(gate, &member)).await.map_err(late)? {
                Ok(()) => {
                    timeout_at(until, say(transport, send)).await.map_err(late)??;
                    transport.set_max_frame(config.max_frame);
                    return Ok(Some(Accepted { member, early: batch, began }));
                }
                Err(why) => {
                    output = Output::refuse(&why);
                    continue;
                }
            },
            Then::Close => {
                timeout_at(until, say_last(transport, send)).await.map_err(late)??;
                return Ok(None);
            }
            Then::Fail(why) => {
                if send.is_some() {
                    // The peer may have left already; the reason for the refusal counts.
                    let _ = timeout(REFUSAL, say_last(transport, send)).await;
                }
                return Err(TransportError::Handshake(why));
            }
        }
        output = match timeout_at(until, exchange(transport, send, &mut batch, gate)).await {
            Ok(step) => handshake.handle_step(step?),
            Err(_late) => handshake.handle_timeout(began.elapsed()),
        };
    }
}

/// A dialer has no gate: it has chosen the peer.
async fn admitted(gate: Option<&dyn Gate>, member: &Introduction) -> Result<(), String> {
    match gate {
        Some(gate) => gate.admit(member).await,
        None => Ok(()),
    }
}

/// Sends a step, if there is one, and takes the peer's next one.
async fn exchange(
    transport: &dyn MsgTransport,
    step: Option<Step>,
    batch: &mut Vec<Msg>,
    gate: Option<&dyn Gate>,
) -> Result<Step, TransportError> {
    say(transport, step).await?;
    if batch.is_empty() {
        transport.recv(batch).await?;
    }
    let step = match batch.remove(0) {
        Msg::Hello { step } => step.decode::<Step>()?,
        other => {
            let why = format!("the peer sent `{}` before it had proved itself", other.kind());
            return Err(TransportError::Handshake(why));
        }
    };
    if let (Some(gate), Step::Hello(Hello { member: Some(member), .. })) = (gate, &step) {
        gate.hear(&member.who);
    }
    Ok(step)
}

async fn say(transport: &dyn MsgTransport, step: Option<Step>) -> Result<(), TransportError> {
    let Some(step) = step else { return Ok(()) };
    transport.queue(Lane::CONTROL, &Outgoing::Hello { step: &step })?;
    transport.flush().await
}

async fn say_last(transport: &dyn MsgTransport, step: Option<Step>) -> Result<(), TransportError> {
    say(transport, step).await?;
    transport.close().await
}

/// Returns fresh random bytes.
///
/// # Errors
/// When the system has no random source.
pub(crate) fn fresh_nonce() -> Result<Nonce, TransportError> {
    random::bytes().map_err(|error| TransportError::Handshake(format!("the system gives no random bytes: {error}")))
}

/// The largest frame before the peer has proved itself: a hello has a few hundred bytes, and nine for
/// each exposed function.
const MAX_HANDSHAKE_FRAME: usize = 64 << 10;

/// How long a refusal may take to reach a stranger.
const REFUSAL: Duration = Duration::from_millis(200);

/// Admits every member.
#[cfg(test)]
pub(crate) struct Open;

#[cfg(test)]
#[async_trait::async_trait]
impl Gate for Open {
    fn hear(&self, _: &ActorId) {}

    async fn admit(&self, _: &Introduction) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
