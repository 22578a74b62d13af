//! The route to a process that is asked what its actors do: by its socket, and on another host through what lies between.
//!
//! Plain data: [`inspect`](crate::inspect) makes the connections.

use serde::{Deserialize, Serialize};

/// A socket of this host, and where the connection goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    /// Its name in the abstract namespace.
    pub(crate) socket: String,
    /// The first is asked of the process behind the socket, the next of the process where that leads to, and so on.
    #[serde(default)]
    pub(crate) hops: Vec<Hop>,
}

/// A hop on the route to another host, or on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hop {
    /// At a keeper: to the process of an actor above the one that it has started, by its place among them.
    Above(u32),
    /// At a process: to the keeper at the other end of this link.
    Link(u64),
    /// At a keeper: to the actor that it has started.
    Started,
    /// At a keeper: to the process with this socket, below it.
    Below(String),
}

impl Route {
    /// The route to a process of this host.
    pub(crate) fn to(socket: impl Into<String>) -> Self {
        Self { socket: socket.into(), hops: Vec::new() }
    }

    /// Goes on with a step.
    pub(crate) fn then(mut self, hop: Hop) -> Self {
        self.hops.push(hop);
        self
    }

    /// Returns the name of the socket at its end, where that is known.
    pub(crate) fn socket_there(&self) -> &str {
        match self.hops.last() {
            Some(Hop::Below(socket)) => socket,
            _ => &self.socket,
        }
    }

    /// Returns whether it leads to another host, or may.
    pub(crate) fn is_far(&self) -> bool {
        !self.hops.is_empty()
    }
}
