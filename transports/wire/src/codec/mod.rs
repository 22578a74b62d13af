//! A message as bytes: the envelope (kind, cid, …) and the payload inside it.
//!
//! A [`Codec`] owns the body of a frame. It writes the envelope by hand and asks the payload to
//! write itself in the codec's [`Format`], so that a value is encoded once, in place, and decoded
//! once, by the task that knows its type. A new built-in codec is one file here, one variant of
//! [`Format`] and one line in the registry; a user's own codec needs neither: it is a [`CustomFormat`].
//!
//! The guarantee of the built-in formats: a value that `serde_json` would bring back comes back, and any other comes
//! back too or is an error at its sender, which names the place in the value (`writing.rs`).

mod comparing;
mod custom;
mod dynamic;
mod envelope;
mod items;
mod json;
mod json_keys;
mod measured;
mod msgpack;
mod payload;
mod place;
mod reading;
mod wide;
mod writing;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

pub use self::comparing::{lost, read_back};
pub use self::custom::{CustomCodec, CustomFormat};
pub(crate) use self::items::MAX_SHARED;
pub use self::items::{Items, MAX_SMALL, with_small};
pub use self::json::Json;
pub use self::measured::Measured;
pub use self::msgpack::Msgpack;
pub use self::payload::Payload;
#[cfg(fuzzing)]
pub(crate) use self::payload::bytes_of;
use crate::error::TransportError;
use crate::msg::{Msg, Outgoing};

/// Writes messages as frame bodies and reads them back.
pub trait Codec: Send + Sync + 'static {
    /// The name by which the registry knows it, e.g. `msgpack`.
    fn name(&self) -> &'static str;

    /// How it writes payloads.
    fn format(&self) -> Format;

    /// Appends the body of one frame.
    ///
    /// # Errors
    /// [`TransportError::Encode`]; the caller removes the appended bytes.
    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError>;

    /// Reads one frame body.
    ///
    /// # Errors
    /// [`TransportError::Decode`] for bytes that are not a message; never panics, whatever the bytes.
    fn decode(&self, body: Bytes) -> Result<Msg, TransportError>;

    /// Returns whether small messages of a stream may share a frame. A codec that writes its envelopes itself has no
    /// such frames.
    fn shares_frames(&self) -> bool {
        false
    }

    /// Reads a frame body that [several messages](Items) share, and appends them; `None` for any other body.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); the messages before that may have been appended.
    fn decode_items(&self, body: &Bytes, messages: &mut Vec<Msg>) -> Option<Result<(), TransportError>> {
        let _ = (body, messages);
        None
    }
}

/// Where a codec writes: a buffer, and the blobs that follow it uncopied.
#[derive(Debug)]
pub struct FrameBuf<'a> {
    /// The message up to its blobs; a codec only appends.
    pub out: &'a mut BytesMut,
    /// Byte strings that go out right after this call's bytes, in order.
    pub parts: &'a mut Vec<Bytes>,
}

/// How payloads are written: the value half of a codec.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Format {
    /// MessagePack; structures as maps with names.
    Msgpack,
    /// JSON; structures as objects.
    Json,
    /// A user's own.
    Custom(&'static dyn CustomFormat),
}

impl Format {
    /// Returns the name of the codec that writes this way.
    pub fn name(self) -> &'static str {
        match self {
            Self::Msgpack => "msgpack",
            Self::Json => "json",
            Self::Custom(format) => format.name(),
        }
    }

    /// Appends `value` to `out`.
    ///
    /// # Errors
    /// [`TransportError::Encode`] when the value can't be written; `out` may then hold a part of it.
    pub fn encode<T: Serialize>(self, value: &T, out: &mut BytesMut) -> Result<(), TransportError> {
        let written = match self {
            Self::Msgpack => msgpack::encode_value(value, out),
            Self::Json => json::encode_value(value, out),
            Self::Custom(format) => custom::encode_value(format, value, out),
        };
        written.map_err(|why| TransportError::Encode { codec: self.name(), why })
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that can be written in any format; every [`Serialize`] type is one.
pub trait Encode {
    /// Appends this value to `out`.
    ///
    /// # Errors
    /// [`TransportError::Encode`] when the value can't be written; `out` may then hold a part of it.
    fn encode(&self, format: Format, out: &mut BytesMut) -> Result<(), TransportError>;
}

impl<T: Serialize> Encode for T {
    fn encode(&self, format: Format, out: &mut BytesMut) -> Result<(), TransportError> {
        format.encode(self, out)
    }
}

/// How deep arrays, maps and enum variants may be nested in a payload, in any format. More is an error where it is
/// written, and where it is read: a decoder goes down with each level, and a peer must not decide how much stack that
/// takes.
pub const MAX_DEPTH: usize = 127;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;
    use crate::blob::Blob;
    use crate::msg::{ByteStr, Cid};
    use crate::{CallOptions, TraceContext, Window};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Args {
        word: String,
        count: i64,
        blob: Blob,
    }

    fn body_of(codec: &dyn Codec, msg: &Outgoing<'_>) -> Bytes {
        let (mut out, mut parts) = (BytesMut::new(), Vec::new());
        codec.encode(msg, &mut FrameBuf { out: &mut out, parts: &mut parts }).unwrap();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.freeze()
    }

    #[test]
    fn every_codec_carries_every_message() {
        for codec in [&Msgpack as &dyn Codec, &Json] {
            for size in [0, 10, 100_000] {
                let args = Args { word: "leaf".into(), count: -3, blob: vec![7; size].into() };
                let (target, terms) = (ByteStr::from_static("a::b"), CallOptions::default());
                let start = Msg::Start { cid: Cid(9), target, args: &args as &dyn Encode, terms: terms.clone() };
                let read = codec.decode(body_of(codec, &start)).unwrap();
                assert_eq!((envelope(&read), read.terms()), (envelope(&start), Some(&terms)));
                assert_eq!(read.payload().unwrap().decode::<Args>().unwrap(), args);
            }
            let others = [
                Outgoing::Hello { step: &1u8 },
                Msg::Return { cid: Cid(u64::MAX), value: &() },
                Msg::Error { cid: None, error: &"e" },
                Msg::Error { cid: Some(Cid(1)), error: &"e" },
                Msg::Cancel { cid: Cid(300) },
                Msg::CancelAck { cid: Cid(70_000), found: true },
                Msg::CancelAck { cid: Cid(1), found: false },
                Msg::Bye { why: ByteStr::from_static("done") },
                Msg::Open {
                    cid: Cid(3),
                    target: ByteStr::from_static("a::b"),
                    args: &1u8,
                    terms: CallOptions::default(),
                },
                Msg::Pull {
                    cid: Cid(3),
                    target: ByteStr::from_static("a::b"),
                    window: Window { messages: 1000, bytes: u32::MAX },
                    waits: true,
                    args: &1u8,
                    terms: CallOptions { schema: 7, ..CallOptions::default() },
                },
                Msg::Started { cid: Cid(3), value: &"first" },
                Msg::Stream { cid: Cid(3), window: Window::of_bytes(1 << 18), waits: false },
                Msg::Stream { cid: Cid(3), window: Window::NONE, waits: true },
                Msg::Yield { cid: Cid(3), value: &1u8 },
                Msg::Credit { cid: Cid(3), count: 32 },
                Msg::Stop { cid: Cid(3) },
                Msg::Ping { n: u64::MAX },
                Msg::Pong { n: 7 },
                Msg::Value { value: &(1u8, "two") },
            ];
            for msg in others {
                let read = codec.decode(body_of(codec, &msg)).unwrap();
                assert_eq!(read.kind(), msg.kind());
                assert_eq!(envelope(&read), envelope(&msg));
                assert_eq!(read.payload().is_some(), msg.payload().is_some());
            }
        }
    }

    #[test]
    fn terms_stand_behind_the_arguments() {
        let args: &[&dyn Encode] = &[
            &(),
            &("text", u64::MAX),
            &Args { word: "leaf".into(), count: 1, blob: vec![7; 100_000].into() },
            &(Blob::from(vec![7; 5]), Blob::from(vec![7; 300])),
        ];
        let left = Duration::from_millis(1500);
        for codec in [&Msgpack as &dyn Codec, &Json] {
            for args in args.iter().copied() {
                for deadline in [None, Some(Duration::ZERO), Some(left), Some(Duration::MAX)] {
                    for schema in [0, 1, u64::MAX] {
                        let target = ByteStr::from_static("a::b");
                        let terms = CallOptions { schema, deadline, ..CallOptions::default() };
                        let sent = [
                            Outgoing::Start { cid: Cid(9), target: target.clone(), args, terms: terms.clone() },
                            Outgoing::Open { cid: Cid(9), target, args, terms },
                        ];
                        for sent in sent {
                            let read = codec.decode(body_of(codec, &sent)).unwrap().terms().unwrap().clone();
                            assert_eq!((read.schema, read.trace), (schema, None));
                            // Rounded up, and no time left is still a deadline.
                            assert_eq!(read.deadline.is_some(), deadline.is_some());
                            let more = read.deadline.unwrap_or_default().saturating_sub(deadline.unwrap_or_default());
                            assert!(more <= Duration::from_micros(1));
                            assert!(read.deadline >= deadline || deadline == Some(Duration::MAX));
                        }
                    }
                }
            }
        }
    }

    fn traced(state: &str) -> CallOptions {
        let mut trace: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
        trace.state = state.to_owned().into();
        CallOptions { schema: 0, deadline: Some(Duration::from_secs(1)), trace: Some(Box::new(trace)) }
    }

    /// Requests of each kind with these terms.
    fn requests(terms: &CallOptions, args: &'static dyn Encode) -> [Outgoing<'static>; 3] {
        let (target, terms) = (ByteStr::from_static("a::b"), || terms.clone());
        [
            Msg::Start { cid: Cid(9), target: target.clone(), args, terms: terms() },
            Msg::Open { cid: Cid(9), target: target.clone(), args, terms: terms() },
            Msg::Pull { cid: Cid(9), target, window: Window::INITIAL, waits: true, args, terms: terms() },
        ]
    }

    #[test]
    fn a_trace_travels_with_each_kind_of_request() {
        for codec in [&Msgpack as &dyn Codec, &Json] {
            for state in ["", "vendor=00f067aa0ba902b7,other=\"ü\"", &"x".repeat(512), &"x".repeat(513)] {
                for sent in requests(&traced(state), &("an argument", 7u8)) {
                    let read = codec.decode(body_of(codec, &sent)).unwrap();
                    let expected = traced(if state.len() > 512 { "" } else { state });
                    let terms = read.terms().unwrap();
                    assert_eq!((terms.schema, &terms.trace), (0, &expected.trace));
                    assert!(terms.deadline.is_some());
                    let args: (String, u8) = read.payload().unwrap().decode().unwrap();
                    assert_eq!(args, ("an argument".into(), 7));
                }
            }
        }
    }

    #[test]
    fn a_trace_that_is_cut_or_names_no_span_does_no_harm() {
        for sent in requests(&traced("vendor=1"), &()) {
            let whole = body_of(&Msgpack, &sent);
            for len in 0..whole.len() {
                let _ = Msgpack.decode(whole.slice(..len)); // an error, or another message; no panic
            }
            let mut zero = whole.to_vec();
            let id = zero.windows(8).position(|bytes| bytes == 0xb7ad_6b71_6920_3331_u64.to_be_bytes()).unwrap();
            zero[id..id + 8].fill(0);
            assert_eq!(Msgpack.decode(zero.into()).unwrap().terms().unwrap().trace, None);
            let mut long = whole.to_vec();
            *long.last_mut().unwrap() = 200;
            assert!(Msgpack.decode(long.into()).is_err());
        }
        let text = r#"["start",7,"a::b",{},0,0,"00-nonsense",5]"#;
        assert_eq!(Json.decode(text.into()).unwrap().terms(), Some(&CallOptions::default()));
    }

    /// All fields of a message but its payload.
    fn envelope<P>(msg: &Msg<P>) -> (Option<Cid>, Option<bool>, Option<String>) {
        match msg {
            Msg::Hello { .. } | Msg::Value { .. } => (None, None, None),
            Msg::Start { cid, target, .. } => (Some(*cid), None, Some(target.to_string())),
            Msg::Open { cid, target, .. } => (Some(*cid), None, Some(target.to_string())),
            Msg::Pull { cid, target, window, waits, .. } => {
                (Some(*cid), Some(*waits), Some(format!("{target} {window:?}")))
            }
            Msg::Stream { cid, window, waits } => (Some(*cid), Some(*waits), Some(format!("{window:?}"))),
            Msg::Credit { cid, count } => (Some(*cid), None, Some(count.to_string())),
            Msg::Return { cid, .. }
            | Msg::Cancel { cid }
            | Msg::Started { cid, .. }
            | Msg::Yield { cid, .. }
            | Msg::Stop { cid } => (Some(*cid), None, None),
            Msg::Error { cid, .. } => (*cid, None, None),
            Msg::CancelAck { cid, found } => (Some(*cid), Some(*found), None),
            Msg::Bye { why } => (None, None, Some(why.to_string())),
            Msg::Ping { n } | Msg::Pong { n } => (None, None, Some(n.to_string())),
        }
    }

    #[test]
    fn no_bytes_make_a_codec_panic() {
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        };
        for _ in 0..20_000 {
            let len = usize::from(next()) % 40;
            let mut body: Vec<u8> = (0..len).map(|_| next()).collect();
            if let Some(first) = body.first_mut().filter(|_| len % 2 == 0) {
                *first = 0x90 | (*first & 7);
            }
            for codec in [&Msgpack as &dyn Codec, &Json] {
                if let Ok(Msg::Start { args, .. }) = codec.decode(body.clone().into()) {
                    let _: Result<Args, _> = args.decode(); // any answer will do: it only must not panic
                }
            }
        }
    }

    /// Nested as deep as it comes.
    #[derive(Debug, Deserialize)]
    struct Nested(#[expect(dead_code, reason = "only its depth counts")] Vec<Nested>);

    /// The same, with nothing but variants between two levels.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Term {
        Neg(Box<Self>),
        Zero,
    }

    // SEC-8
    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_takes_no_stack() {
        let small = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
            for (format, open, close) in [(Format::Msgpack, &[0x91][..], &[0x90][..]), (Format::Json, b"[", b"]")] {
                let nested = |depth: usize| {
                    let end = close.repeat(if matches!(format, Format::Json) { depth } else { 1 });
                    Payload::new(format, [open.repeat(depth), end].concat().into(), Bytes::new())
                };
                let (fits, hostile) = (nested(MAX_DEPTH - 1), nested(64 << 20));
                fits.decode::<Nested>().unwrap();
                let values = [hostile.decode::<Nested>().map(drop), hostile.decode::<serde_json::Value>().map(drop)];
                for failed in values {
                    assert!(matches!(failed, Err(TransportError::Value { .. })), "{failed:?}");
                }
                nested(MAX_DEPTH + 1).decode::<Nested>().unwrap_err();
            }
        });
        small.unwrap().join().unwrap();
    }

    // SEC-8
    #[test]
    fn variants_count_as_levels_too() {
        let small = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
            let terms = |depth: usize| (0..depth).fold(Term::Zero, |term, _| Term::Neg(Box::new(term)));
            let zero = |format| match format {
                Format::Json => &b"\"Zero\""[..],
                _ => &[0xa4, b'Z', b'e', b'r', b'o'],
            };
            for (format, open, close) in
                [(Format::Msgpack, &[0x81, 0xa3, b'N', b'e', b'g'][..], &b""[..]), (Format::Json, b"{\"Neg\":", b"}")]
            {
                let nested = |depth: usize| {
                    let body = [open.repeat(depth), zero(format).to_vec(), close.repeat(depth)].concat();
                    Payload::new(format, body.into(), Bytes::new())
                };
                assert_eq!(nested(MAX_DEPTH).decode::<Term>().unwrap(), terms(MAX_DEPTH));
                for depth in [MAX_DEPTH + 1, 1 << 20] {
                    let failed = nested(depth).decode::<Term>();
                    assert!(matches!(failed, Err(TransportError::Value { .. })), "{depth} levels: {failed:?}");
                }
            }
        });
        small.unwrap().join().unwrap();
    }

    #[test]
    fn fields_that_a_later_version_adds_are_ignored() {
        let mut longer = body_of(&Msgpack, &Msg::Cancel { cid: Cid(5) }).to_vec();
        longer[0] += 1;
        longer.push(0xc0);
        assert!(matches!(Msgpack.decode(longer.into()), Ok(Msg::Cancel { cid: Cid(5) })));
        assert!(matches!(Json.decode(br#"["cancel",5,null]"#.as_slice().into()), Ok(Msg::Cancel { cid: Cid(5) })));
        // Behind a payload, the terms are found only where nothing more follows.
        let start = [0x97, 2, 7, 0xa1, b'a', 0x91, 5, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1, 0xc2, 0xc3];
        let read = Msgpack.decode(Bytes::copy_from_slice(&start));
        for read in [read, Json.decode(br#"["start",7,"a",[5],1,0,true]"#.as_slice().into())] {
            let Ok(Msg::Start { cid: Cid(7), args, .. }) = read else { panic!("{read:?}") };
            assert_eq!(args.decode::<(u8,)>().unwrap(), (5,));
        }
        let cut = Msgpack.decode(Bytes::from_static(&[0x95, 2, 7, 0xa1, b'a', 0x91, 5]));
        assert!(cut.unwrap_err().to_string().contains("too short for its terms"));
    }
}
