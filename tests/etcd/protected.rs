//! An etcd that authenticates its clients: by password, over TLS, by certificate.

use std::path::Path;

use etcd_client::{Client, Permission, PermissionType};
use libtest_mimic::Trial;
use pleach::Error;
use pleach::error::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::registry_suite::actor;
use crate::server::Server;
use crate::{SHORT_LEASE, test, with_registry};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("protected::a_user_has_a_password", by_password),
        test("protected::tls_proves_both_sides", by_certificate),
    ]
}

async fn by_password() -> Result<()> {
    let server = Server::start();
    protect(&server).await.unwrap();
    let address = |user: &str| server.address("p").replacen("//", &format!("//{user}"), 1);
    for (user, why) in [("", "user name"), ("me:wrong@", "authentication failed"), ("me:%2Fopen@", "")] {
        let address = address(user);
        let used = with_registry(&address, SHORT_LEASE, async |registry| {
            let registration = registry.register(actor("worker")).await?;
            assert_eq!(registry.wait_for("worker").await?.len(), 1);
            // It forgets its sessions and the entries: both have to be renewed.
            server.stop();
            server.restart();
            assert_eq!(registry.wait_for("worker").await?.len(), 1);
            registration.leave().await?;
            assert_eq!(registry.find("worker").await?, []);
            Ok(())
        });
        match used.await {
            Ok(()) => assert_eq!(why, ""),
            Err(error) => assert_refused(&error, why),
        }
    }
    // Its rights end with the prefix.
    let elsewhere = address("me:%2Fopen@").replace("/p", "/q");
    let refused = with_registry(&elsewhere, SHORT_LEASE, async |_| Ok(())).await.unwrap_err();
    assert_refused(&refused, "permission denied");
    Ok(())
}

fn assert_refused(error: &Error, why: &str) {
    let text = error.to_string();
    assert!(matches!(error, Error::Registry { .. }) && !why.is_empty() && text.contains(why), "{text}");
    assert!(text.contains("check the user") && !text.contains("open"), "{text}");
}

/// Lets only a user `me` with the password `/open` in, and to `p` only.
async fn protect(server: &Server) -> Result<(), etcd_client::Error> {
    let mut etcd = Client::connect([format!("127.0.0.1:{}", server.port())], None).await?;
    for (user, password, role) in [("root", "everything", "root"), ("me", "/open", "actors")] {
        etcd.role_add(role).await?;
        etcd.user_add(user, password, None).await?;
        etcd.user_grant_role(user, role).await?;
    }
    let permission = Permission::new(PermissionType::Readwrite, "p/").with_prefix();
    etcd.role_grant_permission("actors", permission).await?;
    etcd.auth_enable().await?;
    Ok(())
}

// SEC-22
async fn by_certificate() -> Result<()> {
    let (ours, theirs) = (TempDir::with_prefix("pleach-etcd-").unwrap(), TempDir::with_prefix("pleach-etcd-").unwrap());
    let server = Server::start_with(|dir, port| {
        certify("ours", &[dir, ours.path()]);
        certify("theirs", &[theirs.path()]);
        let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        vec![
            format!("--listen-client-urls=https://127.0.0.1:{port}"),
            format!("--advertise-client-urls=https://127.0.0.1:{port}"),
            format!("--cert-file={}", file("certificate.pem")),
            format!("--key-file={}", file("key.pem")),
            format!("--trusted-ca-file={}", file("authority.pem")),
            "--client-cert-auth".into(),
        ]
    });
    let address = |folder: &Path| format!("tls+{}?certificates={}", server.address("p"), folder.display());
    with_registry(&address(ours.path()), SHORT_LEASE, async |registry| {
        let registration = registry.register(actor("worker")).await?;
        assert_eq!(registry.wait_for("worker").await?.len(), 1);
        registration.leave().await
    })
    .await?;
    let used = async |address: String| with_registry(&address, SHORT_LEASE, async |_| Ok(())).await.unwrap_err();
    // Its certificate is of another authority than we trust: that of these certificates, or the system's.
    let unknown = "invalid peer certificate: UnknownIssuer";
    for address in [address(theirs.path()), format!("tls+{}", server.address("p"))] {
        let refused = used(address).await.to_string();
        assert!(refused.contains(unknown), "{refused}");
    }
    std::fs::remove_file(ours.path().join("certificate.pem")).unwrap();
    let nameless = used(address(ours.path())).await;
    assert!(matches!(nameless, Error::Registry { .. }), "{nameless:?}");
    std::fs::remove_file(ours.path().join("authority.pem")).unwrap();
    let unreadable = used(address(ours.path())).await.to_string();
    assert!(unreadable.contains("authority.pem"), "{unreadable}");
    Ok(())
}

/// Writes certificates of a new authority into each folder.
fn certify(name: &str, folders: &[&Path]) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    for folder in folders {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
        let files = [
            ("authority.pem", authority.pem()),
            ("certificate.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ];
        files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    }
}
