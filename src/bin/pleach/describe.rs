//! Prints the contents of a certificate for people.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, ensure};
use pleach_tls::config::ANY_HOST;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Prints certificates (DER), each under the heading `what`.
pub(crate) fn all(what: &str, certificates: &[Vec<u8>]) -> anyhow::Result<()> {
    for der in certificates {
        let certificate = read(der)?;
        println!("{what}: {}", certificate.subject());
        println!("  for:         {}", good_for(&certificate)?);
        let validity = certificate.validity();
        println!("  valid:       from {} to {}", validity.not_before, validity.not_after);
        println!("  issued by:   {}", certificate.issuer());
        println!("  fingerprint: SHA-256 {}", fingerprint(der));
    }
    Ok(())
}

/// Checks that certificates (DER) are valid today.
pub(crate) fn check_dates(certificates: &[Vec<u8>]) -> anyhow::Result<()> {
    for der in certificates {
        let certificate = read(der)?;
        let (subject, validity) = (certificate.subject(), certificate.validity());
        let now = x509_parser::time::ASN1Time::now();
        ensure!(now >= validity.not_before, "{subject} is not valid before {}", validity.not_before);
        ensure!(now <= validity.not_after, "{subject} has expired on {}", validity.not_after);
    }
    Ok(())
}

fn read(der: &[u8]) -> anyhow::Result<X509Certificate<'_>> {
    Ok(X509Certificate::from_der(der).context("it is not a valid X.509 certificate")?.1)
}

fn good_for(certificate: &X509Certificate<'_>) -> anyhow::Result<String> {
    if certificate.is_ca() {
        return Ok("signing certificates".into());
    }
    let names = certificate.subject_alternative_name().context("its names can't be read")?;
    let names: Vec<_> = names.iter().flat_map(|names| &names.value.general_names).map(name).collect();
    Ok(match names.iter().any(|name| name == ANY_HOST) {
        true => format!("every host of a tree ({})", names.join(", ")),
        false if names.is_empty() => "no host, as it has no names".into(),
        false => names.join(", "),
    })
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
    let bytes: Vec<_> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
