//! A protocol of the program's own: Unix sockets with names instead of files, and bytes that are turned on their way.
//! Actors use it, those in other processes too, and so does a connection without actors.
//!
//! ```text
//! cargo run --example own_transport
//! cargo test --example own_transport       # the suite of conformance
//! ```

use std::io;
use std::pin::Pin;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Cx, Poll, ready};

use pleach::prelude::*;
use pleach::transports;
use pleach::wire::transport::PeerInfo;
use pleach::wire::{
    Address, Connection, Link, Listener, Msgpack, Protocol, Reach, Settings, TransportError, TransportType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

/// Dials and listens. Frames, queues, back-pressure and endings are the library's.
#[derive(Debug)]
struct Turned;

#[async_trait::async_trait]
impl Protocol for Turned {
    fn name(&self) -> &'static str {
        "turned"
    }

    fn reach(&self) -> Reach {
        Reach::Host
    }

    fn any_address(&self, _: &Settings) -> Address {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        address(&format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    async fn dial(&self, to: &Address, _: &Settings) -> Result<Link, TransportError> {
        let dialled = async { UnixStream::connect(socket_name(to)?).await }.await;
        dialled.map(|stream| link(stream, address("a-dialer"), to.clone())).map_err(|why| TransportError::dial(to, why))
    }

    async fn listen(&self, at: &Address, _: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let bound = socket_name(at).and_then(UnixListener::bind);
        let socket = bound.map_err(|why| TransportError::listen(at, why))?;
        Ok(Box::new(Bound { socket, at: at.clone() }))
    }
}

struct Bound {
    socket: UnixListener,
    at: Address,
}

#[async_trait::async_trait]
impl Listener for Bound {
    fn local_address(&self) -> &Address {
        &self.at
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        let (stream, _) = self.socket.accept().await.map_err(|why| TransportError::listen(&self.at, why))?;
        Ok(link(stream, self.at.clone(), address("a-dialer")))
    }

    async fn close(self: Box<Self>) {}
}

fn address(name: &str) -> Address {
    Address::Other { protocol: "turned".into(), rest: name.into() }
}

/// A name of Linux's own for sockets, which begins with a zero and leaves no file.
fn socket_name(address: &Address) -> io::Result<String> {
    match address {
        Address::Other { protocol, rest } if protocol == "turned" => Ok(format!("\0pleach-turned-{rest}")),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a turned:// address")),
    }
}

fn link(stream: UnixStream, local: Address, remote: Address) -> Link {
    let (reader, writer) = stream.into_split();
    let ends = PeerInfo { local, remote, credentials: None, binding: None };
    Link { reader: Box::new(Half(reader)), writer: Box::new(Half(writer)), lanes: None, ends }
}

/// Turns the bytes that pass by 13.
struct Half<T>(T);

impl<T: AsyncRead + Unpin> AsyncRead for Half<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        buf.filled_mut()[before..].iter_mut().for_each(|byte| *byte = byte.wrapping_sub(13));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Half<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let turned: Vec<u8> = buf.iter().take(64 << 10).map(|byte| byte.wrapping_add(13)).collect();
        Pin::new(&mut self.0).poll_write(cx, &turned)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[pleach::rpc]
async fn where_am_i() -> Result<String> {
    Ok(format!("a function in process {}", process::id()))
}

/// In the root and in each of its actors, before anything else.
fn setup() {
    transports::register(TransportType::framed(Msgpack, Arc::new(Turned))).expect("no other has its name");
}

#[pleach::main(init = setup)]
async fn main() -> Result<()> {
    let config = Config { transport: "turned".into(), ..Config::load()? };
    let said = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| n.run_in_actor(where_am_i()).await?.result().await).await
    });
    println!("process {} heard over turned bytes from {}", process::id(), said.await?);

    let (registry, settings) = (transports::all(), Settings::default());
    let mut listener = registry.listen("msgpack", &Turned.any_address(&settings), &settings).await?;
    let address = listener.local_address().clone();
    let dialer: Connection<&str> = registry.connect("msgpack", &address, &settings).await?;
    let mut acceptor: Connection<String> = listener.accept().await?;
    dialer.send(&"hello").await?;
    println!("without actors: {:?} at {address}", acceptor.recv().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use pleach_conformance::{Subject, conformance};
    use pleach_wire::Msgpack;

    use crate::Turned;

    conformance!(turned, Subject::framed(Msgpack, Turned));
}
