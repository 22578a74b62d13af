//! As `examples/client_and_server.rs`, by tokio-util's frames, over TCP: no TLS, no QUIC, and each blob is copied.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

type Frames = Framed<TcpStream, LengthDelimitedCodec>;

#[derive(Serialize, Deserialize)]
enum Request {
    Add(#[serde(with = "serde_bytes")] Vec<u8>),
    CountBytes,
}

fn framed(stream: TcpStream) -> Frames {
    LengthDelimitedCodec::builder().max_frame_length(64 << 20).new_framed(stream)
}

async fn send(frames: &mut Frames, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(frames.send(Bytes::from(rmp_serde::to_vec(value)?)).await?)
}

async fn recv<T: DeserializeOwned>(frames: &mut Frames) -> anyhow::Result<Option<T>> {
    match frames.next().await.transpose()? {
        Some(frame) => Ok(Some(rmp_serde::from_slice(&frame)?)),
        None => Ok(None),
    }
}

async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    let mut client = framed(stream);
    let mut kept = Vec::new();
    while let Some(request) = recv(&mut client).await? {
        let reply = match request {
            Request::Add(bytes) => {
                kept.push(bytes);
                kept.len()
            }
            Request::CountBytes => kept.iter().map(Vec::len).sum(),
        };
        send(&mut client, &reply).await?;
    }
    Ok(client.get_mut().shutdown().await?)
}

async fn ask(name: &str, stream: TcpStream) -> anyhow::Result<()> {
    let mut server = framed(stream);
    for request in [Request::Add(vec![7; 1 << 20]), Request::CountBytes] {
        send(&mut server, &request).await?;
        println!("{name}: {:?}", recv::<usize>(&mut server).await?);
    }
    Ok(server.get_mut().shutdown().await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let connect = async |name| ask(name, TcpStream::connect(address).await?).await;
    let accept = async {
        let (one, two) = (listener.accept().await?.0, listener.accept().await?.0);
        tokio::try_join!(serve(one), serve(two))
    };
    tokio::try_join!(accept, connect("ada"), connect("bob"))?;
    Ok(())
}
