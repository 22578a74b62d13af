//! What a side says of its buffer for a stream, and the window that follows.

use pleach_wire::Window;

use crate::proto::inbox::{Intake, Lag};

/// How a side wants to take the messages of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    messages: Option<u32>,
    bytes: Option<u32>,
    lag: Lag,
}

impl Buffer {
    /// The defaults of the configuration.
    pub(crate) fn new() -> Self {
        Self { messages: None, bytes: None, lag: Lag::Wait }
    }

    pub(crate) fn messages(self, messages: u32) -> Self {
        Self { messages: Some(messages.max(1)), ..self }
    }

    pub(crate) fn bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(u32::try_from(bytes).unwrap_or(u32::MAX).max(1)), ..self }
    }

    pub(crate) fn lag(self, lag: Lag) -> Self {
        Self { lag, ..self }
    }

    /// The limits that were said, or those of the configuration. A sender that waits can't tell how many messages fit:
    /// where it does, bytes are the limit. Where it gets an error, or messages are lost, their number is one too.
    pub(crate) fn intake(self, configured: Window) -> Intake {
        let window = match (self.messages, self.bytes) {
            (None, None) if self.lag == Lag::Wait => Window::of_bytes(configured.bytes),
            (None, None) => configured,
            (messages, bytes) => Window { messages: messages.unwrap_or(u32::MAX), bytes: bytes.unwrap_or(u32::MAX) },
        };
        Intake { window, lag: self.lag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_instead_of_the_configuration() {
        let configured = Window { messages: 64, bytes: 1000 };
        let window = |buffer: Buffer| buffer.intake(configured).window;
        assert_eq!(window(Buffer::new()), Window::of_bytes(1000));
        for lag in [Lag::Error, Lag::DropOldest] {
            assert_eq!(window(Buffer::new().lag(lag)), configured);
            assert_eq!(window(Buffer::new().lag(lag).messages(7)), Window::of_messages(7));
        }
        assert_eq!(window(Buffer::new().messages(0)), Window::of_messages(1));
        assert_eq!(window(Buffer::new().bytes(5)), Window::of_bytes(5));
        assert_eq!(window(Buffer::new().bytes(5).messages(7)), Window { messages: 7, bytes: 5 });
    }
}
