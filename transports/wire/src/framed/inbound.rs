//! The receiving direction of a connection: all of its streams, read by one task.

use std::task::{Context, Poll, Waker};

use tokio::io::AsyncRead;

use super::lanes;
use super::reader::FrameReader;
use crate::codec::Codec;
use crate::error::TransportError;
use crate::msg::Msg;
use crate::transport::AcceptLanes;

#[derive(Debug)]
pub(super) struct Inbound {
    frames: FrameReader,
    lanes: Option<lanes::Readers>,
    /// Messages that have come whole.
    pub(super) messages: u64,
    reading: Option<Waker>,
}

impl Inbound {
    pub(super) fn new(link: Box<dyn AsyncRead + Send + Unpin>, lanes: Option<Box<dyn AcceptLanes>>) -> Self {
        Self { frames: FrameReader::new(link), lanes: lanes.map(lanes::Readers::new), messages: 0, reading: None }
    }

    /// As [`FrameReader::poll_frames`], over all lanes: frames that have arrived on any of them come before the end.
    pub(super) fn poll_recv<C: Codec>(
        &mut self,
        cx: &mut Context<'_>,
        codec: &C,
        limit: usize,
        batch: &mut Vec<Msg>,
    ) -> Poll<Result<(), TransportError>> {
        let before = batch.len();
        let mut polled = self.frames.poll_frames(cx, codec, limit, batch);
        if let Some(Err(fault)) = self.lanes.as_mut().map(|lanes| lanes.poll_frames(cx, codec, limit, batch)) {
            self.frames.end(fault.clone());
            polled = Poll::Ready(Err(fault));
        }
        let come = batch.len() - before;
        self.messages += come as u64;
        if come > 0 {
            return Poll::Ready(Ok(()));
        }
        if polled.is_ready() {
            self.lanes = None; // that is the end
        } else if !self.reading.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.reading = Some(cx.waker().clone());
        }
        polled
    }

    /// Drops the link. Returns the task that waits for messages.
    pub(super) fn end(&mut self, end: TransportError) -> Option<Waker> {
        self.frames.end(end);
        self.lanes = None;
        self.reading.take()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.frames.has_ended()
    }

    pub(super) fn received(&self) -> u64 {
        self.frames.received() + self.lanes.as_ref().map_or(0, lanes::Readers::received)
    }
}
