//! A message in binary: a flat array of MessagePack, written and read by hand, around a payload in any format.
//!
//! ```text
//! [code, cid?, field…, payload, added…]                                   a plain message
//! [code | 0x40, cid?, field…, payload, added…]  blob … blob  u32 LE       with blobs; the trailer is their size
//! ```
//! Several messages of a stream may share a frame (see [`items`](super::items)).
//!
//! Where the payload is MessagePack too, the whole is, and a blob in it is an extension that names a range of the bytes
//! behind the array (see [`crate::blob`]).
//!
//! A field behind the payload (`added`) is written only if it says something, and in its longest form,
//! so that it is found from the end, without a walk through the payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rmp::{decode, encode};

use super::msgpack::Out;
use super::{Format, FrameBuf, Payload};
use crate::blob;
use crate::error::TransportError;
use crate::msg::{ByteStr, Cid, Msg, Outgoing};
use crate::terms::CallOptions;
use crate::trace::TraceContext;
use crate::window::Window;

/// Appends a message, with its payload in `format`.
///
/// # Errors
/// [`TransportError::Encode`], when the payload can't be written.
pub(super) fn write(format: Format, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
    let start = frame.out.len();
    let out = &mut *frame.out;
    let added = msg.terms().map_or(0, count_fields);
    match msg {
        Msg::Hello { .. } => put_header(out, HELLO, 2),
        Msg::Start { cid, target, .. } => {
            put_header(out, START, 4 + added);
            put_cid(out, *cid);
            put_text(out, target);
        }
        Msg::Return { cid, .. } => {
            put_header(out, RETURN, 3);
            put_cid(out, *cid);
        }
        Msg::Error { cid, .. } => {
            put_header(out, ERROR, 3);
            put_cid(out, cid.unwrap_or(Cid(0)));
        }
        Msg::Cancel { cid } => {
            put_header(out, CANCEL, 2);
            put_cid(out, *cid);
        }
        Msg::CancelAck { cid, found } => {
            put_header(out, CANCEL_ACK, 3);
            put_cid(out, *cid);
            put_bool(out, *found);
        }
        Msg::Bye { why } => {
            put_header(out, BYE, 2);
            put_text(out, why);
        }
        Msg::Open { cid, target, .. } => {
            put_header(out, OPEN, 4 + added);
            put_cid(out, *cid);
            put_text(out, target);
        }
        Msg::Pull { cid, target, window, waits, .. } => {
            put_header(out, PULL, 7 + added);
            put_cid(out, *cid);
            put_text(out, target);
            put_window(out, *window, *waits);
        }
        Msg::Started { cid, .. } => {
            put_header(out, STARTED, 3);
            put_cid(out, *cid);
        }
        Msg::Stream { cid, window, waits } => {
            put_header(out, STREAM, 5);
            put_cid(out, *cid);
            put_window(out, *window, *waits);
        }
        Msg::Yield { cid, .. } => {
            put_header(out, YIELD, 3);
            put_cid(out, *cid);
        }
        Msg::Credit { cid, count } => {
            put_header(out, CREDIT, 3);
            put_cid(out, *cid);
            put_count(out, *count);
        }
        Msg::Stop { cid } => {
            put_header(out, STOP, 2);
            put_cid(out, *cid);
        }
        Msg::Ping { n } => {
            put_header(out, PING, 2);
            put_number(out, *n);
        }
        Msg::Pong { n } => {
            put_header(out, PONG, 2);
            put_number(out, *n);
        }
        Msg::Value { .. } => put_header(out, VALUE, 2),
    }
    let Some(payload) = msg.payload() else { return Ok(()) };
    let first_part = frame.parts.len();
    blob::collect(frame.parts, || payload.encode(format, out))?;
    if let Some(terms) = msg.terms() {
        put_terms(out, terms);
    }
    if frame.parts.len() > first_part {
        let total: usize = frame.parts[first_part..].iter().map(Bytes::len).sum();
        let total = u32::try_from(total).map_err(|_| TransportError::Encode {
            codec: format.name(),
            why: format!("its blobs have {total} bytes; one message carries at most 4 GiB"),
        })?;
        out[start + 1] |= HAS_PARTS;
        frame.parts.push(Bytes::copy_from_slice(&total.to_le_bytes()));
    }
    Ok(())
}

/// Reads a message whose payload is in `format`.
///
/// # Errors
/// [`TransportError::Decode`] for bytes that are not a message.
pub(super) fn read(format: Format, body: Bytes) -> Result<Msg, TransportError> {
    take(format, body).map_err(|why| TransportError::Decode { codec: format.name(), why })
}

fn take(format: Format, mut body: Bytes) -> Result<Msg, String> {
    let &[array, code, ..] = &*body else { return Err(format!("it has {} bytes", body.len())) };
    if array & 0xf0 != FIXARRAY {
        return Err(format!("its first byte is {array:#04x}, and that begins no short array"));
    }
    let parts = if code & HAS_PARTS == 0 { Bytes::new() } else { take_parts(&mut body)? };
    let (fields, code) = (array & 0x0f, code & !HAS_PARTS);
    let needed = match code {
        HELLO | CANCEL | BYE | STOP | PING | PONG | VALUE => 2,
        RETURN | ERROR | CANCEL_ACK | STARTED | YIELD | CREDIT => 3,
        START | OPEN => 4,
        STREAM => 5,
        PULL => 7,
        ITEMS => return Err("it has several messages of a stream, and one is read here".to_owned()),
        _ => return Err(format!("unknown message code {code}")),
    };
    if fields < needed {
        return Err(format!("a message of code {code} has {fields} fields instead of {needed}"));
    }
    body.advance(2);
    Ok(match code {
        HELLO => Msg::Hello { step: Payload::new(format, body, parts) },
        START => {
            let (cid, target, terms) = (take_cid(&mut body)?, take_text(&mut body)?, take_terms(&mut body, fields, 4)?);
            Msg::Start { cid, target, args: Payload::new(format, body, parts), terms }
        }
        RETURN => Msg::Return { cid: take_cid(&mut body)?, value: Payload::new(format, body, parts) },
        ERROR => {
            let cid = Some(take_cid(&mut body)?).filter(|cid| cid.0 != 0);
            Msg::Error { cid, error: Payload::new(format, body, parts) }
        }
        CANCEL => Msg::Cancel { cid: take_cid(&mut body)? },
        CANCEL_ACK => Msg::CancelAck { cid: take_cid(&mut body)?, found: take_bool(&mut body)? },
        OPEN => {
            let (cid, target, terms) = (take_cid(&mut body)?, take_text(&mut body)?, take_terms(&mut body, fields, 4)?);
            Msg::Open { cid, target, args: Payload::new(format, body, parts), terms }
        }
        PULL => {
            let (cid, target) = (take_cid(&mut body)?, take_text(&mut body)?);
            let (window, waits) = take_window(&mut body)?;
            let terms = take_terms(&mut body, fields, 7)?;
            Msg::Pull { cid, target, window, waits, args: Payload::new(format, body, parts), terms }
        }
        STARTED => Msg::Started { cid: take_cid(&mut body)?, value: Payload::new(format, body, parts) },
        STREAM => {
            let (cid, (window, waits)) = (take_cid(&mut body)?, take_window(&mut body)?);
            Msg::Stream { cid, window, waits }
        }
        YIELD => Msg::Yield { cid: take_cid(&mut body)?, value: Payload::new(format, body, parts) },
        CREDIT => Msg::Credit { cid: take_cid(&mut body)?, count: take_count(&mut body)? },
        STOP => Msg::Stop { cid: take_cid(&mut body)? },
        PING => Msg::Ping { n: take_number(&mut body)? },
        PONG => Msg::Pong { n: take_number(&mut body)? },
        VALUE => Msg::Value { value: Payload::new(format, body, parts) },
        _ => Msg::Bye { why: take_text(&mut body)? },
    })
}

/// Cuts the blobs and their trailer off the end of a body.
fn take_parts(body: &mut Bytes) -> Result<Bytes, String> {
    let (_, trailer) = body.split_last_chunk::<4>().ok_or("it is too short for blobs")?;
    let size = u32::from_le_bytes(*trailer) as usize;
    let start = (body.len() - 4)
        .checked_sub(size)
        .filter(|start| *start >= 2)
        .ok_or_else(|| format!("it announces {size} bytes of blobs and has {} bytes", body.len()))?;
    let parts = body.slice(start..start + size);
    body.truncate(start);
    Ok(parts)
}

/// Returns how many fields the terms take.
fn count_fields(terms: &CallOptions) -> u8 {
    let numbers = terms.numbers().len() as u8;
    match &terms.trace {
        None => numbers,
        Some(trace) => numbers + if trace.sent_state().is_some() { TRACE_AND_STATE } else { TRACE },
    }
}

fn put_terms(out: &mut BytesMut, terms: &CallOptions) {
    terms.numbers().for_each(|number| put_last_number(out, number));
    if let Some(trace) = &terms.trace {
        put_trace(out, trace);
    }
}

/// The state of a trace is a text, with its length behind it.
#[cold]
fn put_trace(out: &mut BytesMut, trace: &TraceContext) {
    trace.numbers().into_iter().for_each(|number| put_last_number(out, number));
    if let Some(state) = trace.sent_state() {
        out.put_u8(STR32);
        out.put_u32(state.len() as u32);
        out.put_slice(state.as_bytes());
        put_last_number(out, state.len() as u64);
    }
}

fn put_last_number(out: &mut BytesMut, number: u64) {
    out.put_u8(U64);
    out.put_u64(number);
}

/// Cuts the terms off the end of a request with so many fields, of which `fixed` stand before them.
fn take_terms(body: &mut Bytes, fields: u8, fixed: u8) -> Result<CallOptions, String> {
    let mut numbers = [0; 2];
    let count = fields.saturating_sub(fixed);
    let (count, trace) = match count {
        0..=2 => (count, None),
        _ if count == 2 + TRACE || count == 2 + TRACE_AND_STATE => (2, take_trace(body, count == 2 + TRACE_AND_STATE)?),
        // With more than this version knows, this decoder can't tell where the payload ends; that version's can.
        _ => (0, None),
    };
    for number in numbers.iter_mut().take(count.into()).rev() {
        *number = take_last_number(body)?;
    }
    Ok(CallOptions::of(numbers, trace))
}

/// Cuts a trace off the end of a body. One that names no span is none, and a state that is too long is left out.
#[cold]
fn take_trace(body: &mut Bytes, has_state: bool) -> Result<Option<Box<TraceContext>>, String> {
    let state = if has_state { take_last_text(body)? } else { Bytes::new() };
    let mut numbers = [0; 4];
    for number in numbers.iter_mut().rev() {
        *number = take_last_number(body)?;
    }
    let state = Some(state).filter(|state| state.len() <= TraceContext::MAX_STATE).unwrap_or_default();
    let state = ByteStr::from_utf8(state).map_err(|error| format!("the state of a trace is not UTF-8: {error}"))?;
    Ok(TraceContext::of(numbers, state).map(Box::new))
}

/// Cuts a text with its length behind it off the end of a body.
fn take_last_text(body: &mut Bytes) -> Result<Bytes, String> {
    let len = usize::try_from(take_last_number(body)?).unwrap_or(usize::MAX);
    let start = len.checked_add(5).and_then(|size| body.len().checked_sub(size));
    let text = body.split_off(start.ok_or_else(|| format!("it announces {len} bytes of state, and is too short"))?);
    match *text {
        [STR32, a, b, c, d, ..] if u32::from_be_bytes([a, b, c, d]) as usize == len => Ok(text.slice(5..)),
        _ => Err("the state of its trace does not have the announced length".into()),
    }
}

/// Cuts a number in its longest form off the end of a body.
fn take_last_number(body: &mut Bytes) -> Result<u64, String> {
    let (rest, &[mark, ref number @ ..]) = body.split_last_chunk::<9>().ok_or("it is too short for its terms")?;
    if mark != U64 {
        return Err(format!("one of its terms begins with {mark:#04x}"));
    }
    let (end, number) = (rest.len(), u64::from_be_bytes(*number));
    body.truncate(end);
    Ok(number)
}

pub(super) fn take_cid(body: &mut Bytes) -> Result<Cid, String> {
    take_number(body).map(Cid)
}

/// Takes a number; the forms in which [`put_number`] writes it are read here.
#[inline]
fn take_number(body: &mut Bytes) -> Result<u64, String> {
    let (number, len) = match **body {
        [small @ 0..=0x7f, ..] => (small.into(), 1),
        [0xcc, a, ..] => (a.into(), 2),
        [0xcd, a, b, ..] => (u16::from_be_bytes([a, b]).into(), 3),
        [0xce, a, b, c, d, ..] => (u32::from_be_bytes([a, b, c, d]).into(), 5),
        [U64, a, b, c, d, e, f, g, h, ..] => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 9),
        _ => return take_other_number(body),
    };
    body.advance(len);
    Ok(number)
}

#[cold]
fn take_other_number(body: &mut Bytes) -> Result<u64, String> {
    decode::read_int(&mut body.reader()).map_err(|error| format!("no number: {error}"))
}

fn take_count(body: &mut Bytes) -> Result<u32, String> {
    take_number(body)?.try_into().map_err(|error| format!("no count: {error}"))
}

fn take_bool(body: &mut Bytes) -> Result<bool, String> {
    decode::read_bool(&mut body.reader()).map_err(|error| format!("no boolean: {error}"))
}

fn take_text(body: &mut Bytes) -> Result<ByteStr, String> {
    let len = match **body {
        [mark @ 0xa0..=0xbf, ..] => {
            body.advance(1);
            usize::from(mark & 0x1f)
        }
        [0xd9, len, ..] => {
            body.advance(2);
            len.into()
        }
        _ => decode::read_str_len(&mut body.reader()).map_err(|error| format!("no text: {error}"))? as usize,
    };
    if len > body.len() {
        return Err(format!("a text of {len} bytes in a message with {} left", body.len()));
    }
    ByteStr::from_utf8(body.split_to(len)).map_err(|error| format!("a text is not valid UTF-8: {error}"))
}

fn put_header(out: &mut BytesMut, code: u8, fields: u8) {
    out.put_slice(&[FIXARRAY | fields, code]);
}

pub(super) fn put_cid(out: &mut BytesMut, cid: Cid) {
    put_number(out, cid.0);
}

#[inline]
fn put_number(out: &mut BytesMut, number: u64) {
    if let small @ 0..=0x7f = number {
        return out.put_u8(small as u8);
    }
    encode::write_uint(&mut Out(out), number).expect("memory takes all bytes");
}

fn put_count(out: &mut BytesMut, count: u32) {
    put_number(out, count.into());
}

fn put_window(out: &mut BytesMut, window: Window, waits: bool) {
    put_count(out, window.messages);
    put_bool(out, waits);
    put_count(out, window.bytes);
}

fn take_window(body: &mut Bytes) -> Result<(Window, bool), String> {
    let (messages, waits, bytes) = (take_count(body)?, take_bool(body)?, take_count(body)?);
    Ok((Window { messages, bytes }, waits))
}

fn put_bool(out: &mut BytesMut, value: bool) {
    encode::write_bool(&mut Out(out), value).expect("memory takes all bytes");
}

fn put_text(out: &mut BytesMut, text: &str) {
    encode::write_str(&mut Out(out), text).expect("memory takes all bytes");
}

pub(super) const FIXARRAY: u8 = 0x90;
const HELLO: u8 = 1;
const START: u8 = 2;
const RETURN: u8 = 3;
const ERROR: u8 = 4;
const CANCEL: u8 = 5;
const CANCEL_ACK: u8 = 6;
const BYE: u8 = 7;
const OPEN: u8 = 8;
const STARTED: u8 = 9;
const STREAM: u8 = 10;
pub(super) const YIELD: u8 = 11;
const CREDIT: u8 = 12;
const STOP: u8 = 13;
const PULL: u8 = 14;
const PING: u8 = 15;
const PONG: u8 = 16;
const VALUE: u8 = 17;
pub(super) const ITEMS: u8 = 18;
const HAS_PARTS: u8 = 0x40;
const U64: u8 = 0xcf;
const STR32: u8 = 0xdb;

/// How many fields a trace takes without its state.
const TRACE: u8 = 4;

/// How many fields a trace takes with its state: that, and its length.
const TRACE_AND_STATE: u8 = 6;
