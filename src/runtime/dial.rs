//! Dialling: from an actor's identity and addresses to a connection with it.
//!
//! An actor may listen at several addresses, and not each of them can be reached from everywhere. They
//! are tried nearest first, and the next one is started when the last one has failed or is slow, as
//! browsers do it (RFC 8305). Only connecting is raced: the handshake follows on one connection at a
//! time, so that the other side never sees this actor twice.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pleach_wire::{Address, MsgTransport, MsgTransportExt, Reach, Settings, TransportError, WrongPeer};
use tokio::time::{Instant, timeout};

use super::Runtime;
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::channel::handshake;
use crate::error::{Error, Result};
use crate::os::sandbox;
use crate::proto::handshake::{Endpoint, Introduction, LASTS, PROBE, REGISTRAR};
use crate::proto::session::Role;
use crate::registry::{Registered, RegistrarAddr};

impl Runtime {
    /// Dials the parent and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or is not the one that the spec names.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn connect_to_parent(self: &Arc<Self>) -> Result<Channel> {
        let origin = self.identity.origin().ok_or_else(|| Error::Usage("the root of a tree has no parent".into()))?;
        let options = DialOptions { shown: None, wanted: Wanted::Actor(&origin.parent), lasts: true };
        self.dial_first(options, self.nearest_first(&origin.parent, &origin.parent_at)).await
    }

    /// Dials an actor at the nearest of its addresses that answers, and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or another actor answers there; a group of errors if there are several addresses.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn dial_nearest(self: &Arc<Self>, who: &ActorId, at: &[Endpoint]) -> Result<Channel> {
        let options = DialOptions::to(who);
        self.dial_first(options, self.nearest_first(who, at)).await
    }

    /// Dials a registrar, and shows it `actor`, which it enters for as long as the connection lasts.
    ///
    /// # Errors
    /// As [`dial_nearest`](Self::dial_nearest); when the answering actor is not a registrar.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn dial_registrar(
        self: &Arc<Self>,
        registrar: &RegistrarAddr,
        actor: &Registered,
    ) -> Result<Channel> {
        let (wanted, at) = match &registrar.who {
            Some(who) => (Wanted::Actor(who), self.nearest_first(who, &registrar.at)),
            None => (Wanted::Registrar, registrar.at.iter().collect()),
        };
        self.dial_first(DialOptions { shown: Some(actor), wanted, lasts: true }, at).await
    }

    /// Asks for the identity of the listener at an address, without becoming a peer, for at most `patience`. `None`:
    /// the peer accepted the connection, and sent nothing in time.
    ///
    /// # Errors
    /// When nothing listens there, or not a member of this tree.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn probe(&self, at: &Endpoint, patience: Duration) -> Result<Option<Introduction>> {
        let kind = self.registry.find(&at.transport)?;
        let settings = Settings { dial_timeout: patience / 2, ..self.settings(&at.transport)? };
        let address: Address = at.address.parse().map_err(|error| Error::Config(format!("{error}")))?;
        let transport = kind.dial(&address, &settings).await?;
        let mut config = self.handshake_config().await;
        config.own.features |= PROBE;
        let Ok(answered) = timeout(patience / 2, handshake::dial(&*transport, &config)).await else {
            return Ok(None);
        };
        let member = answered?.member;
        // It has its answer; the other side closes as well.
        let _ = timeout(PROBE_CLOSE, transport.close()).await;
        Ok(Some(member))
    }

    /// Dials the first of the addresses that answers. A listener that drops the connection before it has answered is
    /// full (see [`admission`](super::admission)): it is dialled again, for as long as `dial` allows.
    async fn dial_first(self: &Arc<Self>, options: DialOptions<'_>, at: Vec<&Endpoint>) -> Result<Channel> {
        let until = Instant::now() + self.config.dial;
        let mut pause = FIRST_PAUSE;
        let failures = loop {
            let failures = match self.dial_each(&options, &at).await {
                Ok(channel) => return Ok(channel),
                Err(failures) => failures,
            };
            if !failures.iter().any(is_dropped) || Instant::now() + pause >= until {
                break failures;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        Error::join(failures)?;
        Err(Error::Usage(format!("{} listens nowhere that can be reached from {}", options.wanted, self.id())))
    }

    /// Dials each of the addresses until one answers; returns why none did.
    async fn dial_each(self: &Arc<Self>, options: &DialOptions<'_>, at: &[&Endpoint]) -> Result<Channel, Vec<Error>> {
        let mut waiting = at.iter();
        let mut connecting = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            match waiting.next() {
                Some(next) => connecting.push(self.connect(next)),
                None if connecting.is_empty() => return Err(failures),
                None => {}
            }
            let patience = if waiting.len() > 0 { NEXT_ADDRESS } else { Duration::MAX };
            let connected = match timeout(patience, connecting.next()).await {
                Ok(Some(connected)) => connected,
                Ok(None) | Err(_) => continue, // the next one is started
            };
            let channel = match connected {
                Ok((transport, address)) => self.introduce(options, transport, &address).await,
                Err(error) => Err(error),
            };
            match channel {
                Ok(channel) => return Ok(channel),
                Err(error) => {
                    debug!(target: "pleach::transport", peer = %options.wanted, %error, "not reached there");
                    failures.push(error);
                }
            }
        }
    }

    async fn connect(&self, at: &Endpoint) -> Result<(Arc<dyn MsgTransport>, Address)> {
        let kind = self.registry.find(&at.transport)?;
        let settings = self.settings(&at.transport)?;
        let address: Address = at.address.parse().map_err(|error| Error::Config(format!("{error}")))?;
        Ok((kind.dial(&address, &settings).await?, address))
    }

    /// Shakes hands as the dialer, checks the peer's identity, and starts to serve it.
    pub(super) async fn introduce(
        self: &Arc<Self>,
        options: &DialOptions<'_>,
        transport: Arc<dyn MsgTransport>,
        address: &Address,
    ) -> Result<Channel> {
        let DialOptions { shown, wanted, lasts } = options;
        let mut config = self.handshake_config().await;
        if let Some(Registered { who, incarnation, listening }) = (*shown).cloned() {
            // A registered actor may have become a newer incarnation since.
            let incarnation = if who == *self.id() { incarnation.max(config.own.incarnation) } else { incarnation };
            config.own = Introduction { who, incarnation, listening, ..config.own };
        }
        if *lasts {
            config.own.features |= LASTS;
        }
        let accepted = handshake::dial(&*transport, &config).await?;
        if !wanted.fits(&accepted.member) {
            let (wanted, found) = (wanted.to_string(), accepted.member.who.to_string());
            let wrong = WrongPeer { address: address.to_string(), wanted, found };
            return Err(TransportError::WrongPeer(Box::new(wrong)).into());
        }
        // Before the first call is served: the peer is the parent, and there is no other.
        sandbox::seal()?;
        let relation = self.relation(&accepted.member.who, false);
        let (channel, loop_) =
            self.open_channel(transport, Role::Dialer, accepted, *lasts, relation, self.peers.take_permit());
        self.keep(loop_);
        Ok(channel)
    }

    /// Where to dial it, nearest first, without addresses that don't reach across hosts.
    fn nearest_first<'a>(&self, who: &ActorId, at: &'a [Endpoint]) -> Vec<&'a Endpoint> {
        let same_host = who.is_at_place_of(self.id());
        let needed = match (same_host, who.pid() == self.id().pid()) {
            (true, true) => Reach::Process,
            (true, false) => Reach::Host,
            (false, _) => Reach::Network,
        };
        let reach = |at: &Endpoint| Some(self.registry.find(&at.transport).ok()?.protocol().reach());
        let mut reached: Vec<_> = at.iter().filter(|at| reach(at).is_some_and(|reach| reach >= needed)).collect();
        // A loopback address is the nearest on this host, and leads elsewhere from another; but hosts of one
        // name may be one host.
        let local = |at: &Endpoint| at.address.parse().is_ok_and(|address: Address| address.is_local());
        reached.sort_by_key(|at| (reach(at), if same_host { Reverse(local(at)) } else { Reverse(!local(at)) }));
        reached
    }
}

/// The identity that a dialer presents, and the expected peer.
pub(super) struct DialOptions<'a> {
    /// The identity to present, if not this actor's.
    shown: Option<&'a Registered>,
    wanted: Wanted<'a>,
    /// Whether the connection is held until one of the two ends.
    lasts: bool,
}

impl<'a> DialOptions<'a> {
    /// This actor to that one.
    pub(super) fn to(who: &'a ActorId) -> Self {
        Self { shown: None, wanted: Wanted::Actor(who), lasts: false }
    }
}

enum Wanted<'a> {
    Actor(&'a ActorId),
    /// Any registrar there.
    Registrar,
}

impl Wanted<'_> {
    fn fits(&self, found: &Introduction) -> bool {
        match self {
            Self::Actor(who) => found.who == **who,
            Self::Registrar => found.features & REGISTRAR != 0,
        }
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(who) => who.fmt(f),
            Self::Registrar => f.write_str("a registrar"),
        }
    }
}

/// Returns whether the peer accepted the connection and dropped it, without a reason.
fn is_dropped(error: &Error) -> bool {
    use TransportError::{Closed, Reset, Truncated};
    matches!(error, Error::Transport(Closed(_) | Reset(_) | Truncated { .. }))
}

/// The pause after a listener has dropped a connection; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// How long the end of a probe may take.
const PROBE_CLOSE: Duration = Duration::from_millis(200);

/// When an address has not answered for so long, the next one is tried as well.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

#[cfg(test)]
#[cfg(feature = "tcp")]
mod tests {
    use pleach_wire::Key;
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Config;
    use crate::proto::membership::TreeKey;

    fn actor() -> Arc<Runtime> {
        let config = Config { transport: "tcp".into(), dial: pleach_patience::patience(), ..Config::default() };
        Runtime::root(config, crate::transports::registry(false), TreeKey::new([1; 32])).unwrap()
    }

    // SEC-5
    #[tokio::test]
    async fn a_listener_that_drops_the_connection_is_dialled_again() {
        let (dialer, wanted) = (actor(), actor());
        wanted.listen(&Key::new("msgpack", "tcp")).await.unwrap();
        let at = wanted.endpoints().await.remove(0);
        let behind = at.address.trim_start_matches("tcp://").to_owned();
        let full = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = [Endpoint { address: format!("tcp://{}", full.local_addr().unwrap()), ..at }];
        let forwarded = async {
            for _ in 0..2 {
                drop(full.accept().await.unwrap());
            }
            let (mut from, _) = full.accept().await.unwrap();
            let mut to = TcpStream::connect(behind).await.unwrap();
            let _ended = copy_bidirectional(&mut from, &mut to).await;
            std::future::pending().await
        };
        let dialled = async {
            let channel = dialer.dial_nearest(wanted.id(), &at).await;
            dialer.shut_down().await;
            wanted.shut_down().await;
            channel
        };
        let channel = tokio::select! {
            channel = dialled => channel,
            () = forwarded => unreachable!("it waits for the dialer"),
        };
        assert_eq!(channel.unwrap().peer(), wanted.id());
    }
}
