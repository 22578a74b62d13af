//! Limits, timers and datagram sizes, each with its reason.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::pending;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};

use crate::congestion::Yielding;

/// The configuration of an endpoint that receives datagrams of up to `mtu` bytes.
pub(crate) fn endpoint(mtu: Option<u16>) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    if let Some(mtu) = mtu.filter(|&mtu| mtu > DEFAULT_MTU) {
        config.max_udp_payload_size(mtu.min(MAX_MTU)).expect("between 1452 and 65000, and 1200 to 65527 is allowed");
    }
    config
}

/// The configuration of a connection, the same on both sides but for the streams that the peer may open.
/// `silence`: how long the peer may be silent; `None` for a peer on this host, which may be so for ever.
pub(crate) fn transport(mtu: Option<u16>, bidirectional: u32, silence: Option<Duration>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(silence.map(idle_timeout))
        .keep_alive_interval(silence.map(|silence| idle_period(silence) * 3 / 10))
        .max_concurrent_bidi_streams(VarInt::from_u32(bidirectional))
        .max_concurrent_uni_streams(VarInt::from_u32(LANES))
        .stream_receive_window(VarInt::from_u32(silence.map_or(LOCAL_STREAM_WINDOW, |_| STREAM_WINDOW)))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(Yielding::new(mtu.unwrap_or(DEFAULT_MTU).clamp(DEFAULT_MTU, MAX_MTU))));
    if let Some(mtu) = mtu.filter(|&mtu| mtu > DEFAULT_MTU) {
        // Known, so nothing is to be probed. `min_mtu` stays: it pads the first datagrams, and a peer that does not
        // know the large size could not read them.
        config.initial_mtu(mtu.min(MAX_MTU)).mtu_discovery_config(None);
        config.enable_segmentation_offload(mtu <= OFFLOAD_UP_TO);
    }
    config
}

/// Whether a peer is on this host: then it may be silent for any time, as one that is stopped is.
pub(crate) fn is_on_this_host(local: Option<IpAddr>, peer: IpAddr) -> bool {
    peer.is_loopback() || local == Some(peer)
}

/// A peer is gone when nothing came for so long: three keep-alives in a row were lost, and a tenth is left over.
fn idle_timeout(silence: Duration) -> IdleTimeout {
    VarInt::try_from(idle_period(silence).as_millis() as u64).map_or_else(|_| VarInt::MAX.into(), IdleTimeout::from)
}

/// Within quinn's limits: keep-alives should be rare, and numbers of milliseconds small.
fn idle_period(silence: Duration) -> Duration {
    silence.clamp(Duration::from_secs(1), Duration::from_secs(365 * 24 * 3600))
}

/// With so many under way, a dialer must first prove that it receives at its address: forged ones can't fill the rest.
pub(crate) const PROVE_ADDRESS: usize = pending::MOST / 2;

/// Dial attempts that wait for `accept` at one listener, beyond those under way; more are refused.
pub(crate) const BACKLOG: usize = 1024;

/// A name with several addresses: after this without success the next one is tried as well (RFC 8305).
pub(crate) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Streams that the peer may have open to us: as many as `pleach-wire` has lanes.
const LANES: u32 = 1024;

/// The flow-control window of one stream: 1 Gbit/s to a peer 10 ms away. Not more: with 2 MiB, large
/// datagrams on loopback took nearly twice the processor time (probably they outgrew its caches).
const STREAM_WINDOW: u32 = 1_250_000;

/// The same for a peer on this host, which is reached at once: what is in the window delays control behind it. With less,
/// both sides wait for each other's turn of the processor.
const LOCAL_STREAM_WINDOW: u32 = 512 << 10;

/// The window of all streams together, received and not read, or sent and not acknowledged: it bounds memory.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Asked of the system for each direction, which grants what it allows; with the usual 208 KiB, bursts are lost.
pub(crate) const SOCKET_BUFFER: usize = 8 << 20;

/// Up to here quinn finds the size of datagrams by probing; the usual Internet path carries it.
const DEFAULT_MTU: u16 = 1452;

/// The largest datagram that is asked for; a UDP packet holds 65507 bytes.
const MAX_MTU: u16 = 65_000;

/// Quinn hands the system up to ten datagrams at once, and the system takes 64 KiB: larger ones go one by one.
const OFFLOAD_UP_TO: u16 = 6_500;
