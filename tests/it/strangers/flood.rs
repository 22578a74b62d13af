//! Strangers who come as fast as they can: the members go on, and the memory stays where it was.
//!
//! The root is a process of its own, because tests that run beside this one have a memory and a log too.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::address::UdsName;
use pleach::wire::{Address, Protocol, Settings};

use super::ping;
use crate::support::{Notes, PROCESSES, RootProcess, WITHIN_TLS, note, over};

pub(crate) fn tests() -> Vec<Trial> {
    let make = |protocol| {
        Trial::test(format!("strangers::a_flood_holds_up_no_member_over_{protocol}"), move || {
            a_flood_holds_up_no_member(protocol);
            Ok(())
        })
    };
    // Over shared memory a stranger comes no further than the opening of the link: `transports/shm/tests/hostile.rs`.
    PROCESSES.into_iter().chain(WITHIN_TLS).filter(|protocol| *protocol != "shm").map(make).collect()
}

// SEC-5, SEC-7
fn a_flood_holds_up_no_member(protocol: &str) {
    let notes = Notes::new();
    let mut root = RootProcess::start_logged("stranger_flood", &notes, protocol);
    let address: Address = notes.expect("listens").parse().unwrap();
    let flood = Flood::start(address);
    let [before, after]: [u64; 2] = serde_json::from_str(&notes.expect("flooded")).unwrap();
    notes.expect("done");
    let came = flood.end();
    assert!(root.0.wait().unwrap().success());
    assert!(came > 10, "only {came} strangers came");
    assert!(after < before + MORE, "the memory went from {before} to {after} KiB");
    let log = std::fs::read_to_string(notes.dir().join("log")).unwrap();
    let told: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(!told.is_empty() && told.len() < 100, "{} lines for {came} strangers:\n{log}", told.len());
}

/// The root of the tree, in a process of its own: calls in peace, and calls in the flood.
pub(crate) fn root(notes: &str, protocol: &str) {
    pleach::telemetry::init(None);
    let config = Config { max_pending_handshakes: 16, ..over(protocol) };
    let tree = pleach::open_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable("it::strangers").await?;
            for _ in 0..CALLS {
                portal.run(ping()).await?;
            }
            let before = anonymous_memory();
            note(notes, format!("listens {}", actor.addresses().await[0]));
            // A member gets through, however many strangers come meanwhile.
            let (began, mut calls) = (Instant::now(), 0);
            while calls < CALLS || began.elapsed() < FLOODED {
                portal.run(ping()).await?;
                calls += 1;
            }
            note(notes, format!("flooded {:?}", [before, anonymous_memory()]));
            portal.cancel_actor().await
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    ended.unwrap();
    note(notes, "done");
}

/// Strangers, one after the other; the last few stay.
struct Flood {
    over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Flood {
    fn start(address: Address) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let foreign = pleach_tls::identity::generate().unwrap();
            let settings = Settings { tls: Some(Arc::new(foreign)), ..Settings::default() };
            let (mut stay, mut came) = (VecDeque::new(), 0);
            while !is_over.load(Ordering::Relaxed) {
                match stranger(&address, came, &settings, &tokio) {
                    Ok(stranger) => stay.push_back(stranger),
                    // The listener has closed; or it was closed before it had sent all.
                    Err(_) => std::thread::yield_now(),
                }
                came += 1;
                if stay.len() > STAY {
                    stay.pop_front();
                }
            }
            came
        });
        Self { over, thread }
    }

    /// Returns how many came.
    fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Connects, sends something that is not a handshake, and stays.
fn stranger(
    address: &Address,
    number: usize,
    settings: &Settings,
    tokio: &tokio::runtime::Runtime,
) -> io::Result<Box<dyn Any>> {
    let words: &[&[u8]] = &[b"", b"GET / HTTP/1.1\r\n\r\n", &[20, 0, 0, 0, 0x92], &[0xff; 16], &[0, 0, 1, 0, 0x92, 1]];
    let words = words[number % words.len()];
    Ok(match address {
        Address::Tcp(at) | Address::TlsTcp(at) => {
            let mut stream = TcpStream::connect(at.to_string())?;
            stream.write_all(words)?;
            Box::new(stream)
        }
        Address::Uds(UdsName::Path(path)) => {
            let mut stream = UnixStream::connect(path)?;
            stream.write_all(words)?;
            Box::new(stream)
        }
        // With the certificate of another tree.
        other => {
            let dial = async {
                tokio::time::timeout(Duration::from_millis(500), pleach_quic::Quic.dial(other, settings)).await
            };
            let dialled = tokio.block_on(dial)?;
            assert!(dialled.is_err(), "a stranger was let in");
            Box::new(())
        }
    })
}

/// The memory of this process, in KiB, that is not a file's.
fn anonymous_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux has it");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Calls before the flood, and the fewest in it.
const CALLS: u32 = 100;

/// How long calls are made in the flood at least.
const FLOODED: Duration = Duration::from_secs(2);

/// Strangers that stay connected.
const STAY: usize = 64;

/// How much memory a flood may take, in KiB: sixteen handshakes, buffers, and what an allocator keeps.
const MORE: u64 = 32 << 10;
