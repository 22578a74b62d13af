//! The stream of a context: messages both ways, with credits, until either side has had enough.

use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::marker::PhantomData;

use pleach_wire::Outgoing;
use pleach_wire::msg::INITIAL_CREDIT;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::dialog::DialogHandle;
use crate::error::{Error, Result};
use crate::proto::dialog::{Permit, Take};

/// One end of a context's stream: takes messages of type `R`, sends messages of type `T`.
///
/// It is opened with `open_stream()` on either side of a context. Dropping it ends the sending
/// direction, as [`close`](Self::close) does, and forgets what still comes; the context goes on.
pub struct MsgStream<R, T> {
    dialog: DialogHandle,
    types: PhantomData<fn(T) -> R>,
}

impl<R, T> MsgStream<R, T> {
    /// Sends a message.
    ///
    /// Waits while the peer's buffer is full, unless the peer said `backpressure(false)`. A peer that has
    /// not opened its stream has a buffer of 64; once that is full, it has half a second to open it.
    ///
    /// # Errors
    /// [`Error::StreamOverrun`] when the buffer is full and the peer does not let senders wait, or does
    /// not open its stream; the
    /// peer's own error when it has failed; [`Error::Usage`] when the context is over;
    /// [`Error::Transport`] when the message can't be sent; [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was sent.
    pub async fn send(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        let dialog = &self.dialog;
        match dialog.permit().await {
            Permit::Granted => {}
            Permit::Overrun => return Err(self.overrun(true)),
            Permit::NotOpened => return Err(self.overrun(false)),
            Permit::Closed | Permit::Wait => return Err(self.over()),
        }
        if let Err(error) = dialog.send(&Outgoing::Yield { cid: dialog.cid(), value: &value }) {
            dialog.with(|state| state.return_permit());
            return Err(error);
        }
        drop(value);
        dialog.room().await;
        Ok(())
    }

    /// Takes the next message; `None` once the peer sends no more.
    ///
    /// # Errors
    /// The peer's own error when it has failed; [`Error::Transport`] when the message is no `R`;
    /// [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost.
    pub async fn recv(&mut self) -> Result<Option<R>>
    where
        R: DeserializeOwned,
    {
        let dialog = &self.dialog;
        match dialog.item().await {
            Take::Item(item, credit) => {
                if let Some(count) = credit {
                    // If the connection is gone, the next `recv` says so.
                    let _ = dialog.send(&Outgoing::Credit { cid: dialog.cid(), count });
                }
                Ok(Some(item.decode()?))
            }
            Take::Stopped | Take::Wait => Ok(None),
            Take::Failed(end) => Err(dialog.error_of(end)),
        }
    }

    /// Ends the sending direction: the peer's `recv` returns `None` after what was sent before. What the
    /// peer still sends is forgotten, and holds it up no more.
    ///
    /// # Errors
    /// [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// If dropped, the end has been sent.
    pub async fn close(self) -> Result<()> {
        self.stop()
    }

    pub(crate) fn new(dialog: DialogHandle) -> Self {
        Self { dialog, types: PhantomData }
    }

    fn stop(&self) -> Result<()> {
        let (tell, forgotten) = self.dialog.with(|state| state.stop());
        self.dialog.give_back(forgotten);
        match tell {
            true => self.dialog.send(&Outgoing::Stop { cid: self.dialog.cid() }),
            false => Ok(()),
        }
    }

    fn over(&self) -> Error {
        match self.dialog.with(|state| state.end().cloned()) {
            Some(end) => self.dialog.error_of(end),
            None => Error::Usage("this stream was closed".into()),
        }
    }

    fn overrun(&self, peer_opened: bool) -> Error {
        let (cid, peer) = (self.dialog.cid(), self.dialog.channel().peer());
        let no_stream =
            if peer_opened { String::new() } else { format!("\nno stream is open on the `{}` side", peer.name()) };
        let sender = self.dialog.channel().here();
        Error::StreamOverrun(format!("the buffer of task {cid} in {peer} is full{no_stream}\nthe sender is {sender}"))
    }
}

impl<R, T> Drop for MsgStream<R, T> {
    fn drop(&mut self) {
        // If the connection is gone, so is the stream.
        let _ = self.stop();
    }
}

impl<R, T> fmt::Debug for MsgStream<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgStream({:?})", self.dialog)
    }
}

/// A stream about to be opened: say more about it, then await it. Dropping it opens nothing.
#[must_use = "the stream is opened when this is awaited"]
pub struct OpenStream<R, T> {
    dialog: DialogHandle,
    buffer: u32,
    backpressure: bool,
    types: PhantomData<fn(T) -> R>,
}

impl<R, T> OpenStream<R, T> {
    pub(crate) fn new(dialog: DialogHandle) -> Self {
        Self { dialog, buffer: INITIAL_CREDIT, backpressure: true, types: PhantomData }
    }

    /// Buffers this many messages here instead of 64; at least one.
    pub fn buffer(mut self, messages: u32) -> Self {
        self.buffer = messages.max(1);
        self
    }

    /// Whether the peer waits when the buffer is full (the default), or gets an error.
    pub fn backpressure(mut self, wait: bool) -> Self {
        self.backpressure = wait;
        self
    }

    fn open(self) -> Result<MsgStream<R, T>> {
        let Self { dialog, buffer, backpressure, .. } = self;
        let opened = dialog.with(|state| state.open_stream(buffer));
        opened.map_err(|misuse| dialog.error_of_misuse(misuse))?;
        let stream = MsgStream::new(dialog.clone());
        dialog.send(&Outgoing::Stream { cid: dialog.cid(), buffer, waits: backpressure })?;
        Ok(stream)
    }
}

impl<R, T> IntoFuture for OpenStream<R, T> {
    type Output = Result<MsgStream<R, T>>;
    type IntoFuture = Ready<Result<MsgStream<R, T>>>;

    fn into_future(self) -> Self::IntoFuture {
        ready(self.open())
    }
}

impl<R, T> fmt::Debug for OpenStream<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream").field("buffer", &self.buffer).field("backpressure", &self.backpressure).finish()
    }
}
