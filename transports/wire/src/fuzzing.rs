//! Internals for fuzzing; only in a build for fuzzing.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Encode, Format, Payload};
use crate::error::TransportError;
use crate::msg::Msg;
use crate::{blob, codec};

/// A payload that is written as it came.
#[derive(Debug, Default)]
pub struct Raw {
    /// The value.
    pub body: Bytes,
    /// Its blobs.
    pub parts: Bytes,
}

impl Raw {
    /// The bytes of a payload, if there is one.
    pub fn of(payload: Option<&Payload>) -> Self {
        let (body, parts) = payload.map(codec::bytes_of).unwrap_or_default();
        Self { body, parts }
    }
}

impl Encode for Raw {
    fn encode(&self, _: Format, out: &mut BytesMut) -> Result<(), TransportError> {
        out.put_slice(&self.body);
        if !self.parts.is_empty() {
            blob::put_aside(&self.parts).expect("a codec that read blobs collects them");
        }
        Ok(())
    }
}

/// The same message with another payload.
pub fn with_payload<P: Copy>(msg: &Msg, payload: P) -> Msg<P> {
    match msg.clone() {
        Msg::Hello { .. } => Msg::Hello { step: payload },
        Msg::Start { cid, target, terms, .. } => Msg::Start { cid, target, args: payload, terms },
        Msg::Return { cid, .. } => Msg::Return { cid, value: payload },
        Msg::Error { cid, .. } => Msg::Error { cid, error: payload },
        Msg::Cancel { cid } => Msg::Cancel { cid },
        Msg::CancelAck { cid, found } => Msg::CancelAck { cid, found },
        Msg::Open { cid, target, terms, .. } => Msg::Open { cid, target, args: payload, terms },
        Msg::Pull { cid, target, window, waits, terms, .. } => {
            Msg::Pull { cid, target, window, waits, args: payload, terms }
        }
        Msg::Started { cid, .. } => Msg::Started { cid, value: payload },
        Msg::Stream { cid, window, waits } => Msg::Stream { cid, window, waits },
        Msg::Yield { cid, .. } => Msg::Yield { cid, value: payload },
        Msg::Credit { cid, count } => Msg::Credit { cid, count },
        Msg::Stop { cid } => Msg::Stop { cid },
        Msg::Ping { n } => Msg::Ping { n },
        Msg::Pong { n } => Msg::Pong { n },
        Msg::Value { .. } => Msg::Value { value: payload },
        Msg::Bye { why } => Msg::Bye { why },
    }
}
