//! The receiving half of lanes: takes the peer's streams and cuts frames out of each.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::woken::{Slot, Woken};
use super::{LANE_ID, MAX_LANES, most_held};
use crate::codec::Codec;
use crate::error::{EndReason, TransportClosed, TransportError};
use crate::framed::reader::{FrameReader, link_error};
use crate::msg::Msg;
use crate::transport::{AcceptLanes, Lane};

/// The lanes that the peer sends on.
pub(in crate::framed) struct Readers {
    acceptor: Box<dyn AcceptLanes>,
    readers: BTreeMap<u64, Reader>,
    woken: Arc<Woken>,
    /// Empty between calls; kept for its capacity.
    movable: Vec<u64>,
    next_slot: u64,
    /// The bytes of messages that have not arrived whole, on all lanes.
    held: usize,
    /// The bytes received on lanes that have ended.
    received_before: u64,
}

struct Reader {
    stage: Stage,
    slot: Arc<Slot>,
    waker: Waker,
}

enum Stage {
    /// The id has not arrived whole.
    Named {
        stream: Option<Box<dyn AsyncRead + Send + Unpin>>,
        id: [u8; LANE_ID],
        received: usize,
    },
    Frames(Box<FrameReader>),
}

impl Readers {
    pub(in crate::framed) fn new(acceptor: Box<dyn AcceptLanes>) -> Self {
        Self {
            acceptor,
            readers: BTreeMap::new(),
            woken: Arc::default(),
            movable: Vec::new(),
            next_slot: 0,
            held: 0,
            received_before: 0,
        }
    }

    /// Bytes of frames that have come so far.
    pub(in crate::framed) fn received(&self) -> u64 {
        self.received_before + self.readers.values().map(Reader::received).sum::<u64>()
    }

    /// Appends every message that has arrived whole on any lane. With nothing appended, `cx` is woken.
    ///
    /// # Errors
    /// A fault on a lane, which is the connection's end. A lane that merely ends is forgotten.
    pub(in crate::framed) fn poll_frames<C: Codec>(
        &mut self,
        cx: &mut Context<'_>,
        codec: &C,
        limit: usize,
        batch: &mut Vec<Msg>,
    ) -> Result<(), TransportError> {
        self.woken.drive(cx);
        let before = batch.len();
        let mut movable = mem::take(&mut self.movable);
        while batch.len() == before {
            self.accept(cx);
            self.woken.take(&mut movable);
            if movable.is_empty() {
                break;
            }
            for slot in movable.drain(..) {
                let Some(reader) = self.readers.get_mut(&slot) else { continue };
                reader.slot.take_off();
                self.held -= reader.held();
                let polled = reader.poll_frames(codec, limit, batch);
                self.held += reader.held();
                if self.held > most_held(limit) {
                    let why = format!(
                        "{} bytes have come of messages that are not complete, on {} lanes; the limit is {}",
                        self.held,
                        self.readers.len(),
                        most_held(limit),
                    );
                    return Err(TransportError::Decode { codec: codec.name(), why });
                }
                match polled {
                    Poll::Ready(Ok(())) => reader.slot.list(), // there may be more: the next call looks
                    Poll::Ready(Err(TransportError::Closed(_))) => {
                        self.received_before += reader.received();
                        self.readers.remove(&slot);
                    }
                    Poll::Ready(Err(fault)) => return Err(fault),
                    Poll::Pending => {}
                }
            }
        }
        self.movable = movable;
        Ok(())
    }

    /// Takes streams up to the limit. The connection's end shows on the control lane too and is left to it.
    fn accept(&mut self, cx: &mut Context<'_>) {
        while self.readers.len() < MAX_LANES {
            let Poll::Ready(Ok(stream)) = self.acceptor.poll_accept(cx) else { return };
            let slot = self.woken.slot(self.next_slot);
            self.next_slot += 1;
            slot.list();
            let stage = Stage::Named { stream: Some(stream), id: [0; LANE_ID], received: 0 };
            let waker = Waker::from(slot.clone());
            self.readers.insert(slot.id, Reader { stage, slot, waker });
        }
    }
}

impl Reader {
    fn received(&self) -> u64 {
        match &self.stage {
            Stage::Named { received, .. } => *received as u64,
            Stage::Frames(frames) => LANE_ID as u64 + frames.received(),
        }
    }

    fn held(&self) -> usize {
        match &self.stage {
            Stage::Named { .. } => 0,
            Stage::Frames(frames) => frames.held(),
        }
    }

    fn poll_frames<C: Codec>(
        &mut self,
        codec: &C,
        limit: usize,
        batch: &mut Vec<Msg>,
    ) -> Poll<Result<(), TransportError>> {
        let mut cx = Context::from_waker(&self.waker);
        if let Stage::Named { stream, id, received } = &mut self.stage {
            let named = stream.as_mut().expect("taken below, where the stage ends");
            ready!(poll_id(named, &mut cx, id, received))?;
            let lane = Lane(u64::from_le_bytes(*id));
            if lane == Lane::CONTROL {
                let why = "a further stream claims to be the control lane".into();
                return Poll::Ready(Err(TransportError::Decode { codec: codec.name(), why }));
            }
            let frames = FrameReader::new(stream.take().expect("taken only here, where the stage ends"));
            self.stage = Stage::Frames(Box::new(frames));
        }
        match &mut self.stage {
            Stage::Frames(frames) => frames.poll_frames(&mut cx, codec, limit, batch),
            Stage::Named { .. } => Poll::Pending,
        }
    }
}

fn poll_id(
    stream: &mut Box<dyn AsyncRead + Send + Unpin>,
    cx: &mut Context<'_>,
    id: &mut [u8; LANE_ID],
    received: &mut usize,
) -> Poll<Result<(), TransportError>> {
    while *received < LANE_ID {
        let mut buffer = ReadBuf::new(&mut id[*received..]);
        let read: io::Result<()> = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
        read.map_err(|error| link_error(error, *received == 0))?;
        match (buffer.filled().len(), *received) {
            (0, 0) => return Poll::Ready(Err(TransportClosed::by_peer(EndReason::EmptyLane).into())),
            (0, received) => return Poll::Ready(Err(TransportError::Truncated { received, expected: LANE_ID })),
            (more, _) => *received += more,
        }
    }
    Poll::Ready(Ok(()))
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readers({} lanes)", self.readers.len())
    }
}
