//! Handshakes that run beside each other at one listener, and how many may: [`MOST`].
//!
//! The first to complete comes out first. A silent peer must not keep others out: when all places are taken, a new
//! connection evicts the oldest handshake, of those from the source with the most. Each has [`GRACE`] at least, and
//! [`LONGEST`] at most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::error::TransportError;
use crate::transport::Link;

type Shaken = Result<Link, TransportError>;

/// The handshakes of one listener. Dropping it ends them all.
#[derive(Default)]
pub struct Pending {
    handshakes: FuturesUnordered<Pin<Box<dyn Future<Output = Shaken> + Send>>>,
    /// In order of arrival; completed ones are removed later.
    places: VecDeque<Place>,
}

/// Where a dialer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// At this address.
    Host(IpAddr),
    /// In this process of this host, where the system tells which.
    Process(Option<u32>),
}

/// The place of one handshake. Dropping it ends the handshake.
struct Place {
    source: Source,
    since: Instant,
    stays: oneshot::Sender<()>,
}

impl Pending {
    /// Returns how many are under way.
    pub fn len(&self) -> usize {
        self.handshakes.len()
    }

    /// Returns whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.handshakes.is_empty()
    }

    /// Waits until the next connection may begin: not at all, or until a grace has passed.
    pub fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let full_until = self.full_until();
        async move {
            if let Some(until) = full_until {
                tokio::time::sleep_until(until).await;
            }
        }
    }

    fn full_until(&self) -> Option<Instant> {
        let longest = (self.len() >= MOST).then(|| self.longest_of_the_most()).flatten()?;
        Some(self.places[longest].since + GRACE)
    }

    /// Begins the handshake with a dialer at `source`, which ends after [`LONGEST`]. If the house is full, another one
    /// ends.
    pub fn begin(&mut self, source: Source, handshake: impl Future<Output = Shaken> + Send + 'static) {
        self.places.retain(Place::is_taken);
        if self.len() >= MOST
            && let Some(longest) = self.longest_of_the_most()
        {
            self.places.remove(longest);
        }
        let (stays, leaves) = oneshot::channel();
        self.places.push_back(Place { source: source.shared(), since: Instant::now(), stays });
        self.handshakes.push(Box::pin(async move {
            tokio::select! {
                shaken = timeout(LONGEST, handshake) => shaken.unwrap_or_else(|_| Err(late())),
                _ = leaves => Err(TransportError::Handshake(format!("{source} was slow, and others waited for its place"))),
            }
        }));
    }

    /// Waits for the next one to complete; for ever if there is none.
    ///
    /// # Errors
    /// Those of the handshake, and when its place was given to another.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Shaken {
        match self.handshakes.next().await {
            Some(shaken) => shaken,
            None => std::future::pending().await,
        }
    }

    fn longest_of_the_most(&self) -> Option<usize> {
        let mut by_source: BTreeMap<Source, (usize, Reverse<usize>)> = BTreeMap::new();
        for (at, place) in self.places.iter().enumerate().filter(|(_, place)| place.is_taken()) {
            by_source.entry(place.source).or_insert((0, Reverse(at))).0 += 1;
        }
        by_source.into_values().max().map(|(_, Reverse(longest))| longest)
    }
}

impl Place {
    fn is_taken(&self) -> bool {
        !self.stays.is_closed()
    }
}

fn late() -> TransportError {
    TransportError::Handshake(format!("a dialer did not finish it within {LONGEST:?}"))
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} handshakes", self.len())
    }
}

impl Source {
    /// All that one subscriber has: in IPv6 a network of /64 at least.
    fn shared(self) -> Self {
        let Self::Host(address) = self else { return self };
        Self::Host(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
            address => address,
        })
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Host(address)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => write!(f, "{address}"),
            Self::Process(Some(pid)) => write!(f, "process {pid}"),
            Self::Process(None) => f.write_str("a process"),
        }
    }
}

/// Handshakes under way at one listener. Bounds what strangers can make us hold.
pub const MOST: usize = 256;

/// The time each handshake has when others wait: two round trips around the world.
pub const GRACE: Duration = Duration::from_millis(500);

/// The time of a handshake that a peer does not finish; the actors' handshake has as long.
pub const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Source {
        IpAddr::from([10, 0, 0, number]).into()
    }

    async fn silent() -> Shaken {
        std::future::pending().await
    }

    // SEC-7
    #[tokio::test(start_paused = true)]
    async fn who_is_silent_makes_room_after_its_time() {
        let mut pending = Pending::default();
        pending.begin(host(1), silent());
        for _ in 1..MOST {
            assert_eq!(pending.full_until(), None);
            pending.begin(host(2), silent());
        }
        let full_until = pending.full_until().expect("all places are taken");
        assert_eq!(full_until.duration_since(Instant::now()), GRACE);
        pending.begin(host(3), silent());
        // One of the source with the most: not the first of all.
        let shown_out = pending.next().await.map(drop).unwrap_err().to_string();
        assert!(shown_out.contains("10.0.0.2 was slow"), "{shown_out}");
        assert_eq!((pending.len(), pending.full_until().is_some()), (MOST, true));
    }

    #[tokio::test(start_paused = true)]
    async fn whichever_is_through_first_comes_out_first_and_leaves_its_place() {
        let mut pending = Pending::default();
        for number in 0..MOST {
            let over = async move { Err(TransportError::Handshake(format!("{number} is done"))) };
            pending.begin(host(1), async move { if number == 7 { over.await } else { silent().await } });
        }
        assert!(pending.full_until().is_some());
        assert!(pending.next().await.map(drop).unwrap_err().to_string().contains("7 is done"));
        assert_eq!(pending.full_until(), None);
    }
}
