//! `pleach registry`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{command, pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(a_registrar_keeps_an_address_until_it_is_ended), test_fn(its_addresses_are_there_as_json)]
}

fn a_registrar_keeps_an_address_until_it_is_ended() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let args = format!("registry --listen uds://{}/names.sock --key-file tree.key", at.display());
    let mut registrar = command(at, &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(registrar.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let second = pleach(at, &args);
    let pid = rustix::process::Pid::from_child(&registrar);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(registrar.wait().unwrap().success());
    assert_eq!(said, format!("keeping names at uds://{}/names.sock\n", at.display()));
    assert!(second.unwrap_err().contains("already has the registrar actor `registry`"));
    assert!(!at.join("names.sock").exists());
    assert!(pleach(at, "registry").unwrap_err().contains("--listen tcp://127.0.0.1:1616"));
}

fn its_addresses_are_there_as_json() {
    let directory = TempDir::new().unwrap();
    let address = format!("uds://{}/names.sock", directory.path().display());
    let args = format!("registry --listen {address} --key-file tree.key --json");
    let mut registrar = command(directory.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(registrar.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let pid = rustix::process::Pid::from_child(&registrar);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(registrar.wait().unwrap().success());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, serde_json::json!({ "addresses": [address] }));
}
