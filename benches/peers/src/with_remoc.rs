//! remoc with its default codec and its default configuration, which its documentation recommends: its shared receive
//! buffer grows by itself. Calls go by a remote trait, items over a typed channel, blobs over a binary one.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use remoc::codec;
use remoc::prelude::*;
use remoc::rch::{bin, mpsc};

use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, Library, Peer, Protocol, Work, together};
use crate::raw::{self, Stream};

pub(crate) const LIBRARY: Library = Library {
    name: "remoc",
    item_bytes: || {
        let mut bytes = Vec::new();
        let config = postbag::cfg::Cfg::<true>::new().with_header(false); // as remoc has it
        postbag::serialize(config, &mut bytes, &Item::new(0)).expect("an item can be written");
        bytes.len()
    },
    protocols: &Protocol::ALL,
    works: &Work::ALL,
    serve: |protocol, path| raw::serve(protocol, path, answer).boxed_local(),
    connect: |protocol, address| connect(protocol, address).boxed_local(),
};

#[rtc::remote]
trait Bench {
    async fn reflect(&self, item: Item) -> Result<Item, rtc::CallError>;
    async fn take(&self, items: mpsc::Receiver<Item>) -> Result<u64, rtc::CallError>;
    async fn take_blobs(&self, blobs: bin::Receiver) -> Result<u64, rtc::CallError>;
    async fn echo(&self, items: mpsc::Receiver<Item>) -> Result<mpsc::Receiver<Item>, rtc::CallError>;
}

struct Server;

impl Bench for Server {
    async fn reflect(&self, item: Item) -> Result<Item, rtc::CallError> {
        Ok(item)
    }

    async fn take(&self, mut items: mpsc::Receiver<Item>) -> Result<u64, rtc::CallError> {
        let mut sum = 0_u64;
        while let Ok(Some(item)) = items.recv().await {
            sum = sum.wrapping_add(item.time);
        }
        Ok(sum)
    }

    async fn take_blobs(&self, blobs: bin::Receiver) -> Result<u64, rtc::CallError> {
        let mut blobs = blobs.into_inner().await.expect("the client is there");
        blobs.set_max_data_size(BLOB);
        let mut size = 0;
        while let Ok(Some(blob)) = blobs.recv().await {
            size += blob.remaining() as u64;
        }
        Ok(size)
    }

    async fn echo(&self, mut items: mpsc::Receiver<Item>) -> Result<mpsc::Receiver<Item>, rtc::CallError> {
        let (sender, echoed) = mpsc::channel();
        tokio::spawn(async move {
            while let Ok(Some(item)) = items.recv().await
                && sender.send(item).await.is_ok()
            {}
        });
        Ok(echoed)
    }
}

async fn answer(stream: Stream) {
    let (reader, writer) = tokio::io::split(stream);
    let (server, client) = BenchServerShared::<_, codec::Default>::new(Arc::new(Server));
    // An error is the end of the connection.
    if remoc::Connect::io(remoc::Cfg::default(), reader, writer).provide(client).await.is_ok() {
        let _ = server.serve().await;
    }
}

async fn connect(protocol: Protocol, address: String) -> Box<dyn Peer> {
    let (reader, writer) = tokio::io::split(raw::dial(protocol, &address).await);
    let connecting = remoc::Connect::io(remoc::Cfg::default(), reader, writer);
    let client = connecting.consume().await.expect("the server provides one");
    Box::new(Client { client, blob: vec![7; BLOB].into(), echo: None })
}

struct Client {
    client: BenchClient,
    blob: Bytes,
    echo: Option<(mpsc::Sender<Item>, mpsc::Receiver<Item>)>,
}

impl Client {
    async fn work(&mut self, work: Work) {
        match work {
            Work::Flight => {
                let client = self.client.clone();
                let call = move |number| {
                    let client = client.clone();
                    async move { drop(client.reflect(Item::new(number)).await.expect(ANSWERS)) }
                };
                together(CALLERS, CALLS_EACH, call).await;
            }
            Work::Items => {
                let (sender, items) = mpsc::channel();
                let send = async {
                    for number in 0..ITEMS as u64 {
                        sender.send(Item::new(number)).await.expect("the server takes all");
                    }
                    drop(sender);
                };
                let (taken, ()) = tokio::join!(self.client.take(items), send);
                assert_eq!(taken.expect(ANSWERS), Item::sum(), "all items arrive");
            }
            Work::Blobs => {
                let (sender, blobs) = bin::channel();
                let blob = &self.blob;
                let send = async {
                    let mut sender = sender.into_inner().await.expect("the server is there");
                    for _ in 0..BLOBS {
                        sender.send(blob.clone()).await.expect("the server takes all");
                    }
                };
                let (taken, ()) = tokio::join!(self.client.take_blobs(blobs), send);
                assert_eq!(taken.expect(ANSWERS), (BLOBS * BLOB) as u64, "all blobs arrive");
            }
            Work::Echo => self.echo().await,
            Work::Call | Work::Connection => drop(self.client.reflect(Item::new(1)).await.expect(ANSWERS)),
        }
    }

    async fn echo(&mut self) {
        if self.echo.is_none() {
            let (sender, items) = mpsc::channel();
            self.echo = Some((sender, self.client.echo(items).await.expect(ANSWERS)));
        }
        let (sender, echoed) = self.echo.as_mut().expect("it was opened just now");
        sender.send(Item::new(1)).await.expect("the stream is open");
        echoed.recv().await.expect("the stream is open").expect("the stream is open");
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work).boxed_local()
    }
}

const ANSWERS: &str = "the server answers";
