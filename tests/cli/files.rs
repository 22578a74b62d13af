//! `pleach cert` and `pleach key`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(hosts_get_certificates_of_one_authority),
        test_fn(nothing_is_overwritten_and_no_nonsense_signed),
        test_fn(what_cannot_be_used_is_shown_with_the_reason),
        test_fn(a_new_key_is_only_for_its_owner_and_replaces_none),
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
