//! The source of a connection, as far as that distinguishes strangers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use pleach_wire::Address;
use pleach_wire::transport::PeerInfo;

/// Connections of one source share one allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A host; in IPv6 a network of /64, the least that one subscriber gets.
    Host(IpAddr),
    /// A user of this host.
    User(u32),
    /// A protocol of the program's own, which does not say.
    Unknown,
}

impl Source {
    /// Returns where a connection comes from; `None` if from inside this process.
    pub(super) fn of(ends: &PeerInfo) -> Option<Self> {
        if let Some(credentials) = ends.credentials {
            return Some(Self::User(credentials.uid));
        }
        match &ends.remote {
            Address::Tcp(at) | Address::TlsTcp(at) | Address::Quic(at) => {
                Some(at.host.parse().map_or(Self::Unknown, Self::host))
            }
            Address::Mem(_) => None,
            _ => Some(Self::Unknown),
        }
    }

    fn host(address: IpAddr) -> Self {
        Self::Host(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
            address => address,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::User(uid) => write!(f, "user {uid}"),
            Self::Unknown => f.write_str("an unknown address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use pleach_wire::transport::Credentials;

    use super::*;

    fn from(remote: &str) -> Option<Source> {
        let remote: Address = remote.parse().unwrap();
        Source::of(&PeerInfo { local: remote.clone(), remote, credentials: None, binding: None })
    }

    #[test]
    fn a_host_is_one_source_whatever_its_port() {
        assert_eq!(from("tcp://10.0.0.1:1"), from("quic://10.0.0.1:2"));
        assert_eq!(from("tcp://[::ffff:10.0.0.1]:1"), from("tcp://10.0.0.1:1"));
        assert_ne!(from("tcp://10.0.0.1:1"), from("tcp://10.0.0.2:1"));
        assert_eq!(from("tcp://[2001:db8::1]:1"), from("tcp://[2001:db8::ffff:2]:1"));
        assert_ne!(from("tcp://[2001:db8::1]:1"), from("tcp://[2001:db8:0:1::1]:1"));
        assert_eq!(from("mem://here"), None);
        assert_eq!(from("shuttle://there"), Some(Source::Unknown));
    }

    #[test]
    fn a_local_peer_is_its_user() {
        let remote: Address = "uds://@dialer".parse().unwrap();
        let credentials = Some(Credentials { uid: 1000, pid: Some(1) });
        assert_eq!(
            Source::of(&PeerInfo { local: remote.clone(), remote, credentials, binding: None }),
            Some(Source::User(1000))
        );
    }
}
