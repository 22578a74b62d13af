//! The probe's connections at a keeper: those of this host's actors go up to the actors above them, and what comes from
//! there is asked here.
//!
//! Its socket is like that of any process with actors: in the abstract namespace, for this user and root.
//!
//! # Invariants
//! 1. What comes from above reaches the processes below this one, and nothing else of this host.

use std::io;
use std::os::unix::net::UnixListener as StdListener;

use futures_util::{StreamExt as _, stream};
use rustix::net::sockopt::socket_peercred;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy_bidirectional, duplex};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::mux::{Accept, Mux, Serve, Side, Tunnel};
use crate::inspect::hops::connect;
use crate::inspect::listener::{MAX_REQUEST, TO_READ, bind, is_trusted};
use crate::inspect::transfer::{receive, send};
use crate::inspect::{Reply, Request, pid_in, sockets_here};
use crate::os::about;
use crate::runtime::actor_spec::Ancestor;
use crate::runtime::route::{Hop, Route};

/// The socket of a keeper.
pub(super) struct Gate {
    socket: StdListener,
    name: String,
}

impl Gate {
    /// Opens that of this process.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(super) fn open() -> io::Result<Self> {
        let (socket, name) = bind("pleach-gate/")?;
        Ok(Self { socket, name })
    }

    /// Makes the routes to the actors above begin here, for those on this host.
    pub(super) fn lead_to(&self, above: &mut [Ancestor]) {
        for (at, ancestor) in above.iter_mut().enumerate() {
            ancestor.route = Route::to(&self.name).then(Hop::Above(at as u32));
        }
    }

    /// Serves the connections over the link to the host that this process was started from, for the actor with this
    /// process id and the actors above it.
    ///
    /// # Errors
    /// When the async runtime does not take the socket.
    pub(super) fn serve(self, actor: Option<u32>, above: usize) -> io::Result<Mux> {
        let accept: Accept = Box::new(move |_, tunnel| {
            Box::pin(async move {
                let (near, far) = duplex(BUFFER);
                tokio::join!(tunnel.carry(near), answer(far, actor));
            })
        });
        let arrivals = stream::unfold(UnixListener::from_std(self.socket)?, move |socket| async move {
            let connection = arrived(&socket).await;
            let serve: Serve = Box::new(move |tunnel| Box::pin(pass_up(connection, tunnel, above)));
            Some((serve, socket))
        });
        Ok(Mux::new(Side::Keeper, accept, arrivals.boxed()))
    }
}

/// Waits for the next connection of this host; after an error, when files may have run out, for a moment first.
async fn arrived(socket: &UnixListener) -> UnixStream {
    loop {
        match socket.accept().await {
            Ok((connection, _)) => return connection,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Connects an actor of this host with the process of one above it.
async fn pass_up(mut connection: UnixStream, tunnel: Tunnel, above: usize) {
    if !socket_peercred(&connection).is_ok_and(|peer| is_trusted(peer.uid)) {
        return;
    }
    let asked = timeout(TO_READ, receive(&mut connection, MAX_REQUEST)).await;
    let Ok(Ok(Request::Pass(Hop::Above(to)))) = asked else { return };
    if to as usize >= above {
        let _ = send(&mut connection, &Reply::NotThere).await; // it may have left
    } else if send(&mut connection, &Reply::Passed).await.is_ok() {
        tunnel.open(to).await;
        tunnel.carry(connection).await;
    }
}

/// Answers a request from above, or leads the connection to the process that is to answer it.
async fn answer(mut asked: DuplexStream, actor: Option<u32>) {
    let Ok(Ok(request)) = timeout(TO_READ, receive(&mut asked, MAX_REQUEST)).await else { return };
    let to = match request {
        Request::Sockets => {
            let _ = send(&mut asked, &Reply::Sockets(below())).await; // the other side may have left
            return;
        }
        Request::Pass(Hop::Started) => below().into_iter().find(|socket| pid_in(socket) == actor),
        Request::Pass(Hop::Below(socket)) => below().into_iter().find(|there| *there == socket),
        _ => None,
    };
    let _ = match to {
        Some(socket) => lead_on(asked, &Route::to(socket)).await, // either may end at any time
        None => send(&mut asked, &Reply::NotThere).await,         // the other side may have left
    };
}

/// Leads a connection to a process once there is something to ask it: it waits for that for a moment only, and the other
/// side may be far away.
async fn lead_on(mut asked: DuplexStream, route: &Route) -> io::Result<()> {
    send(&mut asked, &Reply::Passed).await?;
    let mut first = vec![0; BUFFER];
    let len = timeout(TO_READ, asked.read(&mut first)).await??;
    let mut there = connect(route).await?;
    there.write_all(&first[..len]).await?;
    copy_bidirectional(&mut asked, &mut there).await.map(|_| ())
}

/// Returns the sockets of the processes below this one.
fn below() -> Vec<String> {
    sockets_here().into_iter().filter(|socket| is_below(socket)).collect()
}

/// Invariant 1.
fn is_below(socket: &str) -> bool {
    let own = std::process::id();
    pid_in(socket).is_some_and(|pid| pid != own && about::ancestry_of(pid).any(|pid| pid == own))
}

/// How many bytes wait between a tunnel and what answers it.
const BUFFER: usize = 16 << 10;

/// The pause after a connection could not be accepted.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(request: Request) -> io::Result<Reply> {
        let (mut near, far) = duplex(BUFFER);
        let (reply, ()) = tokio::join!(
            async {
                send(&mut near, &request).await?;
                receive(&mut near, MAX_REQUEST).await
            },
            answer(far, None)
        );
        reply
    }

    // SEC-30
    /// Invariant 1: this very process is not below itself.
    #[tokio::test]
    async fn only_what_is_below_a_keeper_is_reached_from_above() {
        let (_here, own) = bind("pleach-inspect/").unwrap();
        for socket in [&*own, "pleach-inspect/1/00000000", "pleach-inspect/x", "another"] {
            let reply = asked(Request::Pass(Hop::Below(socket.into()))).await.unwrap();
            assert!(matches!(reply, Reply::NotThere), "{socket}: {reply:?}");
        }
        assert!(matches!(asked(Request::Pass(Hop::Started)).await.unwrap(), Reply::NotThere));
        let Reply::Sockets(listed) = asked(Request::Sockets).await.unwrap() else { panic!("it has a list") };
        assert!(!listed.contains(&own), "{listed:?}");
        assert!(matches!(asked(Request::Report).await.unwrap(), Reply::NotThere), "it hosts no actor");
    }
}
