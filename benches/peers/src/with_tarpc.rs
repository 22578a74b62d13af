//! tarpc over its serde transport with bincode, which its documentation uses, and without delay over TCP. It has no
//! streams: items are calls by 64 callers, blobs by 4.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tarpc::serde_transport::{tcp, unix};
use tarpc::server::{BaseChannel, Channel as _};
use tarpc::tokio_serde::Serializer as _;
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{ClientMessage, Response, Transport, client, context};

use crate::load::{
    BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, LOCALHOST, Library, Peer, Protocol, Work, ready, together,
};

pub(crate) const LIBRARY: Library = Library {
    name: "tarpc",
    item_bytes: || {
        let mut bincode = Bincode::<Item, Item>::default();
        Pin::new(&mut bincode).serialize(&Item::new(0)).expect("an item can be written").len()
    },
    protocols: &Protocol::ALL,
    works: &[Work::Call, Work::Flight, Work::Items, Work::Blobs, Work::Connection],
    serve: |protocol, path| serve(protocol, path).boxed_local(),
    connect: |protocol, address| connect(protocol, address).boxed_local(),
};

#[tarpc::service]
trait Bench {
    async fn reflect(item: Item) -> Item;
    async fn take(item: Item);
    async fn size(blob: Bytes) -> u64;
}

#[derive(Clone)]
struct Server;

impl Bench for Server {
    async fn reflect(self, _: context::Context, item: Item) -> Item {
        item
    }

    async fn take(self, _: context::Context, _: Item) {}

    async fn size(self, _: context::Context, blob: Bytes) -> u64 {
        blob.len() as u64
    }
}

async fn serve(protocol: Protocol, path: String) {
    match protocol {
        Protocol::Uds => {
            let mut incoming = unix::listen(&path, Bincode::default).await.expect("the path is free");
            incoming.config_mut().max_frame_length(LONGEST);
            ready(path);
            answer(incoming).await;
        }
        Protocol::Tcp => {
            let mut incoming = tcp::listen(LOCALHOST, Bincode::default).await.expect("there is a free port");
            incoming.config_mut().max_frame_length(LONGEST);
            ready(incoming.local_addr());
            let at_once = incoming.inspect(|transport| {
                let transport = transport.as_ref().expect("connections arrive");
                transport.get_ref().set_nodelay(true).expect("it is a TCP socket");
            });
            answer(at_once).await;
        }
    }
}

/// Serves as tarpc's own examples do: each connection and each request is a task.
async fn answer<T>(incoming: impl Stream<Item = io::Result<T>>)
where
    T: Transport<Response<BenchResponse>, ClientMessage<BenchRequest>> + Send + 'static,
{
    let each = incoming.for_each(async |transport| {
        let channel = BaseChannel::with_defaults(transport.expect("connections arrive"));
        tokio::spawn(channel.execute(Server.serve()).for_each(async |request| {
            tokio::spawn(request);
        }));
    });
    each.await;
}

async fn connect(protocol: Protocol, address: String) -> Box<dyn Peer> {
    let config = client::Config::default();
    let client = match protocol {
        Protocol::Uds => {
            let mut connecting = unix::connect(address, Bincode::default);
            connecting.config_mut().max_frame_length(LONGEST);
            BenchClient::new(config, connecting.await.expect("the server listens")).spawn()
        }
        Protocol::Tcp => {
            let mut connecting = tcp::connect(address, Bincode::default);
            connecting.config_mut().max_frame_length(LONGEST);
            let transport = connecting.await.expect("the server listens");
            transport.get_ref().set_nodelay(true).expect("it is a TCP socket");
            BenchClient::new(config, transport).spawn()
        }
    };
    Box::new(Client { client, blob: vec![7; BLOB].into() })
}

struct Client {
    client: BenchClient,
    blob: Bytes,
}

impl Client {
    async fn work(&self, work: Work) {
        let client = self.client.clone();
        match work {
            Work::Flight => {
                let call = move |number| {
                    let client = client.clone();
                    async move { drop(client.reflect(context::current(), Item::new(number)).await.expect(ANSWERS)) }
                };
                together(CALLERS, CALLS_EACH, call).await;
            }
            Work::Items => {
                let call = move |number| {
                    let client = client.clone();
                    async move { client.take(context::current(), Item::new(number)).await.expect(ANSWERS) }
                };
                together(CALLERS, ITEMS / CALLERS, call).await;
            }
            Work::Blobs => {
                let blob = self.blob.clone();
                let call = move |_| {
                    let (client, blob) = (client.clone(), blob.clone());
                    async move {
                        let size = client.size(context::current(), blob).await.expect(ANSWERS);
                        assert_eq!(size, BLOB as u64, "a blob arrives as a whole");
                    }
                };
                together(BLOBS_AT_ONCE, BLOBS / BLOBS_AT_ONCE, call).await;
            }
            Work::Call | Work::Echo | Work::Connection => {
                client.reflect(context::current(), Item::new(1)).await.expect(ANSWERS);
            }
        }
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work).boxed_local()
    }
}

const ANSWERS: &str = "the server answers";
const BLOBS_AT_ONCE: usize = 4;

/// The longest frame: a blob, and what a request has beside it.
const LONGEST: usize = 2 * BLOB;
