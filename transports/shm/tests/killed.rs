//! A peer that is killed, at any moment and on either side: the other one is told by both halves, and nothing is left.
//!
//! This program starts itself again as the peer. It has no threads beside a test, because it counts its descriptors.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use pleach_conformance::patience::{patience, scaled};
use pleach_shm::Shm;
use pleach_wire::{Address, Link, Protocol, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, role, work, address] = &*arguments
        && mark == MARK
    {
        return run(be_the_peer(role, work, &address.parse().unwrap()));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for role in ["dialer", "listener"] {
        for work in ["flood", "silence", "farewell"] {
            let name = format!("a_killed_{role}_is_noticed_after_{work}");
            trials.push(Trial::test(name, move || {
                run(a_killed_peer_is_noticed(role, work));
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Floods, or is silent, until it is killed; or says its last words and kills itself.
async fn be_the_peer(role: &str, work: &str, address: &Address) {
    let mut link = match role {
        "dialer" => Shm.dial(address, &Settings::default()).await.unwrap(),
        _ => {
            let mut listener = Shm.listen(address, &Settings::default()).await.unwrap();
            println!("listening");
            std::io::stdout().flush().unwrap();
            listener.accept().await.unwrap()
        }
    };
    link.writer.write_all(WORDS).await.unwrap();
    link.writer.flush().await.unwrap();
    match work {
        "flood" => {
            let (mut reader, mut writer) = (link.reader, link.writer);
            let mut taken = vec![0; 10_000];
            let read = async { while reader.read(&mut taken).await.unwrap() > 0 {} };
            let write = async {
                loop {
                    writer.write_all(&[1; 5000]).await.unwrap();
                    writer.flush().await.unwrap();
                }
            };
            tokio::join!(read, write);
        }
        "silence" => std::future::pending().await,
        _ => rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap(),
    }
}

async fn a_killed_peer_is_noticed(role: &'static str, work: &'static str) {
    let (fds, maps) = (descriptors(), mapped());
    for round in 0..ROUNDS {
        let directory = tempfile::tempdir().unwrap();
        let address: Address = format!("shm://{}", directory.path().join("a.shm").display()).parse().unwrap();
        let (mut child, mut link) = meet(role, work, &address).await;
        let mut heard = [0; WORDS.len()];
        timeout(patience(), link.reader.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, WORDS);
        if work == "flood" {
            // Another moment in each round.
            let mut taken = vec![0; 1 + round * 20_011];
            timeout(patience(), link.reader.read_exact(&mut taken)).await.unwrap().unwrap();
        }
        let killed = Instant::now();
        child.kill().unwrap();
        notice(link).await;
        let late = killed.elapsed();
        assert!(late < scaled(NOTICED), "it took {late:?}");
        child.wait().unwrap();
    }
    assert_eq!(descriptors(), fds, "descriptors are left");
    assert_eq!(mapped(), maps, "memory is left");
}

/// Starts the peer, and meets it.
async fn meet(role: &str, work: &str, address: &Address) -> (Child, Link) {
    let start = |role: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([MARK, role, work, &address.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    if role == "dialer" {
        let mut listener = Shm.listen(address, &Settings::default()).await.unwrap();
        let child = start(role);
        return (child, timeout(patience(), listener.accept()).await.unwrap().unwrap());
    }
    let mut child = start(role);
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    (child, timeout(patience(), Shm.dial(address, &Settings::default())).await.unwrap().unwrap())
}

/// Both halves come to an error. The writer does so alone, too, when its peer does not read any more.
async fn notice(link: Link) {
    let (mut reader, mut writer) = (link.reader, link.writer);
    let read = async move {
        let mut taken = vec![0; 100_000];
        loop {
            match reader.read(&mut taken).await {
                Ok(0) => panic!("a killed peer has said no last word"),
                Ok(_) => {}
                Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
    };
    let written = async move {
        loop {
            if let Err(error) = writer.write_all(&[2; 10_000]).await {
                return assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
        }
    };
    timeout(patience(), written).await.expect("the writer notices it without the reader");
    timeout(patience(), read).await.expect("the reader notices it");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Mappings of shared memory.
fn mapped() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains("memfd:")).count()
}

/// The first argument of a peer.
const MARK: &str = "--peer";

const WORDS: &[u8] = b"last words, it may be";

const ROUNDS: usize = 20;

/// What a killed process takes to be noticed, on an idle machine.
const NOTICED: Duration = Duration::from_millis(50);
