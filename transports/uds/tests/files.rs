//! A process that has no file left: a connection that is there goes on.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Poll;

use pleach_uds::Uds;
use pleach_wire::address::UdsName;
use pleach_wire::{Address, Protocol as _, Settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

// A program of its own, because the limit is that of the process.
#[tokio::test]
async fn a_full_socket_is_written_without_a_file_to_wait_with() {
    let address = Address::Uds(UdsName::Abstract(format!("files-{}", std::process::id())));
    let settings = Settings::default();
    let mut listener = Uds.listen(&address, &settings).await.unwrap();
    let mut dialled = Uds.dial(&address, &settings).await.unwrap();
    let mut accepted = listener.accept().await.unwrap();

    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
    let bytes = vec![7; 64 << 10];
    let mut write = async || {
        let slices = [IoSlice::new(&bytes)];
        poll_fn(|cx| Poll::Ready(Pin::new(&mut dialled.writer).poll_write_vectored(cx, &slices))).await
    };
    let mut written = 0;
    while let Poll::Ready(taken) = write().await {
        written += taken.unwrap();
    }
    let mut read = vec![0; written];
    accepted.reader.read_exact(&mut read).await.unwrap();
    // It takes more now, and the writer finds that by itself.
    let slices = [IoSlice::new(&bytes)];
    assert!(poll_fn(|cx| Pin::new(&mut dialled.writer).poll_write_vectored(cx, &slices)).await.unwrap() > 0);
    setrlimit(Resource::Nofile, before).unwrap();
}
