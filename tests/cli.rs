//! The command-line tool, as a user at a terminal runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs `pleach` in a directory; returns what it printed, or what it complained about.
fn pleach(at: &Path, args: &str) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    let output = command.args(args.split_whitespace()).current_dir(at).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.code() {
        Some(0) => Ok(text(output.stdout)),
        Some(1 | 2) => Err(text(output.stderr)),
        code => panic!("{args}: {code:?}"),
    }
}

#[test]
fn hosts_get_certificates_of_one_authority() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let made = pleach(at, "cert new alpha --host alpha.example --host 10.0.0.1 --days 30").unwrap();
    assert!(made.contains("--authority alpha"), "{made}");
    for secret in ["alpha/key.pem", "alpha/authority-key.pem"] {
        assert_eq!(fs::metadata(at.join(secret)).unwrap().mode() & 0o777, 0o600, "{secret}");
    }
    pleach(at, "cert new beta --authority alpha").unwrap();
    assert!(!at.join("beta/authority-key.pem").exists(), "only who signs has that");
    let same =
        |name: &str| fs::read(at.join("alpha").join(name)).unwrap() == fs::read(at.join("beta").join(name)).unwrap();
    assert!(same("authority.pem") && !same("key.pem"));

    let shown = pleach(at, "cert show alpha").unwrap();
    for part in ["CN=alpha.example", "alpha.example, 10.0.0.1", "issued by:   CN=pleach authority", "SHA-256 "] {
        assert!(shown.contains(part), "no {part:?} in: {shown}");
    }
    assert!(shown.contains("can be used today"), "{shown}");
    assert!(pleach(at, "cert show beta").unwrap().contains("every host of a tree (pleach)"));
    assert!(pleach(at, "cert show beta/certificate.pem").unwrap().contains("fingerprint"));
}

#[test]
fn nothing_is_overwritten_and_no_nonsense_signed() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    pleach(at, "cert new one").unwrap();
    let there = pleach(at, "cert new one").unwrap_err();
    assert!(there.contains("has authority.pem in it already"), "{there}");
    let name = pleach(at, "cert new two --host not/a/name").unwrap_err();
    assert!(name.contains("`not/a/name` is neither a host name nor an IP address"), "{name}");
    let nowhere = pleach(at, "cert new three --authority nowhere").unwrap_err();
    assert!(nowhere.contains("can't read nowhere/authority.pem"), "{nowhere}");
    // An authority with the key of another one.
    pleach(at, "cert new four").unwrap();
    fs::copy(at.join("four/authority-key.pem"), at.join("one/authority-key.pem")).unwrap();
    let mixed = pleach(at, "cert new five --authority one").unwrap_err();
    assert!(mixed.contains("the certificates of this authority can't be used"), "{mixed}");
}

#[test]
fn what_cannot_be_used_is_shown_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    pleach(at, "cert new one").unwrap();
    pleach(at, "cert new two").unwrap();
    fs::copy(at.join("two/key.pem"), at.join("one/key.pem")).unwrap();
    let key = pleach(at, "cert show one").unwrap_err();
    assert!(key.contains("one can't be used") && key.contains("the key is not the certificate's"), "{key}");
    fs::copy(at.join("one/authority.pem"), at.join("two/authority.pem")).unwrap();
    let authority = pleach(at, "cert show two").unwrap_err();
    assert!(authority.contains("from another authority"), "{authority}");
    fs::write(at.join("two/certificate.pem"), "nothing").unwrap();
    let file = pleach(at, "cert show two/certificate.pem").unwrap_err();
    assert!(file.contains("has no certificate in it"), "{file}");
    assert!(pleach(at, "cert show nowhere").unwrap_err().contains("can't read nowhere"));
}

#[test]
fn a_new_key_is_only_for_its_owner_and_replaces_none() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    assert!(pleach(at, "key new tree.key").unwrap().contains("tree.key"));
    let path = at.join("tree.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&path).unwrap();
    assert!(key.trim_end().len() == 64 && key.ends_with('\n'), "{}", key.len());
    assert!(pleach(at, "key new tree.key").unwrap_err().contains("already exists"));
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn a_registrar_keeps_an_address_until_it_is_ended() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let args = format!("registry --listen uds://{}/names.sock --key-file tree.key", at.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    let mut registrar = command.args(args.split_whitespace()).current_dir(at).stdout(Stdio::piped()).spawn().unwrap();
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

/// Runs `pleach doctor`; returns whether it found nothing missing, and what it found.
fn doctor(at: &Path, set: (&str, &str)) -> (bool, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    let output = command.args(["doctor", "--json"]).current_dir(at).env(set.0, set.1).output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn state_of<'a>(findings: &'a serde_json::Value, what: &str) -> &'a str {
    let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} in {findings}"))["state"].as_str().unwrap()
}

#[test]
fn a_doctor_finds_what_is_missing_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let (healthy, findings) = doctor(at, ("TMPDIR", at.to_str().unwrap()));
    assert!(healthy, "{findings}");
    for transport in ["mem", "tcp", "tls+tcp", "uds", "quic"] {
        assert_eq!(state_of(&findings, transport), "fine", "{findings}");
    }
    assert_eq!(fs::read_dir(at).unwrap().count(), 0, "it left something");

    // A setting that programs would end with.
    let (healthy, findings) = doctor(at, ("PLEACH_TRANSPRT", "tcp"));
    assert!(!healthy && state_of(&findings, "settings") == "missing", "{findings}");
    // A child that can't connect back in time, over what is chosen and over anything else.
    let (healthy, findings) = doctor(at, ("PLEACH_CONNECT_BACK", "1us"));
    assert!(!healthy, "{findings}");
    assert_eq!([state_of(&findings, "uds"), state_of(&findings, "tcp")], ["missing", "limited"], "{findings}");

    // And in words, with what to do.
    let said = pleach(at, "doctor").unwrap();
    assert!(said.lines().any(|line| line.starts_with("ok       tcp")), "{said}");
}
