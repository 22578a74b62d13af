//! What the system around a tree may lack: files, `/proc`, room for the name of a socket, a directory that stays.
//! Each is made up for, or said in so many words by the one who can do something about it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{FOREVER, Notes, RootProcess, assert_says, in_nursery, in_root, note, over, test_fn};

#[pleach::rpc]
async fn answer() -> Result<u32> {
    Ok(42)
}

pub(crate) fn tests() -> Vec<Trial> {
    let sync = |name: &str, body: fn()| {
        Trial::test(format!("surroundings::{name}"), move || {
            body();
            Ok(())
        })
    };
    vec![
        test_fn(variables_that_can_not_be_set_are_errors),
        test_fn(a_socket_directory_that_was_removed_is_made_again),
        test_fn(a_socket_directory_is_made_with_its_parents),
        test_fn(a_socket_directory_that_no_socket_fits_in_is_refused_by_the_root),
        sync("a_temporary_directory_may_have_any_name", temporary),
        sync("a_program_that_a_loader_runs_says_so", loaded),
        sync("a_missing_proc_is_named", without_proc),
        sync("files_that_have_run_out_are_named", few_files),
    ]
}

async fn variables_that_can_not_be_set_are_errors() {
    in_nursery(over("uds"), async |n| {
        for (name, value, said) in [
            ("A=B", "x", "\"A=B\" names no environment variable"),
            ("", "x", "\"\" names no environment variable"),
            ("A\0", "x", "names no environment variable"),
            ("A", "x\0y", "`A` can't have a zero byte"),
        ] {
            let started = n.start_actor("named").env(name, value).await;
            assert_says(&started, &["named", said]);
            let elsewhere = n.start_actor("there").on(pleach::Host::ssh("nowhere.invalid").env(name, value)).await;
            assert_says(&elsewhere, &["there", said]);
        }
        let fine = n.start_actor("fine").env("A", "B=C").await?;
        fine.cancel_actor().await
    })
    .await
    .unwrap();
}

/// Where an actor's Unix socket is.
async fn socket(actor: &pleach::Actor) -> PathBuf {
    let addresses = actor.addresses().await;
    let path = addresses.iter().find_map(|at| at.to_string().strip_prefix("uds://").map(PathBuf::from));
    path.expect("it listens over uds")
}

/// A cleaner of temporary files does not know that the directory is in use.
async fn a_socket_directory_that_was_removed_is_made_again() {
    in_root(over("uds"), async |actor| {
        pleach::open_nursery(async |n| {
            let before = n.start_actor("before").enable(module_path!()).await?;
            for _ in 0..2 {
                let socket = socket(&actor).await;
                std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
                assert_eq!(n.run_in_actor(answer()).await?.result().await?, 42);
            }
            let dir = socket(&actor).await.parent().unwrap().to_owned();
            assert_eq!(before.run(answer()).await?, 42);
            before.cancel_actor().await?;
            Ok::<_, Error>(dir)
        })
        .await
    })
    .await
    .map(|dir| assert!(!dir.exists(), "it was left behind"))
    .unwrap();
}

async fn a_socket_directory_is_made_with_its_parents() {
    let notes = Notes::new();
    let socket_dir = notes.dir().join("not").join("yet");
    let config = Config { socket_dir: Some(socket_dir.clone()), ..over("uds") };
    let answered = in_nursery(config, async |n| {
        let answered = n.run_in_actor(answer()).await?.result().await;
        assert!(socket_dir.is_dir());
        answered
    });
    assert_eq!(answered.await.unwrap(), 42);
}

async fn a_socket_directory_that_no_socket_fits_in_is_refused_by_the_root() {
    let config = Config { socket_dir: Some(Path::new("/tmp").join("x".repeat(100))), ..over("uds") };
    let ended = in_root(config, async |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::Config(_))), "{ended:?}");
    assert_says(&ended, &["`socket_dir`: /tmp/xxx", "105 bytes"]);
}

/// Runs the scenario `configured` in a temporary directory of this name; returns what it says.
fn in_temporary(notes: &Notes, name: &OsStr) -> String {
    let mut command = RootProcess::command_at(&std::env::current_exe().unwrap(), "configured", notes, "");
    command.env("TMPDIR", name).env("PLEACH_TRANSPORT", "uds").current_dir(notes.dir());
    let mut root = RootProcess::spawn(command);
    let said = notes.next();
    root.0.wait().unwrap();
    said
}

fn temporary() {
    let notes = Notes::new();
    for name in ["relative".into(), "x".repeat(65).into_bytes(), "x".repeat(200).into_bytes(), b"\xff".to_vec()] {
        let name = OsStr::from_bytes(&name);
        let dir = notes.dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        for name in [name, dir.as_os_str()] {
            assert_eq!(in_temporary(&notes, name), "uds uds", "{name:?}");
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "something was left behind");
    }
}

fn loaded() {
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    if !loader.exists() {
        return eprintln!("skipped: no {}", loader.display());
    }
    let notes = Notes::new();
    let _root = RootProcess::spawn(RootProcess::command_under(&[loader.to_str().unwrap()], "configured", &notes, ""));
    let said = notes.next();
    let own = std::env::current_exe().unwrap();
    for part in ["`peer`", "ld-linux", "Start it by its own path", own.to_str().unwrap()] {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

fn without_proc() {
    let may = Command::new("unshare").args(["--mount", "umount", "-l", "/proc"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this user may not unmount");
    }
    let notes = Notes::new();
    let front = ["unshare", "--mount", "sh", "-c", "umount -l /proc && exec \"$0\""];
    let _root = RootProcess::spawn(RootProcess::command_under(&front, "configured", &notes, ""));
    let said = notes.next();
    assert!(said.contains("`peer`") && said.contains("mount `/proc`"), "{said}");
}

/// The soft limit does not limit, and an error at the hard one says so.
fn few_files() {
    let notes = Notes::new();
    let front = ["prlimit", "--nofile=40:400"];
    let mut root = RootProcess::spawn(RootProcess::command_under(&front, "few_files", &notes, ""));
    assert_eq!(notes.next(), "20 actors with 40 files");
    assert_eq!(notes.next(), "all said so");
    assert!(root.0.wait().unwrap().success());
}

pub(crate) fn few_files_root(notes: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A start that finds no file left says so by itself.
    let config = Config { connect_back: FOREVER, ..over("tcp") };
    let ended = tokio.block_on(in_nursery(config, async |n| {
        let mut actors = Vec::new();
        for number in 0..20 {
            actors.push(n.start_actor(format!("actor{number}")).await?);
        }
        note(notes, "20 actors with 40 files");
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        // Each start gets one step further.
        let mut started = false;
        while !started {
            let start = n.start_actor("one too many").await;
            match &start {
                Ok(_) => started = true,
                Err(_) => {
                    assert_says(&start, &["one too many", "Too many open files", "may have 400 open", "ulimit -n"])
                }
            }
            taken.pop();
        }
        drop(taken);
        n.cancel().await;
        Ok(())
    }));
    note(notes, ended.map_or_else(|error| format!("{error:?}"), |()| "all said so".into()));
}
