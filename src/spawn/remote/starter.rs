//! The probe's connections at the side that has started a keeper: what comes from there is for the actors above, and what
//! comes from this host is for the keeper.
//!
//! # Invariants
//! 1. The other side reaches the processes of the actors above its own, and nothing else of this host.

use std::os::unix::net::UnixStream as StdStream;

use tokio::net::UnixStream;

use super::mux::{Accept, Mux, Side, Tunnel};
use crate::inspect::hops::connect;
use crate::inspect::links::Link;
use crate::runtime::actor_spec::Ancestor;

/// The connections over one link.
pub(super) struct Connections {
    link: Link,
    mux: Mux,
}

impl Connections {
    /// Those with a keeper at a host, whose actor has these above it.
    pub(super) fn new(host: &str, above: Vec<Ancestor>) -> Self {
        let accept: Accept = Box::new(move |to, tunnel| {
            let route = above.get(to as usize).map(|ancestor| ancestor.route.clone()); // invariant 1
            Box::pin(async move {
                if let Some(route) = route
                    && let Ok(connection) = connect(&route).await
                {
                    tunnel.carry(connection).await;
                }
            })
        });
        Self { link: Link::open(host), mux: Mux::new(Side::Starter, accept) }
    }

    /// Takes a frame of the keeper.
    pub(super) fn take(&mut self, frame: &[u8]) {
        self.mux.take(frame);
    }

    /// Waits for the next frame for the keeper.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        loop {
            tokio::select! {
                frame = self.mux.next() => return frame,
                connection = self.link.next() => self.mux.begin(|tunnel| pass_on(connection, tunnel)),
            }
        }
    }
}

/// Connects the other end of a connection with the keeper.
async fn pass_on(connection: StdStream, tunnel: Tunnel) {
    let connection = connection.set_nonblocking(true).and_then(|()| UnixStream::from_std(connection));
    if let Ok(connection) = connection {
        tunnel.open(0).await;
        tunnel.carry(connection).await;
    }
}
