//! What a check runs on: a transport, and the connections that it makes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pleach_wire::{Address, Codec, Link, Listener, MsgTransport, MsgTransportExt, Protocol, Settings, TransportType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::faulty::{Faulty, Plan};
use crate::say::hello;

/// A transport under test.
#[derive(Clone)]
pub struct Subject {
    protocol: Arc<dyn Protocol>,
    make: Arc<dyn Fn(Arc<dyn Protocol>) -> TransportType + Send + Sync>,
    /// What the protocol gets to know. Checks shorten the dial timeout where they wait for it.
    pub settings: Settings,
}

/// Which side of a connection something happens on. Both are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that dialled.
    Dialer,
    /// The side that accepted.
    Listener,
}

impl Role {
    /// Both roles.
    pub const BOTH: [Self; 2] = [Self::Dialer, Self::Listener];
}

/// Two ends of one connection, past their first message. Dropping it drops both and the listener.
pub struct Pair {
    /// The end in the role that was asked for.
    pub near: Arc<dyn MsgTransport>,
    /// The other end.
    pub far: Arc<dyn MsgTransport>,
    /// Where they met; still listening.
    pub listener: Box<dyn Listener>,
}

/// One end as plain bytes, for what no transport would send; the other is a transport.
pub struct Raw {
    /// The end in the role that was asked for. It has received and sent nothing but the opening bytes.
    pub near: Link,
    /// The other end.
    pub far: Arc<dyn MsgTransport>,
    /// Where they met; still listening.
    pub listener: Box<dyn Listener>,
}

impl Subject {
    /// `codec` over the byte links of `protocol`.
    pub fn framed<C: Codec + Clone>(codec: C, protocol: impl Protocol) -> Self {
        Self::custom(protocol, move |protocol| TransportType::framed(codec.clone(), protocol))
    }

    /// What `make` makes of `protocol`. Frames must begin with their length, u32 little-endian.
    pub fn custom(
        protocol: impl Protocol,
        make: impl Fn(Arc<dyn Protocol>) -> TransportType + Send + Sync + 'static,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket_dir = std::env::temp_dir().join(format!("pleach-suite-{}-{number}", std::process::id()));
        let settings = Settings { socket_dir, dial_timeout: crate::patience::patience(), ..Settings::default() };
        Self { protocol: Arc::new(protocol), make: Arc::new(make), settings }
    }

    /// The same, with settings changed by `change`; e.g. certificates.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The same over links that misbehave by `plan`, always in the same way.
    #[must_use]
    pub fn under(&self, plan: Plan) -> Self {
        self.seeded(plan, SEED)
    }

    /// The same over links that misbehave by `plan`, in a way that `seed` decides.
    #[must_use]
    pub fn seeded(&self, plan: Plan, seed: u64) -> Self {
        Self { protocol: Arc::new(Faulty::new(self.protocol.clone(), plan, seed)), ..self.clone() }
    }

    /// Returns the transport.
    pub fn transport(&self) -> TransportType {
        (self.make)(self.protocol.clone())
    }

    /// Returns an address to listen on.
    pub fn address(&self) -> Address {
        self.protocol.any_address(&self.settings)
    }

    /// Listens on an address of the protocol's choice.
    pub async fn listen(&self) -> Box<dyn Listener> {
        self.listen_on(&self.address()).await
    }

    /// Listens on `address`.
    pub async fn listen_on(&self, address: &Address) -> Box<dyn Listener> {
        self.transport().listen(address, &self.settings).await.expect("listens")
    }

    /// Dials and says hello, so that the listener sees the connection.
    pub async fn dial(&self, address: &Address) -> Arc<dyn MsgTransport> {
        let dialer = self.transport().dial(address, &self.settings).await.expect("dials");
        dialer.send(&[hello()]).await.expect("sends its hello");
        dialer
    }

    /// Accepts the next connection that says hello; one that goes without a word was a probe.
    pub async fn accept(&self, listener: &mut Box<dyn Listener>) -> Arc<dyn MsgTransport> {
        loop {
            let link = listener.accept().await.expect("accepts");
            if let Some(acceptor) = self.greeted(link).await {
                return acceptor;
            }
        }
    }

    /// The same where probes come that are gone so soon that accepting them may fail; the listener goes on.
    pub async fn accept_past_probes(&self, listener: &mut Box<dyn Listener>) -> Arc<dyn MsgTransport> {
        loop {
            let Ok(link) = listener.accept().await else { continue };
            if let Some(acceptor) = self.greeted(link).await {
                return acceptor;
            }
        }
    }

    /// Receives the hello on an accepted link, or a graceful end.
    async fn greeted(&self, link: Link) -> Option<Arc<dyn MsgTransport>> {
        let acceptor = self.transport().wrap(link);
        let mut batch = Vec::new();
        match acceptor.recv(&mut batch).await {
            Ok(()) => {
                assert!(matches!(&batch[..], [first] if first.kind() == "hello"), "{batch:?}");
                Some(acceptor)
            }
            Err(end) => {
                assert!(end.is_closed(), "a probe looks like {end:?}");
                None
            }
        }
    }

    /// Connects; `near` is the end in `role`.
    pub async fn pair(&self, role: Role) -> Pair {
        let mut listener = self.listen().await;
        let address = listener.local_address().clone();
        let (dialer, acceptor) = tokio::join!(self.dial(&address), self.accept(&mut listener));
        match role {
            Role::Dialer => Pair { near: dialer, far: acceptor, listener },
            Role::Listener => Pair { near: acceptor, far: dialer, listener },
        }
    }

    /// Connects; the end in `role` stays bytes and has sent `opening`.
    pub async fn raw(&self, role: Role, opening: &[u8]) -> Raw {
        let mut listener = self.listen().await;
        let address = listener.local_address().clone();
        let open = async |link: &mut Link| {
            link.writer.write_all(opening).await.expect("writes");
            link.writer.flush().await.expect("flushes");
        };
        let (near, far) = match role {
            Role::Dialer => tokio::join!(
                async {
                    let mut link = self.protocol.dial(&address, &self.settings).await.expect("dials");
                    open(&mut link).await;
                    link
                },
                async { self.transport().wrap(listener.accept().await.expect("accepts")) }
            ),
            Role::Listener => {
                let accept = async {
                    let mut link = listener.accept().await.expect("accepts");
                    let size = link.reader.read_u32_le().await.expect("a hello arrives");
                    let mut body = vec![0; size as usize];
                    link.reader.read_exact(&mut body).await.expect("a hello arrives whole");
                    open(&mut link).await;
                    link
                };
                let (far, near) = tokio::join!(self.dial(&address), accept);
                (near, far)
            }
        };
        Raw { near, far, listener }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({:?})", self.transport())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({:?})", self.near.ends())
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({:?})", self.near.ends)
    }
}

/// The seed of plans without one of their own.
const SEED: u64 = 0x706c_6561_6368;
