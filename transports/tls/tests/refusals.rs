//! Every way in which a certificate is refused, over every transport that has certificates: both sides have
//! an error that says whose certificate it was, what is wrong with it, and what to do.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pleach_quic::Quic;
use pleach_tcp::TlsTcp;
use pleach_tls::authority::Validity;
use pleach_tls::{config, identity};
use pleach_wire::{Protocol, Settings, TlsIdentity, TransportError};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

/// What one side shows and the other refuses, and the words of both.
struct Row {
    fault: &'static str,
    shows: Shows,
    dialer: TlsIdentity,
    listener: TlsIdentity,
    /// The error of the refusing side.
    refuses: &'static [&'static str],
    /// The error of the refused side.
    refused: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Dialer,
    Listener,
}

const PROTOCOLS: [&dyn Protocol; 2] = [&Quic, &TlsTcp];

/// How a dial ended at both sides: the dialer's, then the listener's.
async fn meet(
    protocol: &dyn Protocol,
    dialer: &TlsIdentity,
    listener: &TlsIdentity,
) -> [Result<(), TransportError>; 2] {
    let settings = |identity: &TlsIdentity| Settings { tls: Some(Arc::new(identity.clone())), ..Settings::default() };
    let (dialer, listener) = (settings(dialer), settings(listener));
    let mut listening = protocol.listen(&protocol.any_address(&listener), &listener).await.unwrap();
    let at = listening.local_address().clone();
    let both = async { tokio::join!(protocol.dial(&at, &dialer), listening.accept()) };
    let (dialled, accepted) = tokio::time::timeout(pleach_patience::patience(), both).await.expect("both hear");
    [dialled.map(drop), accepted.map(drop)]
}

async fn refused(protocol: &dyn Protocol, dialer: &TlsIdentity, listener: &TlsIdentity) -> [String; 2] {
    meet(protocol, dialer, listener).await.map(|end| match end {
        Err(TransportError::Tls(why)) => why,
        other => panic!("expected Tls over {} and got {other:?}", protocol.name()),
    })
}

// SEC-9
#[tokio::test]
async fn each_refusal_is_an_error_on_both_sides_that_says_what_to_do() {
    for row in table() {
        for protocol in PROTOCOLS {
            let [dialled, accepted] = refused(protocol, &row.dialer, &row.listener).await;
            let (refuses, refused) = match row.shows {
                Shows::Listener => (dialled, accepted),
                Shows::Dialer => (accepted, dialled),
            };
            let place = format!("{} over {}", row.fault, protocol.name());
            for part in row.refuses.iter().chain(&["this side refused", "the peer's certificate"]) {
                assert!(refuses.contains(part), "{place}: no {part:?} in: {refuses}");
            }
            for part in row.refused.iter().chain(&["refused this side", "our certificate"]) {
                assert!(refused.contains(part), "{place}: no {part:?} in: {refused}");
            }
        }
    }
}

fn table() -> Vec<Row> {
    let authority = Authority::new("the tree's");
    let good = authority.sign("pleach", |_| {});
    let foreign = Authority::new("another").sign("pleach", |_| {});
    let namesake = Authority::new("the tree's").sign("pleach", |_| {});
    let by = |shows, fault, bad: TlsIdentity, refuses, refused| {
        // Who is refused believes in the tree's authority, so that only one certificate is wrong.
        let bad = TlsIdentity { authorities: good.authorities.clone(), ..bad };
        let (dialer, listener) = match shows {
            Shows::Dialer => (bad, good.clone()),
            Shows::Listener => (good.clone(), bad),
        };
        Row { fault, shows, dialer, listener, refuses, refused }
    };
    let mut table = Vec::new();
    for shows in [Shows::Dialer, Shows::Listener] {
        let expired = authority.sign("pleach", |own| own.not_after = date_time_ymd(2000, 1, 1));
        table.push(by(shows, "expired", expired, &["has expired: make a new one", "pleach cert new"], &["expired"]));
        let early = authority.sign("pleach", |own| own.not_before = date_time_ymd(2100, 1, 1));
        table.push(by(shows, "not valid yet", early, &["not valid yet: check the clocks"], &["not valid yet"]));
        let other = &["another authority", "same key file"];
        table.push(by(shows, "another authority", foreign.clone(), other, other));
        table.push(by(shows, "an authority of the same name", namesake.clone(), other, other));
        let own = &["self-signed", "pleach cert new --authority"];
        table.push(by(shows, "self-signed", self_signed(false), own, own));
        table.push(by(shows, "an authority's own", self_signed(true), own, own));
        let purpose = match shows {
            Shows::Dialer => ExtendedKeyUsagePurpose::ServerAuth,
            Shows::Listener => ExtendedKeyUsagePurpose::ClientAuth,
        };
        let half = authority.sign("pleach", |own| own.extended_key_usages = vec![purpose]);
        let usage = &["extended key usage must allow server and client"];
        table.push(by(shows, "not for this use", half, usage, usage));
    }
    // Only listeners have a name to be wrong: dialers come from anywhere.
    let alpha = authority.sign("alpha.example", |_| {});
    let host = &["another host than the one that was dialled", "alpha.example", "pleach cert new --host"];
    table.push(by(Shows::Listener, "another host", alpha, host, host));
    table
}

// SEC-19
#[tokio::test]
async fn a_certificate_is_good_for_its_host_and_one_for_the_tree_on_any() {
    let authority = Authority::new("the tree's");
    let dialer = authority.sign("alpha.example", |_| {});
    for name in ["127.0.0.1", "pleach"] {
        for protocol in PROTOCOLS {
            let [dialled, accepted] = meet(protocol, &dialer, &authority.sign(name, |_| {})).await;
            dialled.and(accepted).unwrap_or_else(|error| panic!("{name} over {}: {error}", protocol.name()));
        }
    }
}

// SEC-18
#[tokio::test]
async fn two_that_have_the_same_key_trust_each_other_only() {
    let of = |secret| identity::of_tree(&[secret; 32]).unwrap();
    for protocol in PROTOCOLS {
        let [dialled, accepted] = meet(protocol, &of(1), &of(1)).await;
        dialled.and(accepted).unwrap();
        for side in refused(protocol, &of(2), &of(1)).await {
            assert!(side.contains("another authority"), "{side}");
        }
    }
}

#[tokio::test]
async fn a_chain_leads_to_its_authority() {
    let root = Authority::new("root");
    let mut between = CertificateParams::new([]).unwrap();
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.distinguished_name.push(DnType::CommonName, "between");
    let between = Authority(CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &root.0).unwrap());
    let mut member = between.sign("pleach", |_| {});
    member.chain.push(between.0.der().to_vec());
    member.authorities = vec![root.0.der().to_vec()];
    config::check(&member).unwrap();
    for protocol in PROTOCOLS {
        let [dialled, accepted] = meet(protocol, &root.sign("pleach", |_| {}), &member).await;
        dialled.and(accepted).unwrap();
    }
}

#[tokio::test]
async fn certificates_from_files_work_and_broken_ones_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let authority = pleach_tls::authority::Authority::new(Validity::Days(1)).unwrap();
    let issued = authority.issue(&[], Validity::Days(1)).unwrap();
    identity::Pem::new(&authority, &issued).write(directory.path()).unwrap();
    let read = identity::from_pem_files(directory.path()).unwrap();
    assert_eq!(read, issued.identity(&authority));
    config::check(&read).unwrap();

    let fault = || identity::from_pem_files(directory.path()).unwrap_err().to_string();
    std::fs::write(directory.path().join(identity::KEY), "no key").unwrap();
    assert!(fault().contains("the key can't be read: it has no private key in it"), "{}", fault());
    identity::Pem::new(&authority, &issued).write(directory.path()).unwrap();
    std::fs::write(directory.path().join(identity::CERTIFICATE), "").unwrap();
    assert!(fault().contains("the certificate can't be read: it has no certificate in it"), "{}", fault());
    std::fs::remove_file(directory.path().join(identity::AUTHORITY)).unwrap();
    assert!(fault().contains("authority.pem"), "{}", fault());

    identity::Pem::new(&authority, &issued).write(directory.path()).unwrap();
    let chmod = |mode| {
        std::fs::set_permissions(directory.path().join(identity::KEY), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o644, 0o620, 0o602] {
        chmod(mode);
        for part in ["key.pem can be read by all users or changed", &format!("(mode {mode:04o})"), "chmod 600"] {
            assert!(fault().contains(part), "{}", fault());
        }
    }
    chmod(0o440); // as services get it, through a group of their own
    identity::from_pem_files(directory.path()).unwrap();

    let mixed = TlsIdentity { key: identity::generate().unwrap().key, ..identity::generate().unwrap() };
    assert!(config::check(&mixed).is_err());
    let mixed = Settings { tls: Some(Arc::new(mixed)), ..Settings::default() };
    for protocol in PROTOCOLS {
        let refused = protocol.listen(&protocol.any_address(&mixed), &mixed).await.err().unwrap();
        assert!(matches!(refused, TransportError::Tls(_)), "{refused}");
    }
}

/// An authority that signs what a test wants.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        TlsIdentity {
            authorities: vec![self.0.der().to_vec()],
            chain: vec![certificate.der().to_vec()],
            key: key.serialize_der(),
        }
    }
}

fn self_signed(is_authority: bool) -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["pleach".to_owned()]).unwrap();
    if is_authority {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = parameters.self_signed(&key).unwrap().der().to_vec();
    TlsIdentity { authorities: vec![certificate.clone()], chain: vec![certificate], key: key.serialize_der() }
}
