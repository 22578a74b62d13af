//! Where to dial or listen: URIs and multiaddrs.
//!
//! | URI | multiaddr |
//! |---|---|
//! | `tcp://127.0.0.1:1616`, `tcp://[::1]:1616`, `tcp://host:1616` | `/ip4/127.0.0.1/tcp/1616`, `/ip6/::1/tcp/1616`, `/dns/host/tcp/1616` |
//! | `tls+tcp://127.0.0.1:1616` | `/ip4/127.0.0.1/tcp/1616/tls` |
//! | `quic://127.0.0.1:1616` | `/ip4/127.0.0.1/udp/1616/quic-v1` |
//! | `uds:///run/a.sock`, `uds://@abstract` | `/unix/run/a.sock` |
//! | `mem://name` | `/memory/name` |
//!
//! A registered protocol of another name uses `name://anything`.
//! Sources: RFC 3986 for URIs; the multiaddr specification of multiformats for the other form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where an actor can be reached. Prints as a URI and parses from both forms.
///
/// ```
/// # use pleach_wire::Address;
/// let address: Address = "/ip4/127.0.0.1/tcp/1616".parse()?;
/// assert_eq!(address.to_string(), "tcp://127.0.0.1:1616");
/// assert_eq!(address.protocol(), "tcp");
/// # Ok::<(), pleach_wire::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A TCP port.
    Tcp(HostPort),
    /// A TCP port that speaks TLS.
    TlsTcp(HostPort),
    /// A UDP port that speaks QUIC.
    Quic(HostPort),
    /// A Unix socket.
    Uds(UdsName),
    /// A name inside this process.
    Mem(String),
    /// An address of a protocol of another name: `shm`, or one that a user registered.
    Other {
        /// The protocol's name.
        protocol: String,
        /// The protocol-specific part.
        rest: String,
    },
}

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port; 0 asks the system for a free one.
    pub port: u16,
}

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UdsName {
    /// An absolute path in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the leading NUL.
    Abstract(String),
}

impl Address {
    /// Returns the name of the protocol, as the registry knows it.
    pub fn protocol(&self) -> &str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::TlsTcp(_) => "tls+tcp",
            Self::Quic(_) => "quic",
            Self::Uds(_) => "uds",
            Self::Mem(_) => "mem",
            Self::Other { protocol, .. } => protocol,
        }
    }

    /// Returns the host and port, where the protocol has them.
    pub fn host_port(&self) -> Option<&HostPort> {
        match self {
            Self::Tcp(at) | Self::TlsTcp(at) | Self::Quic(at) => Some(at),
            Self::Uds(_) | Self::Mem(_) | Self::Other { .. } => None,
        }
    }

    /// The same with another host and port; unchanged where the protocol has none.
    pub fn at(mut self, host_port: HostPort) -> Self {
        if let Self::Tcp(at) | Self::TlsTcp(at) | Self::Quic(at) = &mut self {
            *at = host_port;
        }
        self
    }

    /// Returns whether only this host can reach it: a loopback or local address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(at) | Self::TlsTcp(at) | Self::Quic(at) => at.is_loopback(),
            Self::Uds(_) | Self::Mem(_) => true,
            Self::Other { .. } => false,
        }
    }
}

impl HostPort {
    /// Names `port` at `host`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Returns whether the host is this machine's loopback.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for UdsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// `/run/a.sock` or `@abstract`, as behind `uds://`: for protocols of other names that meet at such sockets.
impl FromStr for UdsName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        uds_name(text).map_err(|why| AddressError { text: text.to_owned(), why })
    }
}

impl From<std::net::SocketAddr> for HostPort {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::TlsTcp(at) => write!(f, "tls+tcp://{at}"),
            Self::Quic(at) => write!(f, "quic://{at}"),
            Self::Uds(name) => write!(f, "uds://{name}"),
            Self::Mem(name) => write!(f, "mem://{name}"),
            Self::Other { protocol, rest } => write!(f, "{protocol}://{rest}"),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |why: String| AddressError { text: text.to_owned(), why };
        if let Some((protocol, rest)) = text.split_once("://") {
            return from_uri(protocol, rest).map_err(error);
        }
        match text.strip_prefix('/') {
            Some(multiaddr) => from_multiaddr(multiaddr).map_err(error),
            None => Err(error("it has no `protocol://` and is not a multiaddr".into())),
        }
    }
}

/// A text that is not a valid address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid address: {why}; use e.g. tcp://127.0.0.1:1616, uds:///run/a.sock, \
     tls+tcp://host:1616, quic://host:1616, mem://name or /ip4/127.0.0.1/tcp/1616"
)]
pub struct AddressError {
    text: String,
    why: String,
}

fn from_uri(protocol: &str, rest: &str) -> Result<Address, String> {
    let named = |what: &str| if rest.is_empty() { Err(format!("the {what} is empty")) } else { Ok(rest.to_owned()) };
    match protocol {
        "tcp" => host_port(rest).map(Address::Tcp),
        "tls+tcp" => host_port(rest).map(Address::TlsTcp),
        "quic" => host_port(rest).map(Address::Quic),
        "uds" => uds_name(rest).map(Address::Uds),
        "mem" => named("name").map(Address::Mem),
        _ if is_protocol_name(protocol) => Ok(Address::Other { protocol: protocol.into(), rest: named("address")? }),
        _ => Err(format!("`{protocol}` is not a valid protocol name (letters, digits, + - .)")),
    }
}

fn from_multiaddr(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix/") {
        return uds_name(&format!("/{path}")).map(Address::Uds);
    }
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["memory", name] if !name.is_empty() => Ok(Address::Mem(name.into())),
        [kind, host, "tcp", port] => Ok(Address::Tcp(multiaddr_host(kind, host, port)?)),
        [kind, host, "tcp", port, "tls"] => Ok(Address::TlsTcp(multiaddr_host(kind, host, port)?)),
        [kind, host, "udp", port, "quic" | "quic-v1"] => Ok(Address::Quic(multiaddr_host(kind, host, port)?)),
        _ => Err("it is not a multiaddr of a known form".into()),
    }
}

fn multiaddr_host(kind: &str, host: &str, port: &str) -> Result<HostPort, String> {
    let valid = match kind {
        "ip4" => host.parse::<Ipv4Addr>().is_ok(),
        "ip6" => host.parse::<Ipv6Addr>().is_ok(),
        "dns" | "dns4" | "dns6" => is_host_name(host),
        _ => return Err(format!("`{kind}` is none of ip4, ip6, dns")),
    };
    if !valid {
        return Err(format!("`{host}` is no {kind} host"));
    }
    Ok(HostPort::new(host, parse_port(port)?))
}

fn host_port(text: &str) -> Result<HostPort, String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    let port = parse_port(port)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
        Some(inner) => return Err(format!("`{inner}` is not an IPv6 address")),
        None if is_host_name(host) => host,
        None => return Err(format!("`{host}` is not a valid host name (IPv6 addresses go in brackets)")),
    };
    Ok(HostPort::new(host, port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is not a port (0 to 65535)"))
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn is_protocol_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

fn uds_name(text: &str) -> Result<UdsName, String> {
    match text.strip_prefix('@') {
        Some("") => Err("the abstract name is empty".into()),
        Some(name) => Ok(UdsName::Abstract(name.into())),
        None if text.len() > 1 && text.starts_with('/') => Ok(UdsName::Path(PathBuf::from(text))),
        None => Err(format!("`{text}` is not an absolute path (abstract names start with @)")),
    }
}
