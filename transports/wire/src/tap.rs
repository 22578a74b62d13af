//! A look at messages as they pass, for those who watch a connection.
//!
//! It is off until something watches: until then a message costs one load of a flag.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::codec::{Codec, Format, FrameBuf, Payload};
use crate::error::TransportError;
use crate::msg::{Msg, Outgoing};

/// Sees the messages of one connection as they pass.
///
/// It is called in the middle of sending and receiving, with locks of the connection held: it must neither wait nor use
/// the connection.
pub trait Tap: Send + Sync {
    /// A message has been queued, as so many bytes.
    fn sent(&self, msg: &Outgoing<'_>, bytes: usize);

    /// A message has come whole, as so many bytes.
    fn received(&self, msg: &Msg, bytes: usize);
}

/// Says whether something in this process watches connections: taps are called only then.
pub fn set_watched(watched: bool) {
    WATCHED.store(watched, Ordering::Relaxed);
}

/// Returns whether something in this process watches connections.
pub fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

static WATCHED: AtomicBool = AtomicBool::new(false);

/// A codec, and the tap that sees what it reads.
pub(crate) struct Tapped<C> {
    codec: C,
    tap: OnceLock<Arc<dyn Tap>>,
}

impl<C> Tapped<C> {
    pub(crate) fn new(codec: C) -> Self {
        Self { codec, tap: OnceLock::new() }
    }

    /// Sets the tap. The first one counts.
    pub(crate) fn set(&self, tap: Arc<dyn Tap>) {
        let _ = self.tap.set(tap); // the first one counts
    }

    /// Shows the tap a message that has been queued.
    pub(crate) fn note_sent(&self, msg: &Outgoing<'_>, bytes: usize) {
        if let Some(tap) = self.tap_now() {
            tap.sent(msg, bytes);
        }
    }

    fn tap_now(&self) -> Option<&dyn Tap> {
        if is_watched() { self.tap.get().map(|tap| &**tap) } else { None }
    }
}

impl<C: Codec> Codec for Tapped<C> {
    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn format(&self) -> Format {
        self.codec.format()
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        self.codec.encode(msg, frame)
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        let bytes = body.len();
        // Looked at where it is: a message is large to move.
        let decoded = self.codec.decode(body);
        if let Some(tap) = self.tap_now()
            && let Ok(msg) = &decoded
        {
            tap.received(msg, bytes);
        }
        decoded
    }

    fn shares_frames(&self) -> bool {
        self.codec.shares_frames()
    }

    #[inline]
    fn decode_items(&self, body: &Bytes, messages: &mut Vec<Msg>) -> Option<Result<(), TransportError>> {
        let before = messages.len();
        let decoded = self.codec.decode_items(body, messages)?;
        if let Some(tap) = self.tap_now() {
            show(tap, &messages[before..], body.len());
        }
        Some(decoded)
    }
}

/// Shows the messages of one frame, which has so many bytes. What they share is counted with the first one.
#[cold]
fn show(tap: &dyn Tap, messages: &[Msg], bytes: usize) {
    let size = |msg: &Msg| msg.payload().map_or(0, Payload::len);
    let mut shared = bytes.saturating_sub(messages.iter().map(size).sum());
    for msg in messages {
        tap.received(msg, mem::take(&mut shared) + size(msg));
    }
}

impl<C: std::fmt::Debug> std::fmt::Debug for Tapped<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.codec.fmt(f)
    }
}
