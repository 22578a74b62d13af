//! ractor_cluster: a remote actor that is found by its group, with protobuf messages and without spans. Over TCP its own
//! connections, over Unix sockets those that it takes from outside. Items are messages without an answer, and then one
//! call; nothing slows their sender down.
//!
//! Connections are between nodes and stay, so that there is nothing to measure about them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use prost::Message as _;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, pg};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, NetworkStream, NodeServer, NodeServerMessage, RactorClusterMessage,
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, LOCALHOST, Library, Peer, Protocol, Work};
use crate::load::{ready, together};
use crate::with_tonic::Tick;

pub(crate) const LIBRARY: Library = Library {
    name: "ractor",
    item_bytes: || Tick::new(0).encode_length_delimited_to_vec().len(),
    protocols: &Protocol::ALL,
    works: &[Work::Call, Work::Flight, Work::Items, Work::Blobs],
    serve: |protocol, path| serve(protocol, path).boxed_local(),
    connect: |protocol, address| connect(protocol, address).boxed_local(),
};

ractor_cluster::derive_serialization_for_prost_type! {Tick}

#[derive(RactorClusterMessage)]
enum Request {
    #[rpc]
    Reflect(Tick, RpcReplyPort<Tick>),
    Take(Tick),
    TakeBlob(Vec<u8>),
    /// The sum of what has been taken since the last time.
    #[rpc]
    Taken(RpcReplyPort<u64>),
}

struct Bench;

impl Actor for Bench {
    type Msg = Request;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Request>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Request>, request: Request, sum: &mut u64) -> Result<(), ActorProcessingErr> {
        match request {
            Request::Reflect(item, reply) => reply.send(item)?,
            Request::Take(item) => *sum = sum.wrapping_add(item.time),
            Request::TakeBlob(blob) => *sum += blob.len() as u64,
            Request::Taken(reply) => reply.send(std::mem::take(sum))?,
        }
        Ok(())
    }
}

/// A Unix socket, as a cluster takes it from outside.
struct Outside(UnixStream);

impl ClusterBidiStream for Outside {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (reader, writer) = self.0.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

async fn serve(protocol: Protocol, path: String) {
    let node = node("server".to_owned()).await;
    let (bench, _) = Actor::spawn(None, Bench, ()).await.expect("an actor can be started");
    match protocol {
        Protocol::Uds => {
            let listener = UnixListener::bind(&path).expect("the path is free");
            pg::join(path.clone(), vec![bench.get_cell()]);
            ready(path);
            loop {
                open_unix(&node, listener.accept().await.expect("connections arrive").0, true);
            }
        }
        Protocol::Tcp => {
            let listener = TcpListener::bind(LOCALHOST).await.expect("there is a free port");
            let address = listener.local_addr().expect("it is bound");
            pg::join(address.to_string(), vec![bench.get_cell()]);
            ready(address);
            loop {
                open_tcp(&node, listener.accept().await.expect("connections arrive").0, true);
            }
        }
    }
}

async fn connect(protocol: Protocol, address: String) -> Box<dyn Peer> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let node = node(format!("client {}", NUMBER.fetch_add(1, Ordering::Relaxed))).await;
    match protocol {
        Protocol::Uds => open_unix(&node, UnixStream::connect(&address).await.expect("the server listens"), false),
        Protocol::Tcp => open_tcp(&node, TcpStream::connect(&address).await.expect("the server listens"), false),
    }
    // The group has the name of the address; its members are announced when the nodes trust each other.
    loop {
        if let Some(actor) = pg::get_members(&address).into_iter().next() {
            return Box::new(Client { node, actor: actor.into(), blob: vec![7; BLOB] });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A node of its own. Its port is not used: connections are accepted here, where their address is known.
async fn node(name: String) -> ActorRef<NodeServerMessage> {
    let server = NodeServer::new(0, "cookie".to_owned(), name, "localhost".to_owned(), None, None);
    let server = server.with_listen_addr([127, 0, 0, 1].into());
    Actor::spawn(None, server, ()).await.expect("a node can be started").0
}

fn open_unix(node: &ActorRef<NodeServerMessage>, stream: UnixStream, is_server: bool) {
    let opened = NodeServerMessage::ConnectionOpenedExternal { stream: Box::new(Outside(stream)), is_server };
    node.cast(opened).expect("the node runs");
}

fn open_tcp(node: &ActorRef<NodeServerMessage>, stream: TcpStream, is_server: bool) {
    stream.set_nodelay(true).expect("it is a TCP socket");
    let peer_addr = stream.peer_addr().expect("it is connected");
    let local_addr = stream.local_addr().expect("it is connected");
    let stream = Box::new(NetworkStream::Raw { peer_addr, local_addr, stream });
    node.cast(NodeServerMessage::ConnectionOpened { stream, is_server }).expect("the node runs");
}

struct Client {
    node: ActorRef<NodeServerMessage>,
    actor: ActorRef<Request>,
    blob: Vec<u8>,
}

impl Client {
    async fn work(&self, work: Work) {
        match work {
            Work::Flight => {
                let actor = self.actor.clone();
                let call = move |number| {
                    let actor = actor.clone();
                    async move { drop(call!(actor, Request::Reflect, Tick::new(number)).expect(ANSWERS)) }
                };
                together(CALLERS, CALLS_EACH, call).await;
            }
            Work::Items => {
                for number in 0..ITEMS as u64 {
                    self.actor.cast(Request::Take(Tick::new(number))).expect("the server takes all");
                }
                assert_eq!(call!(self.actor, Request::Taken).expect(ANSWERS), Item::sum(), "all items arrive");
            }
            Work::Blobs => {
                for _ in 0..BLOBS {
                    self.actor.cast(Request::TakeBlob(self.blob.clone())).expect("the server takes all");
                }
                let size = call!(self.actor, Request::Taken).expect(ANSWERS);
                assert_eq!(size, (BLOBS * BLOB) as u64, "all blobs arrive");
            }
            Work::Call | Work::Echo | Work::Connection => {
                call!(self.actor, Request::Reflect, Tick::new(1)).expect(ANSWERS);
            }
        }
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work).boxed_local()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.node.stop(None);
    }
}

const ANSWERS: &str = "the server answers";
