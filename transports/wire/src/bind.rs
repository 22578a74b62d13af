//! Binding a name that has several addresses: each of them, all at one port.
//!
//! A listener at one address of several would be missed by dialers of another one, or worse: that could belong to
//! another program. It opens no socket itself; the protocols do, through a function.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::{Address, HostPort};

/// Returns the addresses that `host` stands for, each once: those that were found, and for `localhost` both loopback
/// addresses, whatever the system's list of hosts says (RFC 6761, 6.3).
///
/// # Errors
/// When there is none.
pub fn addresses(at: &HostPort, found: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, at.port)), SocketAddr::from((Ipv6Addr::LOCALHOST, at.port))];
    let own = loopback.into_iter().filter(|_| at.host == LOCALHOST);
    let mut addresses = Vec::new();
    for address in own.chain(found) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, format!("the name `{}` has no address", at.host))),
        false => Ok(addresses),
    }
}

/// Binds all of `addresses`, at the same port; `bind` returns the listener, and its address. With port 0 the system
/// chooses one that is free at all of them. An address that this host does not have is left out.
///
/// # Errors
/// When one of them is taken or not allowed, or none can be bound.
pub fn bind_all<T>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<(T, SocketAddr)>,
) -> io::Result<Vec<(T, SocketAddr)>> {
    let mut attempt = 1;
    loop {
        match bind_at_one_port(addresses, &bind) {
            // The port that was free at the first address is taken at another one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => {
                if addresses.iter().any(|at| at.port() != 0) {
                    return Err(error);
                }
                attempt += 1;
            }
            bound => return bound,
        }
    }
}

fn bind_at_one_port<T>(
    addresses: &[SocketAddr],
    bind: &impl Fn(SocketAddr) -> io::Result<(T, SocketAddr)>,
) -> io::Result<Vec<(T, SocketAddr)>> {
    let mut bound: Vec<(T, SocketAddr)> = Vec::new();
    let mut failure = None;
    for at in addresses {
        let port = bound.first().map_or(at.port(), |(_, first)| first.port());
        match bind(SocketAddr::new(at.ip(), port)) {
            Ok(one) => bound.push(one),
            Err(error) if matters(&error) => return Err(error),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(failure) if bound.is_empty() => Err(failure),
        _ => Ok(bound),
    }
}

/// Whether an address can't be left out: it exists, and may lead to another program.
fn matters(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Returns the address that peers dial: the address that was bound, or the name that stands for several.
pub fn dialled_as(asked: &Address, bound: &[SocketAddr]) -> Address {
    let host_port = match (bound, asked.host_port()) {
        ([first, _, ..], Some(name)) => HostPort::new(&name.host, first.port()),
        ([first, ..], _) => HostPort::from(*first),
        ([], _) => return asked.clone(),
    };
    asked.clone().at(host_port)
}

/// The name of this host that always means its loopback addresses.
const LOCALHOST: &str = "localhost";

/// How often the system is asked for another port.
const ATTEMPTS: u32 = 16;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn localhost(port: u16) -> Vec<SocketAddr> {
        let name = HostPort::new("localhost", port);
        addresses(&name, [SocketAddr::from((Ipv4Addr::LOCALHOST, port))].into_iter()).unwrap()
    }

    fn failing(kind: io::ErrorKind) -> impl Fn(SocketAddr) -> io::Result<((), SocketAddr)> {
        move |at| if at.is_ipv6() { Err(kind.into()) } else { Ok(((), SocketAddr::new(at.ip(), 7))) }
    }

    #[test]
    fn localhost_is_both_loopback_addresses_once() {
        assert_eq!(localhost(5), ["127.0.0.1:5".parse().unwrap(), "[::1]:5".parse().unwrap()]);
        let other = HostPort::new("gate", 5);
        assert_eq!(addresses(&other, std::iter::empty()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn all_addresses_of_a_name_are_bound_at_one_port() {
        let bind = |at: SocketAddr| Ok(((), SocketAddr::new(at.ip(), if at.port() == 0 { 7 } else { at.port() })));
        let bound: Vec<_> = bind_all(&localhost(0), bind).unwrap().into_iter().map(|(_, at)| at).collect();
        assert_eq!(bound, ["127.0.0.1:7".parse().unwrap(), "[::1]:7".parse().unwrap()]);
        let asked: Address = "tcp://localhost:0".parse().unwrap();
        assert_eq!(dialled_as(&asked, &bound).to_string(), "tcp://localhost:7");
        assert_eq!(dialled_as(&asked, &bound[..1]).to_string(), "tcp://127.0.0.1:7");
    }

    #[test]
    fn an_address_that_the_host_does_not_have_is_left_out_and_a_taken_one_is_not() {
        assert_eq!(bind_all(&localhost(7), failing(io::ErrorKind::AddrNotAvailable)).unwrap().len(), 1);
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied] {
            assert_eq!(bind_all(&localhost(7), failing(kind)).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn a_port_that_is_free_at_one_address_only_is_not_taken() {
        let next = Cell::new(6);
        let bind = |at: SocketAddr| match at.port() {
            0 => Ok(((), SocketAddr::new(at.ip(), next.replace(next.get() + 1)))),
            8.. => Ok(((), at)),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        };
        let bound = bind_all(&localhost(0), bind).unwrap();
        assert!(bound.len() == 2 && bound.iter().all(|(_, at)| at.port() == 8), "{bound:?}");
    }
}
