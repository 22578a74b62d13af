//! The values that payloads are read as.

use std::collections::BTreeMap;

use bytes::Bytes;
use pleach_wire::{Blob, Format, Payload};
use serde::{Deserialize, Serialize};

/// Typical values, nested and not.
#[derive(Debug, Serialize, Deserialize)]
enum Value {
    Nothing,
    Number(f64),
    Wide(i128, u128),
    Text(String),
    Bytes(Blob),
    Many(Vec<Self>),
    Named(BTreeMap<String, Self>),
    Record { id: u64, of: Option<Box<Self>>, with: (i8, char) },
}

/// Reads `data` as one type after the other; the first byte says how many of the last are blobs.
pub fn read(format: Format, data: &[u8]) {
    let Some((parts, rest)) = data.split_first() else { return };
    let (body, parts) = rest.split_at(rest.len().saturating_sub(usize::from(*parts)));
    let payload = Payload::new(format, Bytes::copy_from_slice(body), Bytes::copy_from_slice(parts));
    // Whether it can be read makes no difference.
    drop(payload.decode::<Value>());
    drop(payload.decode::<(String, Vec<u32>, Blob)>());
    drop(payload.decode::<serde_json::Value>());
    pleach::fuzzing::error_record(&payload);
}

/// Such values, as [`read`] takes them.
pub fn examples(format: Format) -> Vec<Vec<u8>> {
    let record = Value::Record { id: 7, of: Some(Box::new(Value::Number(0.5))), with: (-1, 'x') };
    let named = Value::Named([("key".to_owned(), Value::Text("value".into()))].into());
    let wide = Value::Wide(i128::MIN, u128::MAX);
    let many = Value::Many(vec![Value::Nothing, wide, Value::Bytes(vec![7; 5].into()), record, named]);
    let tuple = ("text".to_owned(), vec![1u32, 2, 300], Blob::from(vec![7; 5]));
    let encoded = [Payload::of(format, &many), Payload::of(format, &tuple)];
    let mut bytes: Vec<Vec<u8>> = encoded.map(|payload| raw(&payload.expect("plain values can be encoded"))).into();
    bytes.extend(pleach::fuzzing::error_records(format).iter().map(raw));
    bytes
}

/// A payload without blobs, as a target gets it.
fn raw(payload: &Payload) -> Vec<u8> {
    [&[0][..], &pleach_wire::fuzzing::Raw::of(Some(payload)).body].concat()
}
