//! tonic with prost. Windows of 8 MiB, so that a blob does not wait for HTTP/2's 64 KiB, and no delay over TCP.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status, Streaming};

use self::generated::bench_client::BenchClient;
use self::generated::bench_server::{Bench, BenchServer};
use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, LOCALHOST, Library, Peer, Protocol, Work};
use crate::load::{ready, together};

pub(crate) const LIBRARY: Library = Library {
    name: "tonic",
    item_bytes: || Tick::new(0).encoded_len(),
    protocols: &Protocol::ALL,
    works: &Work::ALL,
    serve: |protocol, path| serve(protocol, path).boxed_local(),
    connect: |protocol, address| connect(protocol, address).boxed_local(),
};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.Bench.rs"));
}

/// The value of all peers, as protobuf has it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tick {
    #[prost(fixed64, tag = "1")]
    pub(crate) time: u64,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(double, tag = "4")]
    rate: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Picture {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Taken {
    #[prost(uint64, tag = "1")]
    sum: u64,
}

impl Tick {
    pub(crate) fn new(number: u64) -> Self {
        let item = Item::new(number);
        Self { time: item.time, size: item.size, text: item.text, rate: item.rate }
    }
}

struct Service;

#[tonic::async_trait]
impl Bench for Service {
    type EchoStream = std::pin::Pin<Box<dyn Stream<Item = Result<Tick, Status>> + Send>>;

    async fn reflect(&self, request: Request<Tick>) -> Result<Response<Tick>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn take(&self, request: Request<Streaming<Tick>>) -> Result<Response<Taken>, Status> {
        let (mut items, mut sum) = (request.into_inner(), 0_u64);
        while let Some(item) = items.message().await? {
            sum = sum.wrapping_add(item.time);
        }
        Ok(Response::new(Taken { sum }))
    }

    async fn take_blobs(&self, request: Request<Streaming<Picture>>) -> Result<Response<Taken>, Status> {
        let (mut blobs, mut sum) = (request.into_inner(), 0_u64);
        while let Some(blob) = blobs.message().await? {
            sum += blob.bytes.len() as u64;
        }
        Ok(Response::new(Taken { sum }))
    }

    async fn echo(&self, request: Request<Streaming<Tick>>) -> Result<Response<Self::EchoStream>, Status> {
        Ok(Response::new(request.into_inner().boxed()))
    }
}

async fn serve(protocol: Protocol, path: String) {
    let service = BenchServer::new(Service).max_decoding_message_size(2 * BLOB);
    let server = Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .add_service(service);
    let served = match protocol {
        Protocol::Uds => {
            let listener = UnixListener::bind(&path).expect("the path is free");
            ready(path);
            server.serve_with_incoming(UnixListenerStream::new(listener)).await
        }
        Protocol::Tcp => {
            let address = LOCALHOST.parse().expect("it is an address");
            let incoming = TcpIncoming::bind(address).expect("there is a free port").with_nodelay(Some(true));
            ready(incoming.local_addr().expect("it is bound"));
            server.serve_with_incoming(incoming).await
        }
    };
    served.expect("it serves until it is killed");
}

async fn connect(protocol: Protocol, address: String) -> Box<dyn Peer> {
    let tuned = |endpoint: Endpoint| {
        let endpoint = endpoint.tcp_nodelay(true).max_frame_size(FRAME);
        endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW)
    };
    let channel = match protocol {
        Protocol::Uds => {
            let connect = tower::service_fn(move |_: Uri| {
                let address = address.clone();
                async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(address).await?)) }
            });
            tuned(Endpoint::from_static("http://unix")).connect_with_connector(connect).await
        }
        Protocol::Tcp => {
            let endpoint = Endpoint::try_from(format!("http://{address}")).expect("it is an address");
            tuned(endpoint).connect().await
        }
    };
    let client = BenchClient::new(channel.expect("the server listens")).max_decoding_message_size(2 * BLOB);
    Box::new(Client { client, blob: vec![7; BLOB].into(), echo: None })
}

struct Client {
    client: BenchClient<Channel>,
    blob: Bytes,
    echo: Option<(mpsc::Sender<Tick>, Streaming<Tick>)>,
}

impl Client {
    async fn work(&mut self, work: Work) {
        match work {
            Work::Flight => {
                let client = self.client.clone();
                let call = move |number| {
                    let mut client = client.clone();
                    async move { drop(client.reflect(Tick::new(number)).await.expect("the server answers")) }
                };
                together(CALLERS, CALLS_EACH, call).await;
            }
            Work::Items => {
                let items = tokio_stream::iter((0..ITEMS as u64).map(Tick::new));
                let taken = self.client.take(items).await.expect("the server answers").into_inner();
                assert_eq!(taken.sum, Item::sum(), "all items arrive");
            }
            Work::Blobs => {
                let blob = Picture { bytes: self.blob.clone() };
                let blobs = tokio_stream::iter((0..BLOBS).map(move |_| blob.clone()));
                let taken = self.client.take_blobs(blobs).await.expect("the server answers").into_inner();
                assert_eq!(taken.sum, (BLOBS * BLOB) as u64, "all blobs arrive");
            }
            Work::Echo => self.echo().await,
            Work::Call | Work::Connection => {
                self.client.reflect(Tick::new(1)).await.expect("the server answers");
            }
        }
    }

    async fn echo(&mut self) {
        if self.echo.is_none() {
            let (sender, items) = mpsc::channel(16);
            sender.send(Tick::new(0)).await.expect("it was made just now");
            let mut echoed =
                self.client.echo(ReceiverStream::new(items)).await.expect("the server answers").into_inner();
            echoed.message().await.expect("the server answers");
            self.echo = Some((sender, echoed));
        }
        let (sender, echoed) = self.echo.as_mut().expect("it was opened just now");
        sender.send(Tick::new(1)).await.expect("the stream is open");
        echoed.message().await.expect("the server answers").expect("the stream is open");
    }
}

impl Peer for Client {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        self.work(work).boxed_local()
    }
}

/// The windows of HTTP/2, and its longest frame, both of which are small by default.
const WINDOW: u32 = 8 << 20;
const FRAME: u32 = 1 << 20;
