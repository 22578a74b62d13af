//! The receiving half of a stream, for one consumer or for several.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use pleach_wire::Payload;
use serde::de::DeserializeOwned;

use super::Subscription;
use crate::broadcast::{BroadcastReceiver, broadcast};
use crate::channel::dialog::DialogHandle;
use crate::decode::{self, Decoding};
use crate::error::{Error, Result};
use crate::proto::dialog::Take;
use crate::proto::inbox::Intake;
use crate::scope::CancelWatch;

/// The messages of the peer.
pub(super) struct Receiving<R> {
    dialog: DialogHandle,
    from: From<R>,
    cancel: CancelWatch,
    /// How many messages each consumer may be behind, where there are several.
    buffer: usize,
}

/// Where a consumer gets its messages.
enum From<R> {
    /// It is the only one.
    Dialog(Messages<R>),
    /// It is one of several.
    Broadcast(BroadcastReceiver<Result<R>>),
}

impl<R> Receiving<R> {
    /// Opens this side's end of a context's stream, and tells the peer.
    pub(super) fn open(dialog: DialogHandle, intake: Intake) -> Result<Self> {
        dialog.open_stream(intake)?;
        Ok(Self::opened(dialog, intake))
    }

    /// Takes the messages of a stream that is open.
    pub(super) fn opened(dialog: DialogHandle, intake: Intake) -> Self {
        let from = From::Dialog(Messages::new(dialog.clone()));
        let in_bytes = intake.window.messages == u32::MAX;
        let buffer = if in_bytes { dialog.channel().stream_window().messages } else { intake.window.messages };
        Self { dialog, from, cancel: CancelWatch::default(), buffer: buffer as usize }
    }

    pub(super) fn dialog(&self) -> &DialogHandle {
        &self.dialog
    }

    pub(super) async fn recv(&mut self) -> Result<Option<R>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        match std::future::poll_fn(|cx| self.poll_next(cx)).await {
            Some(message) => message.map(Some),
            None => over(&self.dialog),
        }
    }

    pub(super) async fn recv_many(&mut self, messages: &mut Vec<R>, limit: usize) -> Result<usize>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let before = messages.len();
        if limit == 0 {
            return Ok(0);
        }
        let Some(first) = self.recv().await? else { return Ok(0) };
        messages.push(first);
        if let From::Dialog(here) = &mut self.from {
            here.read_behind(messages, limit - 1);
        }
        Ok(messages.len() - before)
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R>>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let message = match &mut self.from {
            From::Dialog(messages) => messages.poll(cx),
            From::Broadcast(receiver) => poll_broadcast(receiver, cx),
        };
        match message {
            Poll::Pending => self.cancel.poll(cx).map(|cancelled| Some(Err(cancelled))),
            ready => ready,
        }
    }

    /// Adds a consumer; makes this one of several if it was the only one.
    pub(super) fn subscribe(&mut self, window: Option<usize>) -> Subscription<R>
    where
        R: DeserializeOwned + Clone + Send + 'static,
    {
        if let From::Dialog(messages) = &mut self.from {
            let messages = mem::replace(messages, Messages::new(self.dialog.clone()));
            self.from = From::Broadcast(broadcast(messages, window.unwrap_or(self.buffer)));
        }
        let From::Broadcast(receiver) = &self.from else { unreachable!("it was made one above") };
        Subscription::new(self.dialog.clone(), receiver.subscribe().expect("only a subscription can be closed"))
    }
}

/// The messages of a dialog, for their receiver.
struct Messages<R> {
    dialog: DialogHandle,
    /// Those that were taken together with the last one.
    behind: VecDeque<Payload>,
    /// The message that is the next: a large one.
    decoding: Option<Decoding<R>>,
    /// A failure is returned once, as the last item. Later calls get it from the dialog.
    failure_told: bool,
}

impl<R> Messages<R> {
    fn new(dialog: DialogHandle) -> Self {
        Self { dialog, behind: VecDeque::new(), decoding: None, failure_told: false }
    }
}

impl<R: DeserializeOwned + Send + 'static> Messages<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        if let Some(decoding) = self.decoding.take() {
            return self.poll_decoding(decoding, cx);
        }
        let take = match self.behind.pop_front() {
            Some(item) => Take::Item(item),
            None => ready!(self.dialog.poll_items(cx, &mut self.behind)),
        };
        Poll::Ready(match take {
            Take::Item(item) if !decode::is_large(&item) => Some(item.decode().map_err(Error::from)),
            Take::Item(item) => match Decoding::begin(item, self.dialog.channel()) {
                Ok(decoding) => return self.poll_decoding(decoding, cx),
                Err(here) => Some(here.decode().map_err(Error::from)),
            },
            Take::Lost(lost) => Some(Err(Error::Lagged { lost })),
            Take::Failed(end) => {
                let told = mem::replace(&mut self.failure_told, true);
                (!told).then(|| Err(self.dialog.error_of(end)))
            }
            Take::Stopped | Take::Wait => None,
        })
    }

    /// Waits for a large message, and keeps it for the next poll if it is not there yet.
    fn poll_decoding(&mut self, mut decoding: Decoding<R>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        let Poll::Ready(decoded) = Pin::new(&mut decoding).poll(cx) else {
            self.decoding = Some(decoding);
            return Poll::Pending;
        };
        Poll::Ready(Some(decoded.map_err(Error::from)))
    }

    /// Reads up to `limit` messages that are here already, before the first one that is large or not an `R`.
    fn read_behind(&mut self, messages: &mut Vec<R>, limit: usize) {
        for _ in 0..limit {
            match self.behind.front().filter(|item| !decode::is_large(item)).map(Payload::decode) {
                Some(Ok(message)) => messages.push(message),
                Some(Err(_)) | None => return,
            }
            self.behind.pop_front();
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> Stream for Messages<R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        self.poll(cx)
    }
}

/// As the poll of the only consumer, for one of several.
pub(super) fn poll_broadcast<R>(
    receiver: &mut BroadcastReceiver<Result<R>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<R>>> {
    Pin::new(receiver).poll_next(cx).map(|item| item.map(Result::flatten))
}

/// The outcome for a consumer after the last message: the same on every call.
pub(super) fn over<R>(dialog: &DialogHandle) -> Result<Option<R>> {
    match dialog.failure() {
        None => Ok(None),
        Some(failed) => Err(dialog.error_of(failed)),
    }
}
