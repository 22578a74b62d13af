//! Trees whose key or certificates come from files, over the transports that have certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libtest_mimic::Trial;
use pleach::{Config, Result};
use pleach_tls::authority::{Authority, Validity};
use pleach_tls::identity::Pem;
use tempfile::TempDir;

use crate::support::{assert_says, in_nursery, in_root, over, test, test_fn};

#[pleach::rpc]
async fn whoami() -> Result<u32> {
    Ok(std::process::id())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ["tls+tcp", "quic"] {
        tests.push(test(format!("certificates::of_a_key_in_a_file_over_{protocol}"), move || {
            of_a_key_in_a_file(protocol)
        }));
        tests.push(test(format!("certificates::of_the_user_over_{protocol}"), move || of_the_user(protocol)));
        let refused = move || for_another_host(protocol);
        tests.push(test(format!("certificates::for_another_host_over_{protocol}"), refused));
    }
    tests.push(test_fn(that_are_no_good_end_the_start));
    tests
}

/// Two trees, one after the other, that have their key from one file.
async fn of_a_key_in_a_file(protocol: &'static str) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tree.key");
    let config = Config { key_file: Some(path.clone()), ..over(protocol) };
    asks_a_child(config.clone()).await.unwrap();
    let key = fs::read(&path).unwrap();
    asks_a_child(config.clone()).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), key, "it is made once");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_says(&asks_a_child(config).await, &["tree.key", "by others (mode 0644)", "chmod 600"]);
}

// SEC-19
async fn of_the_user(protocol: &'static str) {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "127.0.0.1");
    let config = Config { certificates: Some(directory.path().to_owned()), ..over(protocol) };
    asks_a_child(config).await.unwrap();

    let missing = Config { certificates: Some(directory.path().join("missing")), ..over(protocol) };
    assert_says(&asks_a_child(missing).await, &["can't read", "missing/authority.pem"]);
}

/// It shows without dialling, and is not taken for a fault of the dialled peer.
async fn that_are_no_good_end_the_start() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "127.0.0.1");
    let authority = Authority::new(Validity::Days(1)).unwrap();
    fs::write(directory.path().join("authority.pem"), authority.certificate_pem()).unwrap();
    let registry = vec!["tls+tcp://127.0.0.1:1".parse().unwrap()];
    let key_file = Some(directory.path().join("tree.key"));
    let certificates = Some(directory.path().to_owned());
    let refused = in_root(Config { certificates, key_file, registry, ..over("uds") }, async |_| Ok(())).await;
    let named = format!("tls: certificates: {}: the certificate is from another authority", directory.path().display());
    assert!(refused.unwrap_err().to_string().starts_with(&named));
}

/// The child refuses its parent, and its parent tells why it never came.
// SEC-19
async fn for_another_host(protocol: &'static str) {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "alpha.example");
    let config = Config { certificates: Some(directory.path().to_owned()), ..over(protocol) };
    assert_says(&asks_a_child(config).await, &["another host than the one that was dialled", "alpha.example"]);
}

async fn asks_a_child(config: Config) -> Result<()> {
    in_nursery(config, async |n| {
        let child = n.start_actor("child").enable(module_path!()).await?;
        assert_ne!(child.run(whoami()).await?, std::process::id());
        child.cancel_actor().await
    })
    .await
}

fn write(directory: &Path, host: &str) {
    let authority = Authority::new(Validity::Days(1)).unwrap();
    let issued = authority.issue(&[host.to_owned()], Validity::Days(1)).unwrap();
    Pem::new(&authority, &issued).write(directory).unwrap();
}
