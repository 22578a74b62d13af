//! How much of a stream may be on its way: the unit of credit, and what a message counts for.
//!
//! Both sides count a message alike: what its payload takes as bytes, which the sender
//! [measures](crate::codec::Measured) while it encodes the value and the receiver finds in the
//! [`Payload`](crate::Payload), and [`MESSAGE_COST`] for the message itself.

/// How much of a stream its receiver buffers: so much may have been sent that no task has taken.
///
/// The next message may go as long as neither limit has been reached, however large it is: so one always may when
/// nothing is buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many messages; [`u32::MAX`] for any number.
    pub messages: u32,
    /// What they [cost](Self::cost) together, in bytes; [`u32::MAX`] for any size.
    pub bytes: u32,
}

impl Window {
    /// What a side may send before it has heard from the other, so that messages sent before the peer opened its stream
    /// are kept for it: the reference's buffer of 2⁶ messages, within the bytes of an ordinary window.
    pub const INITIAL: Self = Self { messages: 64, bytes: 256 << 10 };

    /// Nothing at all.
    pub const NONE: Self = Self { messages: 0, bytes: 0 };

    /// So many messages, of any size.
    pub const fn of_messages(messages: u32) -> Self {
        Self { messages, bytes: u32::MAX }
    }

    /// So many bytes, in any number of messages.
    pub const fn of_bytes(bytes: u32) -> Self {
        Self { messages: u32::MAX, bytes }
    }

    /// Returns what a message counts for whose payload takes so many bytes.
    pub fn cost(payload: usize) -> u32 {
        u32::try_from(payload.saturating_add(MESSAGE_COST as usize)).unwrap_or(u32::MAX)
    }

    /// Returns the larger of each limit.
    pub fn max(self, other: Self) -> Self {
        Self { messages: self.messages.max(other.messages), bytes: self.bytes.max(other.bytes) }
    }
}

/// What a message counts for besides its payload, in bytes: about what a receiver needs to keep it.
pub const MESSAGE_COST: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_has_a_cost() {
        assert_eq!((Window::cost(0), Window::cost(usize::MAX)), (MESSAGE_COST, u32::MAX));
    }
}
