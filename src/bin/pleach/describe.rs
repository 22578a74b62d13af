//! The contents of a certificate, for people and for programs.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, ensure};
use pleach_tls::config::ANY_HOST;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

/// What a certificate says.
#[derive(Serialize)]
pub(crate) struct Described {
    role: Role,
    subject: String,
    /// The hosts that it is for; none if it is an authority's.
    hosts: Vec<String>,
    any_host: bool,
    signs: bool,
    /// In seconds since 1970.
    valid_from: i64,
    valid_to: i64,
    issuer: String,
    sha256: String,
    #[serde(skip)]
    validity: [ASN1Time; 2],
}

/// What it is in the directory that it was found in.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Certificate,
    Authority,
}

impl Described {
    /// Reads certificates (DER).
    ///
    /// # Errors
    /// When one can't be read.
    pub(crate) fn all(role: Role, certificates: &[Vec<u8>]) -> anyhow::Result<Vec<Self>> {
        certificates.iter().map(|der| Self::read(role, der)).collect()
    }

    fn read(role: Role, der: &[u8]) -> anyhow::Result<Self> {
        let certificate = X509Certificate::from_der(der).context("it is not a valid X.509 certificate")?.1;
        let names = certificate.subject_alternative_name().context("its names can't be read")?;
        let hosts: Vec<_> = names.iter().flat_map(|names| &names.value.general_names).map(name).collect();
        let validity = [certificate.validity().not_before, certificate.validity().not_after];
        Ok(Self {
            role,
            subject: certificate.subject().to_string(),
            any_host: hosts.iter().any(|host| host == ANY_HOST),
            hosts,
            signs: certificate.is_ca(),
            valid_from: validity[0].timestamp(),
            valid_to: validity[1].timestamp(),
            issuer: certificate.issuer().to_string(),
            sha256: fingerprint(der),
            validity,
        })
    }

    /// Checks that it is valid today.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check_dates(&self) -> anyhow::Result<()> {
        let (now, [from, to], subject) = (ASN1Time::now(), self.validity, &self.subject);
        ensure!(now >= from, "{subject} is not valid before {from}");
        ensure!(now <= to, "{subject} has expired on {to}");
        Ok(())
    }

    /// Returns lines for people.
    pub(crate) fn in_words(&self) -> String {
        let what = match self.role {
            Role::Certificate => "certificate",
            Role::Authority => "authority",
        };
        let [from, to] = self.validity;
        format!(
            "{what}: {}\n  for:         {}\n  valid:       from {from} to {to}\n  issued by:   {}\n  \
             fingerprint: SHA-256 {}\n",
            self.subject,
            self.good_for(),
            self.issuer,
            self.sha256
        )
    }

    fn good_for(&self) -> String {
        let hosts = self.hosts.join(", ");
        match self {
            Self { signs: true, .. } => "signing certificates".into(),
            Self { any_host: true, .. } => format!("every host of a tree ({hosts})"),
            _ if self.hosts.is_empty() => "no host, as it has no names".into(),
            _ => hosts,
        }
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(ip), _) => Ipv4Addr::from(ip).to_string(),
            (_, Ok(ip)) => Ipv6Addr::from(ip).to_string(),
            _ => "an address of no known kind".into(),
        },
        other => format!("{other}"),
    }
}

fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<_> = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
