//! A connection that leads over several processes, as keepers make it, and the processes that have started them: their
//! async runtime never stands still.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use rustix::net::sockopt::socket_peercred;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::ask::{MAX_FIRST, Reply, Request};
use super::listener::{TO_READ, is_trusted};
use super::transfer::{receive, send};
use crate::runtime::route::Route;

/// Connects to the process at the end of a route.
///
/// # Errors
/// When it has ended, or is another user's, or does not answer in time.
///
/// # Cancel safety
/// The connection is closed.
pub(crate) async fn connect(route: &Route) -> io::Result<UnixStream> {
    let connected = async {
        let mut connection = UnixStream::connect(OsStr::from_bytes(format!("\0{}", route.socket).as_bytes())).await?;
        if !socket_peercred(&connection).is_ok_and(|peer| is_trusted(peer.uid)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        for hop in &route.hops {
            send(&mut connection, &Request::Pass(hop.clone())).await?;
            receive::<Reply>(&mut connection, MAX_FIRST).await?.passed()?;
        }
        Ok(connection)
    };
    timeout(TO_READ, connected).await?
}
