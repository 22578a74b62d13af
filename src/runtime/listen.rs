//! Listening: the addresses where this actor is bound, and those that it announces.
//!
//! A listener is opened for each transport when it is first needed. The two addresses differ where an
//! actor is bound to every interface of its host, or where a router stands in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use pleach_wire::address::{HostPort, UdsName};
use pleach_wire::{Address, Key, Listener, TransportError, TransportType};

use super::Runtime;
use super::server::accept_loop;
use crate::config::Config;
use crate::error::Result;
use crate::proto::handshake::Endpoint;

/// A listener that is open.
#[derive(Debug)]
pub(super) struct Bound {
    transport: Key,
    /// Where it was to listen: [`Config::listen`] says so, or a registrar's address.
    asked: Address,
    address: Address,
    /// The addresses that it announces.
    announced: Vec<Endpoint>,
    /// The file of its socket, if it has one.
    file: Option<PathBuf>,
}

impl Bound {
    /// Whether the file of its socket is gone, so that no newcomer finds it.
    fn is_lost(&self) -> bool {
        let found = self.file.as_ref().map(std::fs::symlink_metadata);
        found.is_some_and(|found| found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound))
    }
}

/// The path in an address. A protocol of another name may have a socket there (`shm`), or mean something else by it.
fn path_in(address: &Address) -> Option<&Path> {
    match address {
        Address::Uds(UdsName::Path(path)) => Some(path),
        Address::Other { rest, .. } if rest.starts_with('/') => Some(Path::new(rest)),
        _ => None,
    }
}

fn is_socket(file: &Path) -> bool {
    std::fs::symlink_metadata(file).is_ok_and(|found| found.file_type().is_socket())
}

/// A listener that is open, but does not accept yet. Dropping it closes it.
pub(crate) struct Reserved {
    transport: Key,
    asked: Address,
    kind: TransportType,
    listener: Box<dyn Listener>,
}

impl Reserved {
    /// Closes it; the address is free when this returns.
    pub(crate) async fn close(self) {
        self.listener.close().await;
    }
}

impl Runtime {
    /// Listens for `transport`, unless it does already: at [`Config::listen`]'s address for its protocol, or else where
    /// only this host reaches it. Returns the announced addresses.
    ///
    /// # Errors
    /// An unknown transport; an address that can't be bound.
    ///
    /// # Cancel safety
    /// If dropped, it may or may not listen already.
    pub(crate) async fn listen(self: &Arc<Self>, transport: &Key) -> Result<Vec<Endpoint>> {
        let mut listening = self.listening.lock().await;
        listening.retain(|bound| !bound.is_lost());
        let mut missing = missing(&self.config.listen, &listening, transport);
        if missing.is_empty() && !listening.iter().any(|bound| bound.transport == *transport) {
            let kind = self.registry.find(transport)?;
            missing.push(kind.protocol().any_address(&self.settings(transport)?));
        }
        if !missing.is_empty() {
            for address in missing {
                listening.push(self.bind(transport, &address).await?);
            }
            self.update_entry(announced(&listening).cloned().collect());
        }
        Ok(announced(&listening).filter(|at| at.transport == *transport).cloned().collect())
    }

    /// Listens for `transport` where other hosts reach it, unless it does already: at [`Config::listen`]'s address for
    /// its protocol, or else at all interfaces. Returns the announced addresses.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Cancel safety
    /// As [`listen`](Self::listen).
    pub(crate) async fn listen_to_other_hosts(self: &Arc<Self>, transport: &Key) -> Result<Vec<Endpoint>> {
        let mut listening = self.listening.lock().await;
        let reaches = |bound: &Bound| bound.transport == *transport && !bound.address.is_local();
        let is_told = self.config.listen.iter().any(|at| at.protocol() == transport.protocol);
        if !is_told && !listening.iter().any(reaches) {
            let kind = self.registry.find(transport)?;
            let everywhere = HostPort::new(Ipv4Addr::UNSPECIFIED.to_string(), 0);
            let address = kind.protocol().any_address(&self.settings(transport)?).at(everywhere);
            listening.push(self.bind(transport, &address).await?);
        }
        drop(listening);
        self.listen(transport).await
    }

    /// Listens for the configured transport and wherever [`Config::listen`] says.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Cancel safety
    /// As [`listen`](Self::listen).
    pub(crate) async fn listen_everywhere(self: &Arc<Self>) -> Result<()> {
        self.listen(&Key::new(&self.config.codec, &*self.config.transport)).await?;
        self.listen_as_configured().await
    }

    /// Listens wherever [`Config::listen`] says.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Cancel safety
    /// As [`listen`](Self::listen).
    pub(crate) async fn listen_as_configured(self: &Arc<Self>) -> Result<()> {
        for protocol in self.config.listen.iter().map(Address::protocol) {
            self.listen(&Key::new(&self.config.codec, protocol)).await?;
        }
        Ok(())
    }

    /// Returns all addresses at which this actor listens.
    pub(crate) async fn addresses(&self) -> Vec<Address> {
        self.listening.lock().await.iter().map(|bound| bound.address.clone()).collect()
    }

    /// Returns the addresses that this actor announces.
    pub(crate) async fn endpoints(&self) -> Vec<Endpoint> {
        announced(&self.listening.lock().await).cloned().collect()
    }

    /// Returns the same as [`endpoints`](Self::endpoints), unless that is changing.
    pub(crate) fn endpoints_now(&self) -> Option<Vec<Endpoint>> {
        Some(announced(&self.listening.try_lock().ok()?).cloned().collect())
    }

    /// Opens a listener that does not accept yet.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub(crate) async fn reserve(&self, transport: &Key, address: &Address) -> Result<Reserved> {
        let kind = self.registry.find(transport)?.clone();
        if path_in(address).is_some_and(|file| file.parent() == Some(self.sockets.path())) {
            self.sockets.hold().map_err(|error| TransportError::listen(address, error))?;
        }
        let listener = kind.listen(address, &self.settings(transport)?).await?;
        Ok(Reserved { transport: transport.clone(), asked: address.clone(), kind, listener })
    }

    /// Accepts connections at listeners that were opened before.
    ///
    /// # Errors
    /// When the addresses of this host are not known.
    ///
    /// # Cancel safety
    /// If dropped, it may or may not listen there.
    pub(crate) async fn listen_at(self: &Arc<Self>, reserved: Vec<Reserved>) -> Result<()> {
        let mut listening = self.listening.lock().await;
        for reserved in reserved {
            listening.push(self.serve(reserved)?);
        }
        self.update_entry(announced(&listening).cloned().collect());
        Ok(())
    }

    async fn bind(self: &Arc<Self>, transport: &Key, address: &Address) -> Result<Bound> {
        self.serve(self.reserve(transport, address).await?)
    }

    fn serve(self: &Arc<Self>, reserved: Reserved) -> Result<Bound> {
        let Reserved { transport, asked, kind, listener } = reserved;
        let address = listener.local_address().clone();
        debug!(target: "pleach::transport", %address, "listening");
        let announced = self.advertised(&transport, &address)?;
        self.keep_among(self.tasks.listeners(), accept_loop(self.clone(), kind, listener));
        let file = path_in(&address).filter(|file| is_socket(file)).map(Path::to_owned);
        if file.is_some() {
            self.keep_among(self.tasks.listeners(), self.clone().listen_again(transport.clone()));
        }
        Ok(Bound { transport, asked, address, announced, file })
    }

    /// Listens again when the file of a socket is gone: cleaners of temporary files remove old ones.
    async fn listen_again(self: Arc<Self>, transport: Key) {
        let is_lost = async || self.listening.lock().await.iter().any(Bound::is_lost);
        loop {
            tokio::select! {
                biased;
                () = self.tasks.until_listeners_end() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if is_lost().await {
                // The new listener has a task like this one.
                match self.clone().listen_boxed(transport).await {
                    Ok(at) => return info!(target: "pleach::transport", ?at, "a socket was removed: listening again"),
                    Err(error) => return warn!(target: "pleach::transport", %error, "a socket was removed"),
                }
            }
        }
    }

    /// As [`listen`](Self::listen), which starts the caller of this.
    fn listen_boxed(self: Arc<Self>, transport: Key) -> BoxFuture<'static, Result<Vec<Endpoint>>> {
        Box::pin(async move { self.listen(&transport).await })
    }

    /// The announced form of a bound address.
    fn advertised(&self, transport: &Key, bound: &Address) -> Result<Vec<Endpoint>> {
        let own = self.config.advertise.iter().filter(|at| at.protocol() == transport.protocol);
        let mut addresses: Vec<_> = own.cloned().collect();
        if addresses.is_empty() {
            addresses = expand(bound).map_err(|error| TransportError::listen(bound, error))?;
        }
        let endpoint = |address: Address| Endpoint { transport: transport.clone(), address: address.to_string() };
        Ok(addresses.into_iter().map(endpoint).collect())
    }
}

impl Config {
    /// The same for an actor that this one starts on its host: ports and socket paths are taken.
    pub(crate) fn for_child(&self) -> Self {
        Self { listen: self.listen.iter().filter_map(at_a_free_port).collect(), advertise: Vec::new(), ..self.clone() }
    }
}

/// Where an actor is to listen for `transport`, by its configuration, and does not yet. A port that it listens at
/// for another codec is taken: for this one the system chooses.
fn missing(configured: &[Address], listening: &[Bound], transport: &Key) -> Vec<Address> {
    let own = configured.iter().filter(|at| at.protocol() == transport.protocol);
    own.filter_map(|at| {
        let free = at_a_free_port(at);
        let serves = |bound: &Bound| bound.asked == *at || free.as_ref() == Some(&bound.asked);
        let is_taken = listening.iter().any(|bound| bound.asked == *at);
        match listening.iter().any(|bound| bound.transport == *transport && serves(bound)) {
            true => None,
            false if is_taken => free,
            false => Some(at.clone()),
        }
    })
    .collect()
}

/// The same address with a port that the system chooses; none, where the protocol has no ports.
fn at_a_free_port(at: &Address) -> Option<Address> {
    Some(at.clone().at(HostPort::new(at.host_port()?.host.clone(), 0)))
}

fn announced(listening: &[Bound]) -> impl Iterator<Item = &Endpoint> {
    listening.iter().flat_map(|bound| &bound.announced)
}

/// The addresses under which a bound one is reached: those of the interfaces, if it is bound to all of them.
fn expand(bound: &Address) -> std::io::Result<Vec<Address>> {
    let Some(HostPort { host, port }) = bound.host_port() else { return Ok(vec![bound.clone()]) };
    let any: fn(&IpAddr) -> bool = match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => IpAddr::is_ipv4,
        // The system takes the other family, too, at such a socket.
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => |_: &IpAddr| true,
        _ => return Ok(vec![bound.clone()]),
    };
    let addresses = interfaces()?.into_iter().filter(any);
    Ok(addresses.map(|ip| bound.clone().at(HostPort::new(ip.to_string(), *port))).collect())
}

/// The addresses of this host that others may reach.
#[cfg(any(feature = "tcp", feature = "quic"))]
fn interfaces() -> std::io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?.into_iter().filter(|interface| !interface.is_link_local());
    Ok(interfaces.map(|interface| interface.ip()).collect())
}

/// Only a protocol of the program's own has such addresses in this build.
#[cfg(not(any(feature = "tcp", feature = "quic")))]
fn interfaces() -> std::io::Result<Vec<IpAddr>> {
    let why = "listening at all addresses of this host needs the feature `tcp` or `quic` of pleach: name one of them";
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
}

/// How soon the file of a socket is missed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_listens_where_its_parent_does_on_ports_of_its_own() {
        let listen = ["quic://10.9.0.1:1616", "tcp://[::]:0", "uds:///run/root.sock"].map(|at| at.parse().unwrap());
        let advertise = vec!["quic://gate.example:1616".parse().unwrap()];
        let config = Config { listen: listen.to_vec(), advertise, ..Config::default() }.for_child();
        let listen: Vec<_> = config.listen.iter().map(Address::to_string).collect();
        assert_eq!(listen, ["quic://10.9.0.1:0", "tcp://[::]:0"]);
        assert_eq!(config.advertise, []);
    }

    #[test]
    fn each_configured_address_is_listened_at_once_whatever_listens_already() {
        let (msgpack, json) = (Key::new("msgpack", "tcp"), Key::new("json", "tcp"));
        let configured = ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "quic://127.0.0.1:3"].map(|at| at.parse().unwrap());
        let bound = |transport: &Key, at: &str| {
            let at: Address = at.parse().unwrap();
            Bound { transport: transport.clone(), asked: at.clone(), address: at, announced: Vec::new(), file: None }
        };
        let missing = |listening: &[Bound], transport| -> Vec<String> {
            missing(&configured, listening, transport).iter().map(ToString::to_string).collect()
        };
        assert_eq!(missing(&[], &msgpack), ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"]);
        // As a registrar that listens where it is asked for names.
        let registrar = [bound(&msgpack, "tcp://127.0.0.1:9")];
        assert_eq!(missing(&registrar, &msgpack), ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"]);
        let all = ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"].map(|at| bound(&msgpack, at));
        assert!(missing(&all, &msgpack).is_empty());
        // The ports are taken: those of another codec are the system's choice.
        assert_eq!(missing(&all, &json), ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]);
        assert!(missing(&[bound(&json, "tcp://127.0.0.1:0"), bound(&msgpack, "tcp://127.0.0.1:1")], &json).is_empty());
    }

    #[cfg(any(feature = "tcp", feature = "quic"))]
    #[test]
    fn what_is_bound_to_all_interfaces_is_told_as_their_addresses() {
        let announced = expand(&"quic://0.0.0.0:7".parse().unwrap()).unwrap();
        assert!(announced.contains(&"quic://127.0.0.1:7".parse().unwrap()), "{announced:?}");
        assert!(announced.iter().all(|at| !at.to_string().contains("0.0.0.0")), "{announced:?}");
        let one: Address = "tcp://127.0.0.1:7".parse().unwrap();
        assert_eq!(expand(&one).unwrap(), [one]);
    }
}
