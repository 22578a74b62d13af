//! The transport stack without actors: a server, two clients, and messages of the program's own types.
//!
//! ```text
//! PLEACH_TRANSPORT=quic cargo run --example client_and_server
//! ```

use std::sync::Arc;

use pleach::Blob;
use pleach::transports::{self, tls};
use pleach::wire::{Connection, Key, Settings};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Request {
    Add(Blob), // bytes that are not copied on their way
    CountBytes,
}

/// Answers each request with a number.
async fn serve(mut client: Connection<usize, Request>) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    while let Some(request) = client.recv().await? {
        let reply = match request {
            Request::Add(bytes) => {
                kept.push(bytes);
                kept.len()
            }
            Request::CountBytes => kept.iter().map(|kept| kept.len()).sum(),
        };
        client.send(&reply).await?;
    }
    Ok(client.close().await?)
}

async fn ask(name: &str, mut server: Connection<Request, usize>) -> anyhow::Result<()> {
    for request in [Request::Add(vec![7; 1 << 20].into()), Request::CountBytes] {
        server.send(&request).await?;
        println!("{name}: {:?}", server.recv().await?);
    }
    Ok(server.close().await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let protocol = std::env::var("PLEACH_TRANSPORT").unwrap_or_else(|_| "uds".into());
    // TLS and QUIC check certificates on both sides. These are of an authority that only this program knows.
    let settings = Settings { tls: Some(Arc::new(tls::identity::generate()?)), ..Settings::default() };
    let registry = transports::all();
    let address = registry.find(&Key::new("msgpack", protocol))?.protocol().any_address(&settings);
    let mut listener = registry.listen("msgpack", &address, &settings).await?;
    let address = listener.local_address().clone(); // with the real port
    let connect = async |name| ask(name, registry.connect("msgpack", &address, &settings).await?).await;
    let accept = async {
        let (one, two) = (listener.accept().await?, listener.accept().await?);
        tokio::try_join!(serve(one), serve(two))
    };
    tokio::try_join!(accept, connect("ada"), connect("bob"))?;
    Ok(())
}
