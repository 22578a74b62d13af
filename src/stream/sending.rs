//! The sending half of a stream: a permit for each message, then the message.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use serde::Serialize;

use crate::actor::shown;
use crate::channel::dialog::DialogHandle;
use crate::error::{Error, Result};
use crate::fidelity::Reads;
use crate::proto::dialog::NoPermit;
use crate::proto::transmit::InOrder;
use crate::scope::{self, CancelWatch};

/// The messages to the peer.
pub(super) struct Sending<T> {
    dialog: DialogHandle,
    /// For a sink, which gets its permit before its message.
    sink: Sink,
    cancel: CancelWatch,
    reads: Reads<T>,
}

/// Where a sink stands.
enum Sink {
    Idle,
    /// Boxed only when there is no credit, so once in half a buffer of messages.
    Waiting(Pin<Box<dyn Future<Output = Result<(), NoPermit>> + Send + Sync>>),
    Ready(InOrder),
}

impl<T> Sending<T> {
    pub(super) fn new(dialog: DialogHandle, reads: Reads<T>) -> Self {
        Self { dialog, sink: Sink::Idle, cancel: CancelWatch::default(), reads }
    }

    pub(super) fn dialog(&self) -> &DialogHandle {
        &self.dialog
    }

    pub(super) async fn send(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        let has_room = std::future::poll_fn(|cx| Poll::Ready(self.dialog.poll_room(cx).is_ready())).await;
        if has_room && let Some(sent) = self.send_now(&value) {
            return sent;
        }
        // Boxed, because it is rare and large: each message would have to move it.
        Box::pin(scope::wait(self.dialog.noting_stall(self.send_when_permitted(value)))).await?
    }

    pub(super) async fn send_all(&self, values: impl IntoIterator<Item = T>) -> Result<()>
    where
        T: Serialize,
    {
        for value in values {
            self.send(value).await?;
        }
        Ok(())
    }

    /// Sends it in the poll that returns: dropped before that, it has sent nothing.
    async fn send_when_permitted(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        loop {
            std::future::poll_fn(|cx| self.dialog.poll_room(cx)).await;
            if let Some(sent) = self.send_now(&value) {
                return sent;
            }
            self.dialog.until_permitted().await.map_err(|why| refused(&self.dialog, why))?;
        }
    }

    /// Sends it, unless it has to wait for a permit.
    fn send_now(&self, value: &T) -> Option<Result<()>>
    where
        T: Serialize,
    {
        match self.dialog.send_item(value) {
            Err(NoPermit::Wait | NoPermit::NotOpened) => None,
            Err(why) => Some(Err(refused(&self.dialog, why))),
            Ok(sent) => {
                self.reads.check(value);
                Some(sent)
            }
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.poll_permit(cx) {
            Poll::Pending => self.cancel.poll(cx).map(Err),
            Poll::Ready(Ok(permit)) => {
                self.sink = Sink::Ready(permit);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(why)) => {
                self.sink = Sink::Idle;
                Poll::Ready(Err(refused(&self.dialog, why)))
            }
        }
    }

    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Result<InOrder, NoPermit>> {
        ready!(self.dialog.poll_room(cx));
        match &mut self.sink {
            Sink::Ready(permit) => return Poll::Ready(Ok(*permit)),
            Sink::Waiting(permitted) => {
                ready!(permitted.as_mut().poll(cx))?;
                self.sink = Sink::Idle;
            }
            Sink::Idle => {}
        }
        match self.dialog.take_permit() {
            Err(NoPermit::Wait | NoPermit::NotOpened) => {
                let dialog = self.dialog.clone();
                let permitted = async move { dialog.noting_stall(dialog.until_permitted()).await };
                self.sink = Sink::Waiting(Box::pin(permitted));
                self.poll_permit(cx)
            }
            settled => Poll::Ready(settled),
        }
    }

    pub(super) fn start_send(&mut self, value: &T) -> Result<()>
    where
        T: Serialize,
    {
        match mem::replace(&mut self.sink, Sink::Idle) {
            Sink::Ready(permit) => {
                let sent = self.dialog.send_item_for(permit, value);
                self.reads.check(value);
                sent
            }
            Sink::Idle | Sink::Waiting(_) => {
                Err(Error::Usage("`start_send` was called before `poll_ready` returned ready".into()))
            }
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.dialog.poll_room(cx) {
            Poll::Pending => self.cancel.poll(cx).map(Err),
            Poll::Ready(()) => Poll::Ready(Ok(())),
        }
    }
}

/// Says why a message may not be sent.
fn refused(dialog: &DialogHandle, why: NoPermit) -> Error {
    match why {
        NoPermit::Overrun => overrun(dialog, true),
        NoPermit::NotOpened => overrun(dialog, false),
        NoPermit::Closed | NoPermit::Wait => match dialog.end() {
            Some(end) => dialog.error_of(end),
            None => Error::Closed("this stream was closed, so nothing can be sent".into()),
        },
    }
}

fn overrun(dialog: &DialogHandle, peer_opened: bool) -> Error {
    let (cid, peer, sender) = (dialog.cid(), dialog.channel().peer(), dialog.channel().here());
    let no_stream =
        if peer_opened { String::new() } else { format!("\nno stream is open on the `{}` side", shown(peer.name())) };
    Error::StreamOverrun(format!("the buffer of task {cid} in {peer} is full{no_stream}\nthe sender is {sender}"))
}
