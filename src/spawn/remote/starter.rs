//! The probe's connections at the side that has started a keeper: what comes from there is for the actors above, and what
//! comes from this host is for the keeper.
//!
//! # Invariants
//! 1. The other side reaches the processes of the actors above its own, and nothing else of this host.

use std::os::unix::net::UnixStream as StdStream;

use futures_util::{StreamExt as _, stream};
use tokio::net::UnixStream;

use super::mux::{Accept, Mux, Serve, Side, Tunnel};
use crate::inspect::hops::connect;
use crate::inspect::links::Link;
use crate::runtime::actor_spec::Ancestor;

/// Opens a link to a host, and serves the connections over it, with a keeper whose actor has these above it.
pub(super) fn serve(host: &str, above: Vec<Ancestor>) -> Mux {
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
    let arrivals = stream::unfold(Link::open(host), async |mut link| {
        let connection = link.next().await;
        let serve: Serve = Box::new(|tunnel| Box::pin(pass_on(connection, tunnel)));
        Some((serve, link))
    });
    Mux::new(Side::Starter, accept, arrivals.boxed())
}

/// Connects the other end of a connection with the keeper.
async fn pass_on(connection: StdStream, tunnel: Tunnel) {
    let connection = connection.set_nonblocking(true).and_then(|()| UnixStream::from_std(connection));
    if let Ok(connection) = connection {
        tunnel.open(0).await;
        tunnel.carry(connection).await;
    }
}
