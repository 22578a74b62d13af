//! Where sockets live: directories, stale sockets, names, and what is left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use pleach_uds::Uds;
use pleach_wire::address::UdsName;
use pleach_wire::{Address, Listener, Protocol, Settings, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn at(path: impl AsRef<Path>) -> Address {
    Address::Uds(UdsName::Path(path.as_ref().to_owned()))
}

fn in_directory(socket_dir: &Path) -> Settings {
    Settings { socket_dir: socket_dir.to_owned(), ..Settings::default() }
}

async fn listen(address: &Address, settings: &Settings) -> Box<dyn Listener> {
    Uds.listen(address, settings).await.unwrap()
}

async fn refusal(address: &Address, settings: &Settings) -> std::io::ErrorKind {
    match Uds.listen(address, settings).await {
        Err(TransportError::Listen { source, .. }) => source.kind(),
        other => panic!("expected Listen and got {:?}", other.map(|_| "a listener")),
    }
}

async fn say_hello(address: &Address, settings: &Settings, listener: &mut Box<dyn Listener>) {
    let (dialled, accepted) = tokio::join!(Uds.dial(address, settings), listener.accept());
    let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    dialled.writer.write_all(b"hello").await.unwrap();
    dialled.writer.shutdown().await.unwrap();
    let mut heard = String::new();
    accepted.reader.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "hello");
}

#[tokio::test]
async fn the_socket_directory_is_private_and_goes_with_its_last_socket() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("sockets");
    let settings = in_directory(&directory);
    let first = listen(&Uds.any_address(&settings), &settings).await;
    let second = listen(&Uds.any_address(&settings), &settings).await;
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    first.close().await;
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    drop(second);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_directory_that_was_there_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("sockets");
    fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    let settings = in_directory(&directory);
    listen(&Uds.any_address(&settings), &settings).await.close().await;
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

// SEC-12
#[tokio::test]
async fn a_directory_open_to_others_is_refused_with_advice() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("sockets");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    let settings = in_directory(&directory);
    let Err(error) = Uds.listen(&Uds.any_address(&settings), &settings).await else { panic!("it listens") };
    assert!(error.to_string().contains("make it 0700"), "{error}");
    let link = temporary.path().join("link");
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    let settings = in_directory(&link);
    assert_eq!(refusal(&Uds.any_address(&settings), &settings).await, std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let temporary = tempfile::tempdir().unwrap();
    let (path, settings) = (temporary.path().join("a.sock"), Settings::default());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves its socket behind");
    let mut listener = listen(&at(&path), &settings).await;
    assert_eq!(refusal(&at(&path), &settings).await, std::io::ErrorKind::AddrInUse);
    drop(listener.accept().await.unwrap()); // the probe for a listener
    say_hello(&at(&path), &settings, &mut listener).await;
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("precious");
    fs::write(&path, "data").unwrap();
    assert_eq!(refusal(&at(&path), &Settings::default()).await, std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn only_the_own_socket_file_is_removed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("a.sock");
    let listener = listen(&at(&path), &Settings::default()).await;
    fs::rename(&path, temporary.path().join("moved.sock")).unwrap();
    fs::write(&path, "of another program").unwrap();
    listener.close().await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused_with_advice() {
    let settings = in_directory(&std::env::temp_dir().join("x".repeat(100)));
    let address = Uds.any_address(&settings);
    let Err(error) = Uds.listen(&address, &settings).await else { panic!("it listens") };
    assert!(error.to_string().contains("at most 107"), "{error}");
    assert!(Uds.dial(&address, &settings).await.is_err());
    assert!(!settings.socket_dir.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn abstract_names_need_no_file() {
    let settings = Settings::default();
    let address: Address = format!("uds://@pleach-test-{}", std::process::id()).parse().unwrap();
    let mut listener = listen(&address, &settings).await;
    assert_eq!(refusal(&address, &settings).await, std::io::ErrorKind::AddrInUse);
    say_hello(&address, &settings, &mut listener).await;
    listener.close().await;
    assert!(Uds.dial(&address, &settings).await.is_err());
}

#[tokio::test]
async fn both_ends_know_who_the_other_is() {
    let temporary = tempfile::tempdir().unwrap();
    let (address, settings) = (at(temporary.path().join("a.sock")), Settings::default());
    let mut listener = listen(&address, &settings).await;
    let (dialled, accepted) = tokio::join!(Uds.dial(&address, &settings), listener.accept());
    for link in [dialled.unwrap(), accepted.unwrap()] {
        let credentials = link.ends.credentials.unwrap();
        assert_eq!(credentials.uid, rustix::process::geteuid().as_raw());
        assert_eq!(credentials.pid, Some(std::process::id()));
    }
}
