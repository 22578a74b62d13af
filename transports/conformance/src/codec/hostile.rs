//! Input that no codec has written: it is an error or a message, costs no memory, and panics never.

use std::collections::BTreeMap;

use bytes::Bytes;
use pleach_wire::{Blob, Codec, Msg};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::messages::{fields, kinds};
use super::{Parcel, body_of};
use crate::faulty::Random;
use crate::limits::peak_memory;

/// A message that lacks some of its last bytes is an error, in the message or in its value.
pub fn truncated_input_is_an_error(codec: &dyn Codec) {
    for size in [10, 5000] {
        let parcel = Parcel::new(size);
        for msg in &kinds(&parcel) {
            let whole = body_of(codec, msg).expect("a plain message can be written");
            // Of the bytes of a blob, some of the cuts will do.
            let ends = (0..whole.len()).filter(|end| *end < 200 || whole.len() - end < 200 || end % 97 == 0);
            for end in ends {
                let Ok(read) = codec.decode(whole.slice(..end)) else { continue };
                let value = read.payload().map(|payload| payload.decode::<Parcel>());
                assert!(
                    matches!(value, Some(Err(_))),
                    "the first {end} of {} bytes of {} are read as {}",
                    whole.len(),
                    fields(msg),
                    fields(&read)
                );
            }
        }
    }
}

/// Bytes by chance, and messages in which some bytes were changed by chance.
pub fn garbage_is_an_error_or_a_message(codec: &dyn Codec) {
    let mut random = Random::new(13);
    for _ in 0..ROUNDS {
        let len = random.below(60);
        read_all(codec, (0..len).map(|_| byte(&mut random)).collect());
    }
    let parcel = Parcel::new(40);
    for msg in &kinds(&parcel) {
        let whole = body_of(codec, msg).expect("a plain message can be written");
        for _ in 0..ROUNDS / 20 {
            let mut body = whole.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(whole.len() as u64) as usize;
                body[at] = byte(&mut random);
            }
            read_all(codec, body);
        }
    }
}

/// What is announced and does not follow takes no memory.
pub fn an_announced_length_takes_no_memory(codec: &dyn Codec) {
    let before = peak_memory();
    let parcel = Parcel::new(20);
    for msg in &kinds(&parcel) {
        let whole = body_of(codec, msg).expect("a plain message can be written");
        for at in 0..whole.len() {
            // Lengths of all sizes and both byte orders, and those in which each byte says that more follow.
            for lie in [
                &[0xff; 1][..],
                &[0xff; 2],
                &[0xff; 4],
                &[0x7f, 0xff, 0xff, 0xff],
                &[0xff, 0xff, 0xff, 0x7f],
                &[0xff; 8],
            ] {
                let mut body = whole.to_vec();
                let end = body.len().min(at + lie.len());
                body[at..end].copy_from_slice(&lie[..end - at]);
                read_all(codec, body);
            }
        }
    }
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < MOST_KIB, "{} MiB were taken for what never came", (after - before) >> 10);
    }
}

fn byte(random: &mut Random) -> u8 {
    random.below(256) as u8
}

/// Reads bytes as values of all kinds. Any answer will do.
fn read_all(codec: &dyn Codec, body: Vec<u8>) {
    if let Ok(msg) = codec.decode(body.into()) {
        read_as::<Parcel>(&msg);
        read_as::<Vec<u64>>(&msg);
        read_as::<BTreeMap<String, Blob>>(&msg);
        read_as::<Option<(String, Bytes)>>(&msg);
        read_as::<Nested>(&msg);
        read_as::<serde_json::Value>(&msg);
    }
}

fn read_as<T: DeserializeOwned>(msg: &Msg) {
    // An error is as good as a value.
    let _ = msg.payload().map(|payload| payload.decode::<T>());
}

/// As deep as the input says.
#[derive(Deserialize)]
struct Nested(#[expect(dead_code, reason = "only its depth counts")] Vec<Nested>);

/// Bodies made by chance.
const ROUNDS: usize = 20_000;

/// Above what the tests beside this one take, and below the smallest lie of four bytes.
const MOST_KIB: u64 = 3 << 19;
