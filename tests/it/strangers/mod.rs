//! Who is not a member gets nothing: probes, garbage, silence, half a handshake.

mod flood;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use flood::root as flood_root;
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::wire::{Address, Protocol as _, Settings};
use pleach_tcp::TlsTcp;
use pleach_tls::authority::{Authority, Validity};
use pleach_tls::identity::{Pem, from_pem_files};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{FOREVER, in_root, over, patience, soon, test_fn};

#[pleach::rpc]
async fn ping() -> Result<u8> {
    Ok(1)
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = flood::tests();
    tests.extend([
        test_fn(a_thousand_probes_cost_nothing),
        test_fn(garbage_and_silence_are_closed_within_the_deadline),
        test_fn(a_full_house_of_silent_ones_keeps_no_child_out),
        test_fn(who_comes_too_often_is_closed_unread),
        test_fn(children_are_no_strangers_however_low_the_rate),
        test_fn(the_key_is_in_no_argument_and_no_variable),
        test_fn(a_certificate_without_the_key_is_not_enough),
    ]);
    tests
}

// SEC-3
async fn a_thousand_probes_cost_nothing() {
    in_root(over("tcp"), async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = listening(&actor.addresses().await);
            // The first few set up what stays: resolver, buffers.
            for _ in 0..10 {
                drop(TcpStream::connect(&address).await.unwrap());
            }
            assert_eq!(portal.run(ping()).await?, 1);
            let before = open_files();
            for _ in 0..1000 {
                drop(TcpStream::connect(&address).await.unwrap());
            }
            assert_eq!(portal.run(ping()).await?, 1);
            let settled = async {
                while open_files() > before {
                    tokio::task::yield_now().await;
                }
            };
            let settled = tokio::time::timeout(patience(), settled).await;
            assert!(settled.is_ok(), "{} open files before, {} after", before, open_files());
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// SEC-4
async fn garbage_and_silence_are_closed_within_the_deadline() {
    let config = Config { handshake: soon(), ..over("tcp") };
    in_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = listening(&actor.addresses().await);
            let mut huge = 0x7fff_ffffu32.to_le_bytes().to_vec();
            huge.extend([0; 100]);
            let start = [&[0x94u8, 2, 1][..], &[0xa1, b'x', 0xc0]].concat();
            let framed = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
            for (what, bytes) in [
                ("silence", Vec::new()),
                ("an http request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
                ("a huge frame", huge),
                ("half a frame", vec![20, 0, 0, 0, 0x92]),
                ("a call before the handshake", framed(&start)),
                ("json", framed(b"[\"hello\",{}]")),
            ] {
                let mut stranger = TcpStream::connect(&address).await.unwrap();
                stranger.write_all(&bytes).await.unwrap();
                let closed = tokio::time::timeout(patience(), stranger.read_to_end(&mut Vec::new())).await;
                assert!(closed.is_ok(), "{what}: the connection stays open");
                assert_eq!(portal.run(ping()).await?, 1, "after {what}");
            }
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// SEC-5
async fn a_full_house_of_silent_ones_keeps_no_child_out() {
    let config = Config { max_pending_handshakes: 4, handshake: FOREVER, ..over("tcp") };
    in_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let first = n.start_actor("first").await?;
            let address = listening(&actor.addresses().await);
            let mut silent = Vec::new();
            for _ in 0..40 {
                silent.push(TcpStream::connect(&address).await.unwrap());
            }
            let second = n.start_actor("second").await?;
            drop(silent);
            second.cancel_actor().await?;
            first.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// SEC-6
async fn who_comes_too_often_is_closed_unread() {
    const RATE: usize = 20;
    let config = Config { max_connection_rate: RATE, handshake: FOREVER, ..over("tcp") };
    in_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let first = n.start_actor("first").await?;
            let address = listening(&actor.addresses().await);
            let (began, mut let_in) = (Instant::now(), Vec::new());
            for _ in 0..5 * RATE {
                let_in.push(TcpStream::connect(&address).await.unwrap());
            }
            // The others end; those that were let in say nothing, and wait for a hello.
            let mut closed = 0;
            while closed + (began.elapsed().as_secs_f64() * RATE as f64) as usize + 1 < 4 * RATE {
                let before = let_in.len();
                let_in.retain(is_open);
                closed += before - let_in.len();
                tokio::task::yield_now().await;
            }
            drop(let_in);
            first.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

// SEC-6
async fn children_are_no_strangers_however_low_the_rate() {
    in_root(Config { max_connection_rate: 1, ..over("tcp") }, async |_| {
        pleach::open_nursery(async |n| {
            let started = futures_util::future::join_all((0..6).map(|_| async { n.start_actor("child").await })).await;
            for child in started {
                child?.cancel_actor().await?;
            }
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

// SEC-13
async fn the_key_is_in_no_argument_and_no_variable() {
    let directory = TempDir::new().unwrap();
    let key_file = directory.path().join("tree.key");
    let config = Config { key_file: Some(key_file.clone()), ..over("tcp") };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let pid = portal.run(pid()).await?;
            let text = fs::read_to_string(&key_file).unwrap().trim().to_owned();
            let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
            for what in ["cmdline", "environ"] {
                let seen = fs::read(format!("/proc/{pid}/{what}")).unwrap();
                assert!(seen.iter().any(|byte| *byte != 0), "{what} says something");
                for key in [text.as_bytes(), &bytes] {
                    assert!(!seen.windows(key.len()).any(|window| window == key), "the key is in {what}");
                }
            }
            // What it was read from is no longer there to be read again.
            assert_eq!(fs::read_link(format!("/proc/{pid}/fd/0")).unwrap(), Path::new("/dev/null"));
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

// SEC-19
async fn a_certificate_without_the_key_is_not_enough() {
    let directory = TempDir::new().unwrap();
    let authority = Authority::new(Validity::Days(1)).unwrap();
    let issued = authority.issue(&["127.0.0.1".to_owned()], Validity::Days(1)).unwrap();
    Pem::new(&authority, &issued).write(directory.path()).unwrap();
    let config = Config { certificates: Some(directory.path().to_owned()), ..over("tls+tcp") };
    in_root(config, async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = actor.addresses().await[0].clone();
            let tls = from_pem_files(directory.path()).unwrap();
            let settings = Settings { tls: Some(Arc::new(tls)), ..Settings::default() };
            let mut link = TlsTcp.dial(&address, &settings).await.expect("its certificate is good");
            // Anything but a handshake ends it, as over any other connection.
            link.writer.write_all(&[1, 0, 0, 0, 0x92]).await.unwrap();
            let mut said = Vec::new();
            let end = tokio::time::timeout(patience(), link.reader.read_to_end(&mut said)).await;
            assert!(end.is_ok() && said.is_empty(), "{end:?} {said:?}");
            assert_eq!(portal.run(ping()).await?, 1);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

fn listening(addresses: &[Address]) -> String {
    match addresses {
        [Address::Tcp(at)] => at.to_string(),
        other => panic!("{other:?}"),
    }
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
