//! Accepts connections that carry values. It spawns nothing: who accepts decides which task serves a connection.

use std::fmt;
use std::marker::PhantomData;

use super::Connection;
use crate::address::Address;
use crate::error::TransportError;
use crate::registry::TransportType;
use crate::transport::Listener;

/// A bound address that accepts [`Connection`]s; made by [`Registry::listen`](crate::Registry::listen).
///
/// Dropping it stops listening at once, but may free the address a moment later. Accepted connections live on.
pub struct ConnectionListener<S, R = S> {
    transport: TransportType,
    listener: Box<dyn Listener>,
    max_frame: Option<usize>,
    values: PhantomData<fn(&S) -> R>,
}

impl<S, R> ConnectionListener<S, R> {
    /// Makes connections of the links that `listener` accepts, with the codec of `transport`.
    pub fn new(transport: TransportType, listener: Box<dyn Listener>) -> Self {
        Self { transport, listener, max_frame: None, values: PhantomData }
    }

    /// Sets the largest value that connections accepted from now on take and send, in bytes as they are encoded; 64 MiB
    /// unless it is set. What a stranger can make this process hold is this much per connection;
    /// [`Connection::set_max_frame`] raises it once you know who it is.
    pub fn set_max_frame(&mut self, bytes: usize) {
        self.max_frame = Some(bytes);
    }

    /// Returns the address that peers dial, with the real port.
    pub fn local_address(&self) -> &Address {
        self.listener.local_address()
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// When one connection could not be taken; the listener goes on and may be asked again.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no connection is lost.
    pub async fn accept(&mut self) -> Result<Connection<S, R>, TransportError> {
        let link = self.listener.accept().await?;
        let connection = Connection::new(self.transport.wrap(link));
        if let Some(bytes) = self.max_frame {
            connection.set_max_frame(bytes);
        }
        Ok(connection)
    }

    /// Stops listening; the address is free when this returns, as [`Listener::close`] says. Accepted connections live on.
    ///
    /// # Cancel safety
    /// If dropped, the address is free a moment later.
    pub async fn close(self) {
        self.listener.close().await;
    }
}

impl<S, R> fmt::Debug for ConnectionListener<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionListener({} at {})", self.transport.key(), self.local_address())
    }
}
