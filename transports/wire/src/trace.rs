//! The trace that a request belongs to: W3C Trace Context, as it travels with calls.
//!
//! It only carries what the tracing system of the caller says. Making ids, sampling and exporting are not done here.

use std::fmt;
use std::str::FromStr;

use crate::msg::ByteStr;

/// The place of a request in a distributed trace (<https://www.w3.org/TR/trace-context/>).
///
/// Its text is a `traceparent` header:
/// ```
/// use pleach_wire::TraceContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context: TraceContext = text.parse().unwrap();
/// assert_eq!((context.parent_id, context.to_string().as_str()), (0xb7ad_6b71_6920_3331, text));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span of the caller, which is the parent of the callee's; never 0.
    pub parent_id: u64,
    /// The trace flags: bit 0 says that the trace is recorded.
    pub flags: u8,
    /// What tracing systems add for each other, a `tracestate` header of at most [`MAX_STATE`](Self::MAX_STATE) bytes.
    pub state: ByteStr,
}

impl TraceContext {
    /// The longest `state` in bytes, as the standard has it. A longer one is not sent, and not read.
    pub const MAX_STATE: usize = 512;

    /// Makes it of the numbers on the wire; `None` if they name no span.
    pub(crate) fn of([high, low, parent_id, flags]: [u64; 4], state: ByteStr) -> Option<Self> {
        let trace_id = u128::from(high) << 64 | u128::from(low);
        let is_valid = trace_id != 0 && parent_id != 0;
        is_valid.then(|| Self { trace_id, parent_id, flags: flags as u8, state })
    }

    /// Returns it as the numbers on the wire.
    pub(crate) fn numbers(&self) -> [u64; 4] {
        [(self.trace_id >> 64) as u64, self.trace_id as u64, self.parent_id, self.flags.into()]
    }

    /// Returns the state to be sent, if there is one.
    pub(crate) fn sent_state(&self) -> Option<&str> {
        Some(self.state.as_str()).filter(|state| (1..=Self::MAX_STATE).contains(&state.len()))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// The text names no span, or is not a `traceparent` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTraceparent;

impl fmt::Display for InvalidTraceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid `traceparent` header")
    }
}

impl std::error::Error for InvalidTraceparent {}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    /// Reads a `traceparent` header; of later versions than this one, the fields that they share with it.
    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let mut fields = text.split('-');
        let mut next = |len: usize| {
            let field = fields.next().filter(|field| field.len() == len).ok_or(InvalidTraceparent)?;
            let is_hex = field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then_some(field).ok_or(InvalidTraceparent)
        };
        let (version, trace_id, parent_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let number = |field| u64::from_str_radix(field, 16).map_err(|_| InvalidTraceparent);
        let (version, has_more) = (number(version)?, fields.next().is_some());
        if version == 0xff || (version == 0 && has_more) {
            return Err(InvalidTraceparent);
        }
        let (high, low) = trace_id.split_at(16);
        let numbers = [number(high)?, number(low)?, number(parent_id)?, number(flags)?];
        Self::of(numbers, ByteStr::from_static("")).ok_or(InvalidTraceparent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_header_that_names_a_span_is_read() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(valid.parse::<TraceContext>().unwrap().to_string(), valid);
        let later = format!("cc{}-what-comes-then", &valid[2..]);
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), valid);
        for invalid in [
            "",
            "00",
            &valid[..54],
            &format!("{valid}-more"),
            &valid.replacen("00", "ff", 1),
            &valid.to_uppercase(),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(invalid.parse::<TraceContext>(), Err(InvalidTraceparent), "{invalid}");
        }
    }
}
