//! A process without free file descriptors: accepting fails for a while, and the listener goes on.
//!
//! Alone in its file, because the limit concerns the whole process.

use std::time::{Duration, Instant};

use pleach_tcp::Tcp;
use pleach_wire::{Protocol, Settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[tokio::test]
async fn a_lack_of_descriptors_fails_accepts_and_not_the_listener() {
    let (tcp, settings) = (Tcp::default(), Settings::default());
    let mut listener = tcp.listen(&tcp.any_address(&settings), &settings).await.unwrap();
    let address = listener.local_address().clone();
    let dialled = tcp.dial(&address, &settings).await.unwrap();

    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        let refused = listener.accept().await.unwrap_err();
        assert!(refused.to_string().contains("open files"), "{refused}");
    }
    assert!(started.elapsed() >= Duration::from_millis(100), "it spins");

    setrlimit(Resource::Nofile, before).unwrap();
    let accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.ends.remote, dialled.ends.local, "the connection had waited in the queue");
}
