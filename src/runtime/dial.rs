//! Dialling: from what is known of an actor to a connection with it.
//!
//! An actor may listen at several addresses, and not each of them can be reached from everywhere. They
//! are tried nearest first, and the next one is started when the last one has failed or is slow, as
//! browsers do it (RFC 8305). Only connecting is raced: the handshake follows on one connection at a
//! time, so that the other side never sees this actor twice.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pleach_wire::{Address, MsgTransport, Reach, TransportError};
use tokio::time::timeout;

use super::Runtime;
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::channel::handshake;
use crate::error::{Error, Result};
use crate::proto::handshake::Endpoint;
use crate::proto::session::Role;

impl Runtime {
    /// Dials the parent and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or is not the one that the spec names.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn connect_to_parent(self: &Arc<Self>) -> Result<Channel> {
        let origin = self.origin.as_ref().ok_or_else(|| Error::Usage("the root of a tree has no parent".into()))?;
        self.dial_nearest(&origin.parent, &origin.parent_at).await
    }

    /// Dials an actor at the nearest of its addresses that answers, and starts to serve it.
    ///
    /// # Errors
    /// When it can't be reached, or is not who answers there; a group of errors if there are several addresses.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub(crate) async fn dial_nearest(self: &Arc<Self>, who: &ActorId, at: &[Endpoint]) -> Result<Channel> {
        let mut waiting = self.nearest_first(who, at).into_iter();
        let mut connecting = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            match waiting.next() {
                Some(next) => connecting.push(self.connect(next)),
                None if connecting.is_empty() => break,
                None => {}
            }
            let patience = if waiting.len() > 0 { NEXT_ADDRESS } else { Duration::MAX };
            let connected = match timeout(patience, connecting.next()).await {
                Ok(Some(connected)) => connected,
                Ok(None) | Err(_) => continue, // the next one is started
            };
            let channel = match connected {
                Ok((transport, address)) => self.introduce(who, transport, &address).await,
                Err(error) => Err(error),
            };
            match channel {
                Ok(channel) => return Ok(channel),
                Err(error) => {
                    tracing::debug!(target: "pleach::transport", peer = %who, %error, "not reached there");
                    failures.push(error);
                }
            }
        }
        Error::join(failures)?;
        Err(Error::Usage(format!("{who} listens nowhere that can be reached from {}", self.id)))
    }

    async fn connect(&self, at: &Endpoint) -> Result<(Arc<dyn MsgTransport>, Address)> {
        let kind = self.registry.find(&at.transport)?;
        let settings = self.settings(&at.transport)?;
        let address: Address = at.address.parse().map_err(|error| Error::Config(format!("{error}")))?;
        Ok((kind.dial(&address, &settings).await?, address))
    }

    /// Shakes hands as the dialer, checks who is there, and starts to serve it.
    pub(super) async fn introduce(
        self: &Arc<Self>,
        who: &ActorId,
        transport: Arc<dyn MsgTransport>,
        address: &Address,
    ) -> Result<Channel> {
        let accepted = handshake::dial(&*transport, &self.identity().await).await?;
        if accepted.member.who != *who {
            let found = format!("{} answers at {address} instead of {who}", accepted.member.who);
            return Err(TransportError::Handshake(found).into());
        }
        let kin = self.kin(&accepted.member.who, false);
        let (channel, loop_) = self.open_channel(transport, Role::Dialer, accepted, kin);
        self.keep(loop_);
        Ok(channel)
    }

    /// Where to dial it, nearest first, without what does not reach so far.
    fn nearest_first<'a>(&self, who: &ActorId, at: &'a [Endpoint]) -> Vec<&'a Endpoint> {
        let same_host = who.host() == self.id.host();
        let needed = match (same_host, who.pid() == self.id.pid()) {
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

/// When an address has not answered for so long, the next one is tried as well.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
