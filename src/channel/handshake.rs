//! From a fresh transport to a member of the tree: drives [`crate::proto::handshake`] over a transport.
//!
//! Until the peer has proved itself, frames are small, nothing but handshake messages is decoded,
//! and everything ends at a deadline.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::transport::Lane;
use pleach_wire::{Msg, MsgTransport, MsgTransportExt, Outgoing, TransportError};
use tokio::time::{Instant, timeout};

use crate::proto::handshake::{Handshake, Member, Next, Step};
use crate::proto::lost::Lost;
use crate::proto::membership::{Nonce, TreeKey};

/// What both sides of a handshake need to know.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) own: Member,
    pub(crate) key: TreeKey,
    /// How long the whole handshake may take.
    pub(crate) deadline: Duration,
    /// The largest frame from a member, in bytes.
    pub(crate) max_frame: usize,
    /// Who is not let in, because it was counted dead.
    pub(crate) lost: Arc<Lost>,
}

/// The end of a handshake with a member: who it is, and messages that came right behind.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) member: Member,
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
pub(crate) async fn dial(transport: &dyn MsgTransport, identity: &Identity) -> Result<Accepted, TransportError> {
    let (key, own, codec) = (identity.key.clone(), identity.own.clone(), transport.format().name());
    let (handshake, first) = Handshake::dial(key, own, codec, fresh_nonce()?, identity.deadline);
    let accepted = drive(transport, identity, handshake, Some(first)).await?;
    accepted.ok_or_else(|| TransportError::Handshake("the listener took this actor for a probe".into()))
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
    identity: &Identity,
) -> Result<Option<Accepted>, TransportError> {
    let (key, own, codec) = (identity.key.clone(), identity.own.clone(), transport.format().name());
    let handshake =
        Handshake::listen(key, codec, fresh_nonce()?, own, identity.deadline).without(identity.lost.clone());
    drive(transport, identity, handshake, None).await
}

/// Tells a dialer why it is not let in, without asking who it is, and closes.
///
/// # Errors
/// When that could not be said in time; the connection must be dropped in any case.
pub(crate) async fn turn_away(transport: &dyn MsgTransport, why: String) -> Result<(), TransportError> {
    transport.set_max_frame(MAX_HANDSHAKE_FRAME);
    let told = async {
        // Its hello is read first: a close over unread bytes would take the refusal back.
        transport.recv(&mut Vec::new()).await?;
        send(transport, &Step::Refusal { why }).await?;
        transport.close().await
    };
    timeout(REFUSAL, told).await.unwrap_or(Err(TransportError::Idle(REFUSAL)))
}

async fn drive(
    transport: &dyn MsgTransport,
    identity: &Identity,
    mut handshake: Handshake,
    first: Option<Step>,
) -> Result<Option<Accepted>, TransportError> {
    transport.set_max_frame(MAX_HANDSHAKE_FRAME);
    let began = Instant::now();
    let until = began + handshake.poll_timeout();
    let mut batch = Vec::new();
    let mut next = first.map(Next::Send);
    loop {
        let step = match next {
            Some(Next::Send(step)) => Some(step),
            Some(Next::SendAndAccept(step, member)) => {
                send(transport, &step).await?;
                transport.set_max_frame(identity.max_frame);
                return Ok(Some(Accepted { member, early: batch, began }));
            }
            Some(Next::Accept(member)) => {
                transport.set_max_frame(identity.max_frame);
                return Ok(Some(Accepted { member, early: batch, began }));
            }
            Some(Next::SendAndEnd(step)) => {
                send(transport, &step).await?;
                transport.close().await?;
                return Ok(None);
            }
            Some(Next::Refuse(step, why)) => {
                if let Some(step) = step {
                    // The peer may be gone already; the reason for the refusal is what counts.
                    let _ = timeout(REFUSAL, async {
                        send(transport, &step).await?;
                        transport.close().await
                    })
                    .await;
                }
                return Err(TransportError::Handshake(why));
            }
            None => None,
        };
        let exchange = async {
            if let Some(step) = step {
                send(transport, &step).await?;
            }
            if batch.is_empty() {
                transport.recv(&mut batch).await?;
            }
            match batch.remove(0) {
                Msg::Hello { step } => step.decode::<Step>(),
                other => Err(TransportError::Handshake(format!(
                    "the peer sent `{}` before it had proved itself",
                    other.kind()
                ))),
            }
        };
        next = match tokio::time::timeout_at(until, exchange).await {
            Ok(step) => Some(handshake.handle_step(step?)),
            Err(_late) => handshake.handle_timeout(began.elapsed()),
        };
    }
}

async fn send(transport: &dyn MsgTransport, step: &Step) -> Result<(), TransportError> {
    transport.queue(Lane::CONTROL, &Outgoing::Hello { step })?;
    transport.flush().await
}

/// Returns random bytes that nobody has seen.
///
/// # Errors
/// When the system has no random source.
pub(crate) fn fresh_nonce() -> Result<Nonce, TransportError> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce)
        .map_err(|error| TransportError::Handshake(format!("the system gives no random bytes: {error}")))?;
    Ok(nonce)
}

/// The largest frame before the peer has proved itself: a hello has a few hundred bytes, and nine for
/// each exposed function.
const MAX_HANDSHAKE_FRAME: usize = 64 << 10;

/// How long a refusal may take to reach a stranger.
const REFUSAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use pleach_wire::{Key, Settings};

    use super::*;
    use crate::actor::ActorId;

    fn identity(name: &str, key: u8) -> Identity {
        let own =
            Member { who: ActorId::new(name), incarnation: 1, features: 0, listening: Vec::new(), exports: Vec::new() };
        let (deadline, max_frame) = (Duration::from_millis(200), 1 << 20);
        Identity { own, key: TreeKey::new([key; 32]), deadline, max_frame, lost: Arc::default() }
    }

    /// Two ends of a connection in memory, the dialer's first.
    async fn pair() -> (Arc<dyn MsgTransport>, Arc<dyn MsgTransport>) {
        let registry = crate::transports::registry(false);
        let (kind, settings) = (registry.find(&Key::new("msgpack", "mem")).unwrap(), Settings::default());
        let mut listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
        let address = listener.local_address().clone();
        let (dialled, accepted) = tokio::join!(kind.dial(&address, &settings), listener.accept());
        (dialled.unwrap(), kind.wrap(accepted.unwrap()))
    }

    #[tokio::test]
    async fn members_of_one_tree_find_each_other() {
        let (ours, theirs) = pair().await;
        let (dialer, listener) = (identity("dialer", 1), identity("listener", 1));
        let (dialled, accepted) = tokio::join!(dial(&*ours, &dialer), accept(&*theirs, &listener));
        assert_eq!(dialled.unwrap().member, listener.own);
        assert_eq!(accepted.unwrap().unwrap().member, dialer.own);
    }

    #[tokio::test]
    async fn a_stranger_is_told_and_cut_off() {
        let (ours, theirs) = pair().await;
        let (stranger, listener) = (identity("stranger", 9), identity("listener", 1));
        let (dialled, accepted) = tokio::join!(dial(&*ours, &stranger), accept(&*theirs, &listener));
        assert!(dialled.unwrap_err().to_string().contains("does not know this tree's key"));
        assert!(accepted.unwrap_err().to_string().contains("does not know this tree's key"));
        assert!(!theirs.connected());
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up_at_the_deadline() {
        let (_silent, theirs) = pair().await;
        let given_up = timeout(Duration::from_secs(5), accept(&*theirs, &identity("listener", 1))).await.unwrap();
        assert!(given_up.unwrap_err().to_string().contains("a hello did not come in time"));
        // The other way round: a listener that never answers.
        let (ours, _silent) = pair().await;
        let given_up = timeout(Duration::from_secs(5), dial(&*ours, &identity("dialer", 1))).await.unwrap();
        assert!(given_up.unwrap_err().to_string().contains("a challenge did not come in time"));
    }

    #[tokio::test]
    async fn what_is_no_handshake_ends_it() {
        let (ours, theirs) = pair().await;
        ours.send(&[Outgoing::Cancel { cid: pleach_wire::Cid(1) }]).await.unwrap();
        let refused = accept(&*theirs, &identity("listener", 1)).await.unwrap_err();
        assert!(refused.to_string().contains("`cancel` before it had proved itself"));
    }
}
