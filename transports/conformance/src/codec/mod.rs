//! The suite that every codec passes: one small function per promise of [`Codec`].
//!
//! A codec's test is one [`codec_conformance!`](crate::codec_conformance) line. How a codec works under a transport, the
//! suite of transports tells: `conformance!(mine, Subject::framed(MyCodec, Mem))`.
//!
//! | file | promises about |
//! |---|---|
//! | [`messages`] | the messages of the protocol: kinds, fields, buffers |
//! | [`values`] | the values in them: what comes back, and what is refused |
//! | [`hostile`] | input that no codec has written |

pub mod hostile;
pub mod messages;
pub mod values;

use bytes::{Bytes, BytesMut};
use pleach_wire::codec::FrameBuf;
use pleach_wire::{Blob, Codec, Msg, Outgoing, TransportError};
use serde::{Deserialize, Serialize};

/// Expands to one test per check, in a module of the given name, for the codec that `$codec` makes.
///
/// With `exact` behind it, the codec promises what `msgpack` and `json` do: whatever `serde_json` brings back comes back.
/// Without it, values of plain types come back, and of others each comes back or is an error, so that no other value
/// comes; that is what a format can promise which does not describe itself.
///
/// ```
/// use pleach_conformance::codec_conformance;
/// use pleach_wire::{Json, Msgpack};
///
/// codec_conformance!(msgpack, Msgpack, exact);
/// codec_conformance!(like_any_other, Json);
/// ```
#[macro_export]
macro_rules! codec_conformance {
    ($name:ident, $codec:expr) => {
        $crate::codec_conformance!(@tests $name, $codec, {});
    };
    ($name:ident, $codec:expr, exact) => {
        $crate::codec_conformance!(@tests $name, $codec, {
            $crate::codec_checks!(values: [what_serde_json_brings_back_comes_back]);
        });
    };
    (@tests $name:ident, $codec:expr, { $($more:tt)* }) => {
        mod $name {
            #[allow(unused_imports, reason = "the codec's expression uses what it needs")]
            use super::*;

            #[cfg(test)]
            fn codec() -> impl $crate::__Codec {
                $codec
            }

            $crate::codec_checks!(messages: [
                the_names_agree,
                every_kind_of_message_comes_back,
                every_payload_stands_in_every_kind,
                messages_are_appended_and_stand_for_themselves,
                the_same_message_is_the_same_bytes,
                a_value_that_fails_is_an_encode_error,
            ]);
            $crate::codec_checks!(values: [
                plain_values_come_back,
                odd_values_come_back_or_are_refused,
                nesting_comes_back_up_to_the_limit,
            ]);
            $crate::codec_checks!(hostile: [
                truncated_input_is_an_error,
                garbage_is_an_error_or_a_message,
                an_announced_length_takes_no_memory,
            ]);
            $($more)*
        }
    };
}

/// Expands to one test for each named check of a module.
#[doc(hidden)]
#[macro_export]
macro_rules! codec_checks {
    ($module:ident: [$($check:ident),* $(,)?]) => {
        $(
            #[test]
            fn $check() {
                $crate::codec::$module::$check(&codec());
            }
        )*
    };
}

/// The body of one frame.
fn body_of(codec: &dyn Codec, msg: &Outgoing<'_>) -> Result<Bytes, TransportError> {
    let (mut out, mut parts) = (BytesMut::new(), Vec::new());
    codec.encode(msg, &mut FrameBuf { out: &mut out, parts: &mut parts })?;
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out.freeze())
}

/// Encodes and decodes.
fn brought_back(codec: &dyn Codec, msg: &Outgoing<'_>) -> Msg {
    let body = body_of(codec, msg).unwrap_or_else(|error| panic!("`{}` can't be written: {error}", msg.kind()));
    codec.decode(body).unwrap_or_else(|error| panic!("`{}` can't be read: {error}", msg.kind()))
}

/// A value of several parts; its last one ends with itself in any format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parcel {
    number: u64,
    content: Blob,
    labels: Vec<String>,
}

impl Parcel {
    /// Its content has `size` bytes.
    fn new(size: usize) -> Self {
        let content = (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        Self { number: 1 << 40, content, labels: vec!["fragile".into(), "süß".into()] }
    }
}
