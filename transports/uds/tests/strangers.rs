//! Other users of this host: the directory keeps them out, and so does the kernel's word for who they are.
//!
//! They are threads with credentials of their own, which only root can make: elsewhere there is nothing to see.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pleach_uds::Uds;
use pleach_wire::address::UdsName;
use pleach_wire::{Address, Listener, Protocol, Settings, TransportError};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Runs `work` as an unprivileged user; `None` where this process may not.
fn as_another_user<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can change the user; nothing was tried");
        return None;
    }
    // On Linux credentials belong to a thread.
    let thread = std::thread::spawn(|| {
        let (user, group) = (Uid::from_raw(UNPRIVILEGED), Gid::from_raw(UNPRIVILEGED));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        work()
    });
    Some(thread.join().unwrap())
}

/// A listener in its directory below one that all users may enter.
struct Place {
    temporary: tempfile::TempDir,
    listener: Box<dyn Listener>,
    socket: PathBuf,
}

async fn listening() -> Place {
    let temporary = tempfile::tempdir().unwrap();
    open_to_all(temporary.path(), 0o755);
    let settings = Settings { socket_dir: temporary.path().join("sockets"), ..Settings::default() };
    let listener = Uds.listen(&Uds.any_address(&settings), &settings).await.unwrap();
    let Address::Uds(UdsName::Path(socket)) = listener.local_address() else { panic!("a path") };
    let socket = socket.clone();
    Place { temporary, listener, socket }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

// SEC-11
#[tokio::test]
async fn the_directory_alone_keeps_other_users_out() {
    let place = listening().await;
    open_to_all(&place.socket, 0o666);
    let socket = place.socket.clone();
    let Some(tried) = as_another_user(move || UnixStream::connect(socket).map(drop)) else { return };
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

// SEC-11
#[tokio::test]
async fn the_mode_of_the_socket_alone_keeps_other_users_out() {
    let place = listening().await;
    open_to_all(&place.temporary.path().join("sockets"), 0o755);
    let socket = place.socket.clone();
    let Some(tried) = as_another_user(move || UnixStream::connect(socket).map(drop)) else { return };
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

// SEC-11
#[tokio::test]
async fn the_credentials_alone_keep_other_users_out() {
    let mut place = listening().await;
    open_to_all(&place.temporary.path().join("sockets"), 0o755);
    open_to_all(&place.socket, 0o666);
    let socket = place.socket.clone();
    let connect = move || as_another_user(move || UnixStream::connect(socket).unwrap());
    let Some(mut stranger) = tokio::task::spawn_blocking(connect).await.unwrap() else { return };
    let closed = tokio::select! {
        accepted = place.listener.accept() => panic!("let in: {:?}", accepted.map(|link| link.ends)),
        closed = tokio::task::spawn_blocking(move || stranger.read(&mut [0])) => closed.unwrap(),
    };
    assert_eq!(closed.unwrap(), 0);
}

// SEC-11
#[tokio::test]
async fn a_listener_of_another_user_is_not_spoken_to() {
    let temporary = tempfile::tempdir().unwrap();
    open_to_all(temporary.path(), 0o777);
    let socket = temporary.path().join("trap.sock");
    let bind = {
        let socket = socket.clone();
        move || UnixListener::bind(socket).unwrap()
    };
    let Some(_trap) = as_another_user(bind) else { return };
    match Uds.dial(&Address::Uds(UdsName::Path(socket)), &Settings::default()).await {
        Err(TransportError::Dial { source, .. }) => assert_eq!(source.kind(), ErrorKind::PermissionDenied),
        other => panic!("{other:?}"),
    }
}

const UNPRIVILEGED: u32 = 65_534;
