//! Congestion control: Cubic, which lets the last word pass.
//!
//! While data waits to be sent, quinn holds the word that closes a connection to the congestion window
//! like any data, and a closed connection takes no acknowledgements that would open the window. So an
//! abort in the middle of a transfer would be silent, and the peer would find out by the idle time-out.
//! The one datagram does the network no harm.
//!
//! As it learns of every acknowledgement, it also counts how far the data has got.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use pleach_wire::Traffic;
use quinn::Connection;
use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;

/// Makes the controllers of connections whose datagrams are of the given size at first.
#[derive(Debug)]
pub(crate) struct Yielding {
    cubic: Arc<CubicConfig>,
}

impl Yielding {
    pub(crate) fn new(mtu: u16) -> Self {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(u64::from(mtu) * INITIAL_DATAGRAMS);
        Self { cubic: Arc::new(cubic) }
    }
}

impl ControllerFactory for Yielding {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Yields {
            cubic: self.cubic.clone().build(now, current_mtu),
            yields: Arc::default(),
            flow: Arc::default(),
        })
    }
}

/// Lets `connection` send whatever is left, now that it is closed.
pub(crate) fn yield_to_last_word(connection: &Connection) {
    if let Ok(controller) = connection.congestion_state().into_any().downcast::<Yields>() {
        controller.yields.store(true, Ordering::Relaxed);
    }
}

/// Returns the progress of `connection`'s data.
pub(crate) fn flow(connection: &Connection) -> Arc<Flow> {
    let controller = connection.congestion_state().into_any().downcast::<Yields>();
    controller.map(|controller| controller.flow.clone()).unwrap_or_default()
}

/// How far the data of one connection has got.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    acknowledged: AtomicU64,
    outstanding: AtomicUsize,
}

impl Flow {
    /// Takes that a stream has taken so many bytes.
    pub(crate) fn note_written(&self, bytes: usize) {
        self.outstanding.fetch_add(bytes, Ordering::Relaxed);
    }

    fn note_acknowledged(&self, bytes: u64) {
        self.acknowledged.fetch_add(bytes, Ordering::Relaxed);
        // Packets are a little larger than their payload: the outstanding count is off by that, until all has arrived.
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let _ = self
            .outstanding
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(bytes)));
    }

    /// Returns the bytes that the peer's QUIC has acknowledged, and those that streams have taken and it has not.
    pub(crate) fn traffic(&self) -> Traffic {
        let moved = self.acknowledged.load(Ordering::Relaxed);
        Traffic { moved, waiting: self.outstanding.load(Ordering::Relaxed) }
    }
}

struct Yields {
    cubic: Box<dyn Controller>,
    yields: Arc<AtomicBool>,
    flow: Arc<Flow>,
}

impl Controller for Yields {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.flow.note_acknowledged(bytes);
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.yields.load(Ordering::Relaxed) { UNLIMITED } else { self.cubic.window() }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box(), yields: self.yields.clone(), flow: self.flow.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The initial congestion window, in datagrams (RFC 9002, 7.2).
/// It must hold some of the largest: with quinn's 14 KiB, not one jumbo datagram would ever be sent.
const INITIAL_DATAGRAMS: u64 = 10;

/// Above what quinn paces: the pacer would hold the last word back as well.
const UNLIMITED: u64 = 1 << 40;
