//! However bytes are cut up when they arrive: the same messages, the same end, and never more memory than
//! they account for.
#![no_main]

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use pleach_fuzz::Counting;
use pleach_wire::framed::Framed;
use pleach_wire::transport::PeerInfo;
use pleach_wire::{Address, Codec, Json, Link, MsgTransport, Msgpack};
use tokio::io::{AsyncRead, ReadBuf};

#[global_allocator]
static MEMORY: Counting = Counting::new();

fuzz_target!(|data: &[u8]| {
    let [which, cut, rest @ ..] = data else { return };
    match which & 1 {
        0 => read(Msgpack, *cut, rest),
        _ => read(Json, *cut, rest),
    }
});

fn read<C: Codec + Clone>(codec: C, cut: u8, bytes: &[u8]) {
    MEMORY.start();
    let whole = told(codec.clone(), bytes, None);
    let most = MEMORY.most();
    assert!(most < FIXED + 100 * bytes.len(), "{most} bytes of memory for {} that came", bytes.len());
    assert_eq!(whole, told(codec, bytes, Some(cut)));
}

/// The messages and the end of a connection that brings `bytes`.
fn told<C: Codec>(codec: C, bytes: &[u8], cut: Option<u8>) -> Vec<String> {
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, cut, wait: false };
    let address = Address::Mem("fuzz".into());
    let ends = PeerInfo { local: address.clone(), remote: address, credentials: None, binding: None };
    let writer = Box::new(tokio::io::sink());
    let framed = Framed::new(codec, Link { reader: Box::new(pieces), writer, lanes: None, ends });
    framed.set_max_frame(LIMIT);
    let mut cx = Context::from_waker(Waker::noop());
    let (mut told, mut batch) = (Vec::new(), Vec::new());
    loop {
        let polled = pin!(&framed).poll_recv(&mut cx, &mut batch);
        told.extend(batch.drain(..).map(|msg| format!("{msg:?}")));
        match polled {
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(end)) => {
                told.push(end.to_string());
                return told;
            }
        }
    }
}

/// Brings bytes in pieces, with waits between them; or all at once.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    cut: Option<u8>,
    wait: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.bytes.len() - self.at;
        let piece = match self.cut {
            None => left,
            Some(cut) => {
                self.wait = !self.wait;
                if self.wait {
                    return Poll::Pending; // it is polled again at once
                }
                1 + usize::from(cut.rotate_left(self.at as u32 % 8))
            }
        };
        let len = piece.min(left).min(buf.remaining());
        buf.put_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

/// What a frame may have: enough for messages in chunks.
const LIMIT: usize = 16 << 20;

/// Memory that is there whatever comes: the buffers of as many messages in chunks as may be under way.
const FIXED: usize = 4 << 20;
