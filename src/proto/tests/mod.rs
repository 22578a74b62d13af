//! The protocol on two queues and a number for a clock.

use std::collections::VecDeque;
use std::time::Duration;

use pleach_wire::{ByteStr, CallOptions, Cid, Format, Msg, Payload};

use super::session::{Event, Handles, Role, Session};

mod calls;
mod cancels;
mod dialogs;
mod fencing;
mod handshakes;
mod liveness;
mod one_way;
mod streams;

/// Waiters and tasks are numbers.
struct Numbers;

impl Handles for Numbers {
    type Reply = u32;
    type Ack = u32;
    type Task = u32;
    type Dialog = u32;
}

/// Two sessions and the messages in transit between them.
struct Pair {
    dialer: Session<Numbers>,
    listener: Session<Numbers>,
    to_listener: VecDeque<Msg>,
    to_dialer: VecDeque<Msg>,
}

impl Pair {
    fn new(limit: usize) -> Self {
        Self {
            dialer: Session::new(Role::Dialer, limit),
            listener: Session::new(Role::Listener, limit),
            to_listener: VecDeque::new(),
            to_dialer: VecDeque::new(),
        }
    }

    /// The dialer calls; the request is on its way.
    fn call(&mut self, waiter: u32) -> Cid {
        let cid = self.dialer.open(waiter).unwrap();
        self.to_listener.push_back(start(cid));
        cid
    }

    /// The dialer opens a context, with the dialog `handle` on both sides; the listener has begun to run it.
    fn open(&mut self, handle: u32) -> Cid {
        let cid = self.dialer.open_with(|_| (handle, Some(handle))).unwrap();
        let open = Msg::Open { cid, target: ByteStr::from_static("a::b"), args: unit(), terms: CallOptions::default() };
        assert!(matches!(self.listener.handle_msg(open), Event::Invoke { dialog: Some(_), .. }));
        self.listener.attach_dialog(cid, handle);
        cid
    }

    /// The dialer cancels a call of its own.
    fn cancel(&mut self, cid: Cid, ack: u32, overdue_at: u64) {
        if self.dialer.cancel(cid, Some(ack), secs(overdue_at)).unwrap() {
            self.to_listener.push_back(Msg::Cancel { cid });
        }
    }

    /// The listener's task ends; its answer is on its way.
    fn finish(&mut self, cid: Cid) {
        let ack_due = self.listener.finish(cid).ack_due;
        self.to_dialer.push_back(Msg::Return { cid, value: unit() });
        if ack_due {
            self.to_dialer.push_back(Msg::CancelAck { cid, found: true });
        }
    }

    fn at_listener(&mut self) -> Event<Numbers> {
        let msg = self.to_listener.pop_front().expect("a message is on its way");
        self.listener.handle_msg(msg)
    }

    fn at_dialer(&mut self) -> Event<Numbers> {
        let msg = self.to_dialer.pop_front().expect("a message is on its way");
        self.dialer.handle_msg(msg)
    }

    fn assert_empty(&self) {
        assert_eq!((self.dialer.open_calls(), self.listener.running_tasks()), (0, 0));
        assert!(self.to_dialer.is_empty() && self.to_listener.is_empty());
    }
}

fn start(cid: Cid) -> Msg {
    Msg::Start { cid, target: ByteStr::from_static("a::b"), args: unit(), terms: CallOptions::default() }
}

fn unit() -> Payload {
    Payload::of(Format::Msgpack, &()).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
