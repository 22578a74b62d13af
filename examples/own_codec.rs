//! A codec of the program's own: values as `postcard`, which writes neither names nor types. Actors use it over any
//! protocol, and so does a connection without actors.
//!
//! ```text
//! cargo run --example own_codec
//! cargo test --example own_codec       # the suite of conformance
//! ```

use bytes::BytesMut;
use pleach::prelude::*;
use pleach::transports;
use pleach::wire::codec::{Codec, CustomCodec, CustomFormat};
use pleach::wire::{Connection, Format, Key, Payload, Settings};
use serde::{Deserialize, Serialize};

struct Postcard;

const POSTCARD: CustomCodec = CustomCodec::new(&Postcard);

impl CustomFormat for Postcard {
    fn name(&self) -> &'static str {
        "postcard"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String> {
        let bytes = postcard::to_stdvec(value).map_err(|error| error.to_string())?;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String> {
        let mut reader = postcard::Deserializer::from_bytes(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut reader)).map_err(|error| error.to_string())?;
        let rest = reader.finalize().map_err(|error| error.to_string())?;
        if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow the value", rest.len())) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    station: u32,
    celsius: f64,
    sky: Sky,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Sky {
    Clear,
    Rain { millimetres: u16 },
}

#[pleach::rpc]
async fn warmest(readings: Vec<Reading>) -> Result<Option<Reading>> {
    Ok(readings.into_iter().max_by(|one, other| one.celsius.total_cmp(&other.celsius)))
}

/// In the root and in each of its actors, before anything else.
fn setup() {
    transports::register_codec(POSTCARD).expect("no other codec has its name");
}

#[pleach::main(init = setup)]
async fn main() -> Result<()> {
    let rain = |station| Sky::Rain { millimetres: station as u16 };
    let reading = |station: u32| Reading { station, celsius: f64::from(station * 7 % 10), sky: rain(station) };
    let mut readings: Vec<Reading> = (1..=100).map(reading).collect();
    readings[41].sky = Sky::Clear;
    let size = |format| Payload::of(format, &readings).map(|payload| payload.len());
    println!("as msgpack {} bytes, as postcard {}", size(Format::Msgpack)?, size(POSTCARD.format())?);

    let config = Config { codec: "postcard".into(), ..Config::load()? };
    let found = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| n.run_in_actor(warmest(readings.clone())).await?.result().await).await
    });
    println!("the actor's answer: {:?}", found.await?);

    let (registry, settings) = (transports::all(), Settings::default());
    let address = registry.find(&Key::new("postcard", "mem"))?.protocol().any_address(&settings);
    let mut listener = registry.listen("postcard", &address, &settings).await?;
    let dialer: Connection<Reading> = registry.connect("postcard", &address, &settings).await?;
    let mut acceptor: Connection<Reading> = listener.accept().await?;
    dialer.send(&readings[41]).await?;
    println!("without actors: {:?}", acceptor.recv().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    pleach_conformance::codec_conformance!(postcard, crate::POSTCARD);
}
