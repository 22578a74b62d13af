//! `pleach cert` and `pleach key`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Stdio;

use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{command, json, pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(hosts_get_certificates_of_one_authority),
        test_fn(nothing_is_overwritten_and_no_nonsense_signed),
        test_fn(what_cannot_be_used_is_shown_with_the_reason),
        test_fn(a_new_key_is_only_for_its_owner_and_replaces_none),
        test_fn(what_is_made_and_shown_is_there_as_json),
        test_fn(a_reader_that_leaves_is_no_failure_to_talk_about),
    ]
}

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

fn what_is_made_and_shown_is_there_as_json() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let made = json(at, "cert new alpha --host alpha.example --host 10.0.0.1");
    let files = ["authority.pem", "certificate.pem", "key.pem", "authority-key.pem"];
    let expected = json!({ "directory": "alpha", "hosts": ["alpha.example", "10.0.0.1"], "files": files });
    assert_eq!(made, (true, expected));
    assert_eq!(json(at, "cert new beta --authority alpha").1["files"], json!(files[..3]));
    assert_eq!(json(at, "key new tree.key"), (true, json!({ "file": "tree.key" })));

    let (usable, shown) = json(at, "cert show alpha");
    let [certificate, authority] = [0, 1].map(|place| &shown["certificates"][place]);
    assert!(usable && shown["usable"] == true && shown["why"].is_null(), "{shown}");
    assert_eq!((&certificate["role"], &authority["role"]), (&json!("certificate"), &json!("authority")));
    assert_eq!((&certificate["hosts"], &certificate["signs"]), (&json!(["alpha.example", "10.0.0.1"]), &json!(false)));
    assert_eq!((&authority["signs"], &certificate["any_host"]), (&json!(true), &json!(false)));
    let days =
        |from: &str, to: &str| (certificate[to].as_i64().unwrap() - certificate[from].as_i64().unwrap()) / 86_400;
    assert!((365..=366).contains(&days("valid_from", "valid_to")), "{certificate}");
    assert_eq!(certificate["sha256"].as_str().unwrap().split(':').count(), 32);
    assert_eq!(json(at, "cert show beta/certificate.pem").1["certificates"][0]["any_host"], true);

    // What can't be used is shown all the same, and the exit status says it.
    fs::copy(at.join("beta/key.pem"), at.join("alpha/key.pem")).unwrap();
    let (usable, shown) = json(at, "cert show alpha");
    assert!(!usable && shown["usable"] == false, "{shown}");
    assert!(shown["why"].as_str().unwrap().contains("the key is not the certificate's"), "{shown}");
    assert_eq!(shown["certificates"].as_array().unwrap().len(), 2);
}

/// As with `pleach cert show alpha | head -0`.
fn a_reader_that_leaves_is_no_failure_to_talk_about() {
    let directory = TempDir::new().unwrap();
    pleach(directory.path(), "cert new alpha").unwrap();
    for args in ["cert show alpha", "doctor", "cert show alpha --json", "key new tree.key", "reap --dry-run"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(directory.path(), args);
        let run = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!((run.status.code(), String::from_utf8(run.stderr).unwrap()), (Some(1), String::new()), "{args}");
    }
}
