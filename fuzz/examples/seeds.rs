//! Writes the seeds of all targets into `corpus/`: one honest example of each thing, as a start.
//!
//! `RUSTFLAGS="--cfg fuzzing" cargo run --manifest-path fuzz/Cargo.toml --example seeds`

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use pleach_fuzz::values;
use pleach_wire::codec::{Codec, FrameBuf};
use pleach_wire::{Blob, ByteStr, CallOptions, Cid, Format, Json, Msg, Msgpack, Outgoing, TraceContext, Window};

fn main() -> std::io::Result<()> {
    let addresses = [
        "tcp://127.0.0.1:1616",
        "tcp://[::1]:1616",
        "quic://host:1",
        "tls+tcp://[fe80::1]:65535",
        "uds:///run/a.sock",
        "uds://@abstract",
        "mem://name",
        "shuttle://anything",
        "/ip4/127.0.0.1/tcp/1616",
        "/ip6/::1/udp/1616/quic-v1",
        "/dns/host/tcp/1616",
        "/unix/run/a.sock",
        "/memory/name",
    ];
    for (number, address) in addresses.iter().enumerate() {
        write("address", number, address.as_bytes())?;
    }
    for (which, codec) in [(0, &Msgpack as &dyn Codec), (1, &Json)] {
        let mut stream = vec![which, 0x35];
        for (number, msg) in messages().iter().enumerate() {
            let body = body_of(codec, msg);
            write("envelope", 2 * number + usize::from(which), &[&[which][..], &body].concat())?;
            stream.extend((body.len() as u32).to_le_bytes());
            stream.extend(&body);
        }
        write("frame", usize::from(which), &stream)?;
        // A message in two chunks, and another between them.
        let large = body_of(codec, &Outgoing::Yield { cid: Cid(3), value: &Blob::from(vec![b'x'; 70_000]) });
        let mut chunks = vec![which, 0x35];
        let (first, further) = large.split_at(65_536);
        for number in [65_536u32 | 1 << 30, 1, large.len() as u32] {
            chunks.extend(number.to_le_bytes());
        }
        chunks.extend(first);
        let small = body_of(codec, &Outgoing::Cancel { cid: Cid(5) });
        chunks.extend((small.len() as u32).to_le_bytes());
        chunks.extend(&small);
        for number in [further.len() as u32 | 2 << 30, 1] {
            chunks.extend(number.to_le_bytes());
        }
        chunks.extend(further);
        write("frame", 2 + usize::from(which), &chunks)?;
        // One byte more than was announced comes, and then more of the same message.
        let mut excess = vec![which, 0x35];
        for number in [65_536u32 | 1 << 30, 1, large.len() as u32] {
            excess.extend(number.to_le_bytes());
        }
        excess.extend(first);
        for _ in 0..2 {
            excess.extend(((further.len() as u32 + 1) | 2 << 30).to_le_bytes());
            excess.extend(1u32.to_le_bytes());
            excess.extend(further);
            excess.push(0);
        }
        write("frame", 4 + usize::from(which), &excess)?;
    }
    // Two messages of a stream in one frame.
    write("envelope", 100, &[0, 0x92, 18, 3, 1, 0, 7, 2, 0, 0xcc, 200])?;
    for (number, moves) in handshakes().iter().enumerate() {
        write("handshake", number, moves.as_flattened())?;
    }
    for (target, format) in [("codec_msgpack", Format::Msgpack), ("codec_json", Format::Json)] {
        for (number, bytes) in values::examples(format).iter().enumerate() {
            write(target, number, bytes)?;
        }
    }
    for (number, steps) in shared_memory().iter().enumerate() {
        write("shm", number, steps.as_flattened())?;
    }
    Ok(())
}

/// A peer that fills its ring and empties the other one, and the same with one thing done wrong.
fn shared_memory() -> Vec<Vec<[u8; 4]>> {
    let round = [
        [3, 0, 0, 200],
        [1, 0, 0, 250],
        [2, 0, 0, 0],
        [0, 0, 0, 100],
        [4, 0, 0, 255],
        [5, 0, 0, 0],
        [0, 0, 255, 255],
        [0, 0, 9, 0],
    ];
    let rounds = || round.repeat(4);
    let wrong = (6..=11).map(|step| [rounds(), vec![[step, 3, 9, 128]], rounds()].concat());
    [rounds()].into_iter().chain(wrong).collect()
}

/// Conversations, each led to its last step, and that last step changed in one way. The newest four things that were
/// said are the hellos of dialers 0, 2, 4 and 6; from the first answer on, the newest is what the other side waits for.
fn handshakes() -> Vec<Vec<[u8; 5]>> {
    let mut scripts = Vec::new();
    for (dialer, hello) in [(0, 3), (2, 2), (4, 1), (6, 0)] {
        for listener in [1, 5, 7] {
            let [first, second] = [[0, listener, hello, 0, 0], [0, dialer, 0, 0, 0]];
            for change in 0..8 {
                scripts.push(vec![first, second, [change, listener, 0, 0, 1], [0, dialer, 0, 0, 0]]);
                scripts.push(vec![first, second, [0, listener, 0, 0, 0], [change, dialer, 0, 0, 0]]);
            }
        }
    }
    // What dialer 0 says is made listener 1's words, with listener 3's challenge and name between.
    scripts.push(vec![[0, 1, 3, 0, 0], [0, 0, 0, 0, 0], [6, 0, 0, 5, 0]]);
    scripts.push(vec![[0, 1, 3, 0, 0], [0, 3, 4, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]);
    scripts
}

fn messages() -> Vec<Outgoing<'static>> {
    let mut trace: TraceContext =
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a valid header");
    trace.state = ByteStr::from_static("vendor=1");
    let (target, terms) =
        (ByteStr::from_static("a::b"), CallOptions { schema: 7, deadline: None, trace: Some(Box::new(trace)) });
    vec![
        Msg::Hello { step: &1u8 },
        Msg::Start { cid: Cid(9), target: target.clone(), args: &(1u8, "text"), terms: terms.clone() },
        Msg::Open { cid: Cid(9), target: target.clone(), args: &(1u8, "text"), terms: CallOptions::default() },
        Msg::Pull { cid: Cid(9), target, window: Window::INITIAL, waits: true, args: &(), terms },
        Msg::Return { cid: Cid(9), value: &() },
        Msg::Error { cid: None, error: &"e" },
        Msg::Cancel { cid: Cid(300) },
        Msg::CancelAck { cid: Cid(70_000), found: true },
        Msg::Started { cid: Cid(3), value: &"first" },
        Msg::Stream { cid: Cid(3), window: Window::of_messages(1000), waits: false },
        Msg::Yield { cid: Cid(3), value: &[1u64, 2, 3] },
        Msg::Credit { cid: Cid(3), count: 32 },
        Msg::Stop { cid: Cid(3) },
        Msg::Ping { n: 300 },
        Msg::Pong { n: u64::MAX },
        Msg::Bye { why: ByteStr::from_static("done") },
        Msg::Value { value: &(1u8, "text") },
    ]
}

fn body_of(codec: &dyn Codec, msg: &Outgoing<'_>) -> Vec<u8> {
    let (mut out, mut parts) = (BytesMut::new(), Vec::new());
    codec.encode(msg, &mut FrameBuf { out: &mut out, parts: &mut parts }).expect("plain values can be encoded");
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.to_vec()
}

fn write(target: &str, number: usize, bytes: &[u8]) -> std::io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(format!("seed-{number:03}")), bytes)
}
