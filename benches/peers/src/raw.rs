//! Bare sockets of tokio: so many bytes there and back, without a codec. The limit.
//!
//! Only the stream of items has a codec: msgpack by position behind a length, as many in a write as a buffer holds.
//! Without one there would be no items, but only bytes.

use std::io::Result;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::load::{BLOB, BLOBS, CALLERS, CALLS_EACH, ITEMS, Item, LOCALHOST, Library, Peer, Protocol, Work, ready};

pub(crate) const LIBRARY: Library = Library {
    name: "raw tokio",
    item_bytes: || Item::new(0).to_msgpack().len(),
    protocols: &Protocol::ALL,
    works: &Work::ALL,
    serve: |protocol, path| serve(protocol, path, answer).boxed_local(),
    connect: |protocol, address| connect(protocol, address).boxed_local(),
};

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) type Stream = Box<dyn Duplex>;

/// Accepts connections for good, and has a task for each.
pub(crate) async fn serve<Fut>(protocol: Protocol, path: String, answer: impl Fn(Stream) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    match protocol {
        Protocol::Uds => {
            let listener = UnixListener::bind(&path).expect("the path is free");
            ready(path);
            loop {
                let (stream, _) = listener.accept().await.expect("connections arrive");
                tokio::spawn(answer(Box::new(stream)));
            }
        }
        Protocol::Tcp => {
            let listener = TcpListener::bind(LOCALHOST).await.expect("there is a free port");
            ready(listener.local_addr().expect("it is bound"));
            loop {
                let (stream, _) = listener.accept().await.expect("connections arrive");
                stream.set_nodelay(true).expect("it is a TCP socket");
                tokio::spawn(answer(Box::new(stream)));
            }
        }
    }
}

/// Connects to such a server.
pub(crate) async fn dial(protocol: Protocol, address: &str) -> Stream {
    match protocol {
        Protocol::Uds => Box::new(UnixStream::connect(address).await.expect("the server listens")),
        Protocol::Tcp => {
            let stream = TcpStream::connect(address).await.expect("the server listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            Box::new(stream)
        }
    }
}

/// Answers on one connection. It begins with the size of a request, the number of such requests before an answer, and
/// the size of that; a size of nothing stands for items.
async fn answer(mut stream: Stream) {
    // An error is the end of the connection.
    let Ok((request, every, reply)) = head(&mut stream).await else { return };
    let _ = if request == 0 { take_items(stream).await } else { reflect(stream, request, every, reply).await };
}

async fn head(stream: &mut Stream) -> Result<(usize, usize, usize)> {
    Ok((stream.read_u32().await? as usize, stream.read_u32().await? as usize, stream.read_u32().await? as usize))
}

async fn reflect(mut stream: Stream, request: usize, every: usize, reply: usize) -> Result<()> {
    let mut buffer = vec![0; request.max(reply)];
    loop {
        for _ in 0..every {
            stream.read_exact(&mut buffer[..request]).await?;
        }
        stream.write_all(&buffer[..reply]).await?;
    }
}

async fn take_items(stream: Stream) -> Result<()> {
    let (mut stream, mut buffer) = (buffered(stream), Vec::new());
    loop {
        let mut sum = 0_u64;
        for _ in 0..ITEMS {
            buffer.resize(stream.read_u32().await? as usize, 0);
            stream.read_exact(&mut buffer).await?;
            sum = sum.wrapping_add(Item::from_msgpack(&buffer).time);
        }
        stream.write_u64(sum).await?;
        stream.flush().await?;
    }
}

fn buffered(stream: Stream) -> BufStream<Stream> {
    BufStream::with_capacity(BUFFER, BUFFER, stream)
}

/// A connection for one kind of load; a server does only one on each.
struct Open {
    work: Work,
    stream: BufStream<Stream>,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Open {
    async fn new(protocol: Protocol, address: &str, work: Work) -> Self {
        let mut stream = dial(protocol, address).await;
        let (request, every, reply) = match work {
            Work::Flight => (64 * CALLERS, 1, 64 * CALLERS),
            Work::Items => (0, ITEMS, 8),
            Work::Blobs => (BLOB, BLOBS, 9),
            Work::Call | Work::Echo | Work::Connection => (64, 1, 64),
        };
        let head = [request, every, reply].map(|number| (number as u32).to_be_bytes());
        stream.write_all(head.as_flattened()).await.expect("the server reads");
        Self { work, stream: buffered(stream), request: vec![7; request], reply: vec![0; reply] }
    }

    async fn step(&mut self) -> Result<()> {
        match self.work {
            Work::Items => {
                for number in 0..ITEMS as u64 {
                    let item = Item::new(number).to_msgpack();
                    self.stream.write_u32(item.len() as u32).await?;
                    self.stream.write_all(&item).await?;
                }
                self.stream.flush().await?;
                assert_eq!(self.stream.read_u64().await?, Item::sum(), "all items arrive");
            }
            Work::Flight => {
                for _ in 0..CALLS_EACH {
                    self.exchange(1).await?;
                }
            }
            Work::Blobs => self.exchange(BLOBS).await?,
            Work::Call | Work::Echo | Work::Connection => self.exchange(1).await?,
        }
        Ok(())
    }

    async fn exchange(&mut self, requests: usize) -> Result<()> {
        // Nothing is in the buffers, so that they would only copy.
        let stream = self.stream.get_mut();
        for _ in 0..requests {
            stream.write_all(&self.request).await?;
        }
        stream.read_exact(&mut self.reply).await?;
        Ok(())
    }
}

struct Raw {
    protocol: Protocol,
    address: String,
    open: Option<Open>,
}

async fn connect(protocol: Protocol, address: String) -> Box<dyn Peer> {
    Box::new(Raw { protocol, address, open: None })
}

impl Peer for Raw {
    fn step(&mut self, work: Work) -> LocalBoxFuture<'_, ()> {
        async move {
            if self.open.as_ref().is_none_or(|open| open.work != work) {
                self.open = Some(Open::new(self.protocol, &self.address, work).await);
            }
            let open = self.open.as_mut().expect("it was opened just now");
            open.step().await.expect("the server answers");
        }
        .boxed_local()
    }
}

/// The size of buffers for items.
const BUFFER: usize = 64 << 10;
