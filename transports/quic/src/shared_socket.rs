//! A bound UDP socket with quinn's endpoint on it: shared by a listener and its links, or owned by one dialled link.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use pleach_wire::record;
use quinn::{Endpoint, Runtime, ServerConfig};
use socket2::{Domain, Socket, Type};

use crate::driver::{Driver, Drivers};
use crate::tuning;

/// A UDP socket in use. Dropping it frees the port before the drop returns.
///
/// Every connection on it must be gone by then: each holds the socket and is declared before it.
#[derive(Debug)]
pub(crate) struct SharedSocket {
    pub(crate) endpoint: Endpoint,
    pub(crate) drivers: Arc<Drivers>,
    /// Declared after the endpoint: it is dropped last and lets go of the socket.
    _driver: Driver,
}

impl SharedSocket {
    /// Binds `at`. With `server` it takes connections too.
    pub(crate) fn bind(at: SocketAddr, server: Option<ServerConfig>, mtu: Option<u16>) -> io::Result<Self> {
        let drivers = Arc::new(Drivers::new());
        let socket = drivers.wrap_udp_socket(bind(at)?)?;
        let endpoint = Endpoint::new_with_abstract_socket(tuning::endpoint(mtu), server, socket, drivers.clone())?;
        let driver = drivers.take_latest().expect("making an endpoint spawns its driver");
        Ok(Self { endpoint, drivers, _driver: driver })
    }

    /// Binds a free port for a dial to `peer`: on loopback if the peer is there, so that no one else can reach it.
    pub(crate) fn bind_for(peer: SocketAddr, mtu: Option<u16>) -> io::Result<Self> {
        let local = match peer.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::bind(SocketAddr::new(local, 0), None, mtu)
    }
}

fn bind(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
    for (name, set) in [
        ("receive", socket.set_recv_buffer_size(tuning::SOCKET_BUFFER)),
        ("send", socket.set_send_buffer_size(tuning::SOCKET_BUFFER)),
    ] {
        if let Err(error) = set {
            record!(DEBUG, target: "pleach::transport", %error, "the {name} buffer of a socket stays as it is");
        }
    }
    socket.bind(&at.into())?;
    Ok(socket.into())
}
