//! JSON: a flat array that a human can read on the wire, for debugging.
//!
//! ```text
//! ["start",7,"crate::module::add",{"a":1,"b":2}]
//! ```
//! Structures are objects, as in every codec here; blobs are base64 text.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::json_keys::Keys;
use super::msgpack::Out;
use super::place::{Reader, Trail};
use super::reading::{self, Forms};
use super::wide::Form;
use super::writing::{self, Limits};
use super::{Codec, Format, FrameBuf, Payload};
use crate::error::TransportError;
use crate::msg::{ByteStr, Cid, Msg, Outgoing};
use crate::terms::CallOptions;
use crate::trace::TraceContext;
use crate::window::Window;

/// The readable codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn format(&self) -> Format {
        Format::Json
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        let out = &mut *frame.out;
        let kind = msg.kind();
        let head = match msg {
            Msg::Hello { .. } | Msg::Value { .. } => encode_value(&(kind,), out),
            Msg::Start { cid, target, .. } => encode_value(&(kind, cid.0, target.as_str()), out),
            Msg::Return { cid, .. } | Msg::Cancel { cid } => encode_value(&(kind, cid.0), out),
            Msg::Error { cid, .. } => encode_value(&(kind, cid.map(|cid| cid.0)), out),
            Msg::CancelAck { cid, found } => encode_value(&(kind, cid.0, found), out),
            Msg::Bye { why } => encode_value(&(kind, why.as_str()), out),
            Msg::Open { cid, target, .. } => encode_value(&(kind, cid.0, target.as_str()), out),
            Msg::Pull { cid, target, window, waits, .. } => {
                encode_value(&(kind, cid.0, target.as_str(), window.messages, waits, window.bytes), out)
            }
            Msg::Started { cid, .. } | Msg::Yield { cid, .. } | Msg::Stop { cid } => encode_value(&(kind, cid.0), out),
            Msg::Stream { cid, window, waits } => {
                encode_value(&(kind, cid.0, window.messages, waits, window.bytes), out)
            }
            Msg::Credit { cid, count } => encode_value(&(kind, cid.0, count), out),
            Msg::Ping { n } | Msg::Pong { n } => encode_value(&(kind, n), out),
        };
        head.map_err(|why| TransportError::Encode { codec: "json", why })?;
        if let Some(payload) = msg.payload() {
            out.truncate(out.len() - 1); // the closing bracket comes after the payload
            out.put_u8(b',');
            payload.encode(Format::Json, out)?;
            if let Some(terms) = msg.terms() {
                put_terms(out, terms).map_err(|why| TransportError::Encode { codec: "json", why })?;
            }
            out.put_u8(b']');
        }
        Ok(())
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        read(&body).map_err(|why| TransportError::Decode { codec: "json", why })
    }
}

fn read(body: &Bytes) -> Result<Msg, String> {
    let fields: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let field = |at: usize| fields.get(at).copied().ok_or_else(|| format!("field {at} is missing"));
    let cid = || parse(field(1)?).map(Cid);
    let text = |at| parse::<String>(field(at)?).map(ByteStr::from);
    let payload = |at| {
        let slice = body.slice_ref(field(at)?.get().as_bytes());
        Ok::<_, String>(Payload::new(Format::Json, slice, Bytes::new()))
    };
    let terms = |at: usize| {
        let number = |at: usize| fields.get(at).map_or(Ok(0), |field| parse(field));
        let text = |at: usize| fields.get(at).and_then(|field| parse::<String>(field).ok());
        Ok::<_, String>(CallOptions::of([number(at)?, number(at + 1)?], trace(text(at + 2), text(at + 3))))
    };
    let window = |at| {
        let window = Window { messages: parse(field(at)?)?, bytes: parse(field(at + 2)?)? };
        Ok::<_, String>((window, parse(field(at + 1)?)?))
    };
    let kind: String = parse(field(0)?)?;
    Ok(match kind.as_str() {
        "hello" => Msg::Hello { step: payload(1)? },
        "start" => Msg::Start { cid: cid()?, target: text(2)?, args: payload(3)?, terms: terms(4)? },
        "return" => Msg::Return { cid: cid()?, value: payload(2)? },
        "error" => Msg::Error { cid: parse::<Option<u64>>(field(1)?)?.map(Cid), error: payload(2)? },
        "cancel" => Msg::Cancel { cid: cid()? },
        "cancel_ack" => Msg::CancelAck { cid: cid()?, found: parse(field(2)?)? },
        "bye" => Msg::Bye { why: text(1)? },
        "open" => Msg::Open { cid: cid()?, target: text(2)?, args: payload(3)?, terms: terms(4)? },
        "pull" => {
            let (window, waits) = window(3)?;
            Msg::Pull { cid: cid()?, target: text(2)?, window, waits, args: payload(6)?, terms: terms(7)? }
        }
        "started" => Msg::Started { cid: cid()?, value: payload(2)? },
        "stream" => {
            let (window, waits) = window(2)?;
            Msg::Stream { cid: cid()?, window, waits }
        }
        "yield" => Msg::Yield { cid: cid()?, value: payload(2)? },
        "credit" => Msg::Credit { cid: cid()?, count: parse(field(2)?)? },
        "stop" => Msg::Stop { cid: cid()? },
        "ping" => Msg::Ping { n: parse(field(1)?)? },
        "pong" => Msg::Pong { n: parse(field(1)?)? },
        "value" => Msg::Value { value: payload(1)? },
        _ => return Err(format!("unknown kind of message {kind:?}")),
    })
}

/// The trace is its two headers, as text.
fn put_terms(out: &mut BytesMut, terms: &CallOptions) -> Result<(), String> {
    for number in terms.numbers() {
        out.put_slice(format!(",{number}").as_bytes());
    }
    let Some(trace) = &terms.trace else { return Ok(()) };
    for header in [Some(trace.to_string().as_str()), trace.sent_state()].into_iter().flatten() {
        out.put_u8(b',');
        encode_value(&header, out)?;
    }
    Ok(())
}

/// Reads a trace. One that names no span is none, and a state that is too long is left out.
fn trace(parent: Option<String>, state: Option<String>) -> Option<Box<TraceContext>> {
    let mut trace: TraceContext = parent?.parse().ok()?;
    if let Some(state) = state.filter(|state| state.len() <= TraceContext::MAX_STATE) {
        trace.state = state.into();
    }
    Some(Box::new(trace))
}

fn parse<T: DeserializeOwned>(field: &RawValue) -> Result<T, String> {
    serde_json::from_str(field.get()).map_err(|error| error.to_string())
}

/// The values that this format carries, and their form.
#[derive(Clone, Copy)]
struct Rules;

impl Limits for Rules {
    const ONE_NOTHING: bool = true;
    const IS_JSON: bool = true;
    const BLOBS: bool = false;
}

impl Forms for Rules {
    const KEYS_ARE_TEXT: bool = true;
    const RAW_JSON_IS_MAP: bool = false;
    const WIDE: Form = Form::Object;
}

pub(super) fn encode_value<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), String> {
    let trail = Trail::default();
    let mut writer = serde_json::Serializer::with_formatter(Out(out), Keys::default());
    writing::write(value, &mut writer, &trail, Rules).map_err(|why| trail.explain::<T>(&why, |steps| steps))
}

pub(super) fn decode_value<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let (trail, mut reader) = (Trail::default(), serde_json::Deserializer::from_slice(body));
    let value = reading::read(&mut reader, &trail, Rules).map_err(|why| why.to_string());
    let value = value.and_then(|value| reader.end().map(|()| value).map_err(|why| why.to_string()));
    value.map_err(|why| {
        let walk = |steps| Reader::name(steps, &mut serde_json::Deserializer::from_slice(body));
        trail.explain::<T>(&why, walk)
    })
}
