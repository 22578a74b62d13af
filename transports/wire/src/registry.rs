//! `(codec, protocol)` → how to make a [`MsgTransport`].
//!
//! Configuration names a key such as `("msgpack", "tcp")`; the registry holds the transport for it.
//! It dials and listens with deadlines and wraps each link, so that nothing above it names a protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::codec::Codec;
use crate::connection::{Connection, ConnectionListener};
use crate::error::TransportError;
use crate::framed::Framed;
use crate::transport::{Link, Listener, MsgTransport, Protocol, Settings};

/// The name of a transport: a codec over a protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Key {
    /// How messages are written, e.g. `msgpack`.
    pub codec: String,
    /// How peers are reached, e.g. `tcp`.
    pub protocol: String,
}

impl Key {
    /// Names `codec` over `protocol`.
    pub fn new(codec: impl Into<String>, protocol: impl Into<String>) -> Self {
        Self { codec: codec.into(), protocol: protocol.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.codec, self.protocol)
    }
}

/// How one kind of transport is made.
#[derive(Clone)]
pub struct TransportType {
    codec: &'static str,
    protocol: Arc<dyn Protocol>,
    wrap: Arc<dyn Fn(Link) -> Arc<dyn MsgTransport> + Send + Sync>,
}

impl TransportType {
    /// `codec` over the byte links of `protocol`, in length-prefixed frames.
    pub fn framed<C: Codec + Clone>(codec: C, protocol: Arc<dyn Protocol>) -> Self {
        let name = codec.name();
        Self::custom(name, protocol, move |link| Arc::new(Framed::new(codec.clone(), link)))
    }

    /// A message transport that frames for itself: `wrap` makes it of each dialled or accepted link.
    pub fn custom(
        codec: &'static str,
        protocol: Arc<dyn Protocol>,
        wrap: impl Fn(Link) -> Arc<dyn MsgTransport> + Send + Sync + 'static,
    ) -> Self {
        Self { codec, protocol, wrap: Arc::new(wrap) }
    }

    /// Returns the key under which the registry holds it.
    pub fn key(&self) -> Key {
        Key::new(self.codec, self.protocol.name())
    }

    /// Returns the protocol below.
    pub fn protocol(&self) -> &dyn Protocol {
        &*self.protocol
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// [`TransportError::Dial`], also when [`Settings::dial_timeout`] passes; [`TransportError::Tls`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing is left open.
    pub async fn dial(&self, address: &Address, settings: &Settings) -> Result<Arc<dyn MsgTransport>, TransportError> {
        let dialled = tokio::time::timeout(settings.dial_timeout, self.protocol.dial(address, settings)).await;
        let link = dialled.unwrap_or_else(|_| {
            let late = format!("no answer within {:?}", settings.dial_timeout);
            Err(TransportError::dial(address, std::io::Error::new(std::io::ErrorKind::TimedOut, late)))
        })?;
        Ok((self.wrap)(link))
    }

    /// Starts to listen on `address`.
    ///
    /// # Errors
    /// [`TransportError::Listen`], [`TransportError::Tls`].
    pub async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        self.protocol.listen(address, settings).await
    }

    /// Makes a transport of a link that a listener of this type accepted.
    pub fn wrap(&self, link: Link) -> Arc<dyn MsgTransport> {
        (self.wrap)(link)
    }
}

impl fmt::Debug for TransportType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportType({})", self.key())
    }
}

/// All transports that a program knows.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    types: BTreeMap<Key, TransportType>,
}

impl Registry {
    /// A registry without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transport.
    ///
    /// # Errors
    /// [`Duplicate`] when its key is taken; nothing changed.
    pub fn add(&mut self, transport: TransportType) -> Result<(), Duplicate> {
        let key = transport.key();
        if self.types.contains_key(&key) {
            return Err(Duplicate(key));
        }
        self.types.insert(key, transport);
        Ok(())
    }

    /// Looks a transport up.
    ///
    /// # Errors
    /// [`TransportError::Unknown`], which lists the known ones.
    pub fn find(&self, key: &Key) -> Result<&TransportType, TransportError> {
        self.types.get(key).ok_or_else(|| TransportError::Unknown {
            codec: key.codec.clone(),
            protocol: key.protocol.clone(),
            available: self.keys().map(Key::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    /// Connects to `address`, for values of the types `S` and `R` instead of actors' messages. `codec` is a name such as
    /// `msgpack`; the address names the protocol.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`TransportType::dial`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing is left open.
    pub async fn connect<S, R>(
        &self,
        codec: &str,
        address: &Address,
        settings: &Settings,
    ) -> Result<Connection<S, R>, TransportError> {
        let transport = self.find(&Key::new(codec, address.protocol()))?;
        transport.dial(address, settings).await.map(Connection::new)
    }

    /// Starts to listen on `address`, for connections as [`connect`](Self::connect) makes them. A free address is
    /// [`Protocol::any_address`].
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`TransportType::listen`].
    pub async fn listen<S, R>(
        &self,
        codec: &str,
        address: &Address,
        settings: &Settings,
    ) -> Result<ConnectionListener<S, R>, TransportError> {
        let transport = self.find(&Key::new(codec, address.protocol()))?;
        let listener = transport.listen(address, settings).await?;
        Ok(ConnectionListener::new(transport.clone(), listener))
    }

    /// Returns all keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.types.keys()
    }
}

/// A second transport for a key that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a transport for {0} already; give yours another codec or protocol name")]
pub struct Duplicate(pub Key);
