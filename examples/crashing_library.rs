//! A C library that crashes now and then, behind a pool: an item that crashes it costs its workers, and no other item.
//!
//! ```text
//! cargo run --example crashing_library
//! ```
//! One crash breaks an executor of Python with all that was submitted to it: `benches/peers/programs` has the same
//! program there.

use pleach::prelude::*;

/// Decodes a picture with a library written in C, which corrupts its memory when it reads a broken one.
#[pleach::rpc]
async fn decode(picture: Vec<u8>) -> Result<usize> {
    if picture.first() == Some(&0xff) {
        // SAFETY: it takes nothing, and does not return.
        unsafe { libc::abort() }
    }
    Ok(picture.len())
}

#[pleach::main]
async fn main() -> Result<()> {
    // Two of them are broken.
    let pictures = (0..200).map(|number| vec![if number % 100 == 7 { 0xff } else { 0 }; 1000 + number]);
    pleach::open_nursery(async |n| {
        let pool = n.start_actor("decoder").enable(module_path!()).pool(2).in_flight(8).retries(1).await?;
        let mut decoded = pool.map_unordered(pictures, decode);
        let (mut bytes, mut broken) = (0, Vec::new());
        while let Some((number, result)) = decoded.next().await {
            match result {
                Ok(len) => bytes += len,
                Err(Error::Poison(poison)) => broken.push((number, poison)),
                Err(other) => return Err(other),
            }
        }
        broken.sort_by_key(|(number, _)| *number);
        for (number, poison) in &broken {
            println!("picture {number} crashes the decoder: {}", poison.last);
        }
        println!("{} pictures were decoded, {bytes} bytes", 200 - broken.len());
        Ok(())
    })
    .await
}
