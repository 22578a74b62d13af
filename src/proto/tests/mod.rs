//! The protocol on queues and a number for a clock.

use std::collections::VecDeque;
use std::time::Duration;

use pleach_wire::{ByteStr, CallOptions, Cid, Format, Msg, Payload, Window};

use self::pair::{Numbers, Pair};
use super::session::{Event, Role, Session};

mod calls;
mod cancels;
mod dialogs;
mod ends;
mod fencing;
mod handshakes;
mod lanes;
mod liveness;
mod one_way;
mod pair;
mod streams;

fn start(cid: Cid) -> Msg {
    Msg::Start { cid, target: target(), args: unit(), terms: CallOptions::default() }
}

fn target() -> ByteStr {
    ByteStr::from_static("a::b")
}

fn unit() -> Payload {
    Payload::of(Format::Msgpack, &()).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
