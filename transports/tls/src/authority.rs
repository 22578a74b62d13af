//! Authorities: a member that trusts one accepts every certificate that it has signed.
//!
//! The authority of a tree is derived from the tree's key: the same key makes the same authority, in any process and on
//! any host, without communication. So exactly the holders of the key can make certificates that all members accept.
//! Others are made for files, or read from them.

use std::time::{Duration, SystemTime};

use pleach_wire::{TlsIdentity, TransportError};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, date_time_ymd,
};
use ring::hkdf;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};

use crate::config::ANY_HOST;

/// An authority with its key, ready to sign.
#[derive(Debug)]
pub struct Authority {
    certificate: Vec<u8>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that an authority has just signed, with its key.
#[derive(Debug)]
pub struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// How long certificates are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2120, for certificates that live as long as a tree: a wrong clock does no harm.
    Century,
    /// From an hour ago, because clocks differ, for this many days from now; a century at most.
    Days(u32),
}

impl Authority {
    /// Makes one with a fresh key.
    ///
    /// # Errors
    /// [`TransportError::Tls`] when the system has no randomness to give.
    pub fn new(validity: Validity) -> Result<Self, TransportError> {
        KeyPair::generate().and_then(|key| Self::self_signed(key, validity)).map_err(cannot_make)
    }

    /// Returns the authority of the tree that has this key: always the same one, to the byte.
    ///
    /// Its private key is derived by HKDF-SHA-256 (RFC 5869) under a label of its own, so it reveals nothing about the
    /// secret or other keys derived from it.
    ///
    /// # Errors
    /// [`TransportError::Tls`] when it can't be made, which has no cause that is known.
    pub fn of_tree(secret: &[u8; 32]) -> Result<Self, TransportError> {
        let mut seed = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
            .extract(secret)
            .expand(&[AUTHORITY_KEY], hkdf::HKDF_SHA256)
            .and_then(|key| key.fill(&mut seed))
            .expect("HKDF-SHA-256 gives up to 8160 bytes, and 32 are asked for");
        let key = [ED25519_PREFIX, &seed].concat();
        KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &PKCS_ED25519)
            .and_then(|key| Self::self_signed(key, Validity::Century))
            .map_err(cannot_make)
    }

    /// Reads one from the PEM texts of its certificate and its key; it may have been made elsewhere.
    ///
    /// # Errors
    /// [`TransportError::Tls`], which says what is invalid. A mismatch of the two shows when a certificate that it has
    /// signed is checked.
    #[cfg(feature = "issuing")]
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TransportError> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;

        let no_good = |what: &str, why: &dyn std::fmt::Display| {
            TransportError::Tls(format!("the authority's {what} can't be used: {why}"))
        };
        let key = KeyPair::from_pem(key).map_err(|error| no_good("key", &error))?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| no_good("certificate", &error))?
            .into_owned();
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| no_good("certificate", &error))?;
        Ok(Self { certificate: der.to_vec(), pem: certificate.to_owned(), issuer })
    }

    fn self_signed(key: KeyPair, validity: Validity) -> Result<Self, rcgen::Error> {
        let mut own = parameters(&[], validity)?;
        // A name of its own, so that a certificate of another tree is of an unknown authority, not a forgery of ours.
        let id: String = own.key_identifier(&key).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        own.distinguished_name.push(DnType::CommonName, format!("pleach authority {id}"));
        own.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = own.self_signed(&key)?;
        Ok(Self { certificate: certificate.der().to_vec(), pem: certificate.pem(), issuer: Issuer::new(own, key) })
    }

    /// Signs a certificate with a fresh key, for these names (host names or IP addresses); for every host
    /// of the tree if there are none.
    ///
    /// # Errors
    /// [`TransportError::Tls`] for an invalid name, and when the system's random generator fails.
    pub fn issue(&self, names: &[String], validity: Validity) -> Result<Issued, TransportError> {
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(TransportError::Tls(format!("`{name}` is neither a host name nor an IP address")));
        }
        self.sign(names, validity).map_err(cannot_make)
    }

    fn sign(&self, names: &[String], validity: Validity) -> Result<Issued, rcgen::Error> {
        let any = [ANY_HOST.to_owned()];
        let names = if names.is_empty() { &any } else { names };
        let key = KeyPair::generate()?;
        let mut member = parameters(names, validity)?;
        member.distinguished_name.push(DnType::CommonName, names[0].as_str());
        member.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        member.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        member.use_authority_key_identifier_extension = true;
        Ok(Issued { certificate: member.signed_by(&key, &self.issuer)?, key })
    }

    /// Returns its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Returns its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Returns its private key, PEM. Its holder can make members.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

impl Issued {
    /// Returns the certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Returns its private key, PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Makes it the identity of a member that accepts certificates signed by `authority`.
    pub fn identity(&self, authority: &Authority) -> TlsIdentity {
        TlsIdentity {
            authorities: vec![authority.certificate.clone()],
            chain: vec![self.certificate.der().to_vec()],
            key: self.key.serialize_der(),
        }
    }
}

fn parameters(names: &[String], validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    match validity {
        Validity::Century => {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2120, 1, 1);
        }
        Validity::Days(days) => {
            let now = SystemTime::now();
            parameters.not_before = (now - CLOCKS_DIFFER).into();
            parameters.not_after = (now + DAY * days.min(CENTURY)).into();
        }
    }
    Ok(parameters)
}

/// A host name, maybe with any name for its first part, or an IP address.
fn is_name(text: &str) -> bool {
    ServerName::try_from(text.strip_prefix("*.").unwrap_or(text)).is_ok()
}

fn cannot_make(error: rcgen::Error) -> TransportError {
    TransportError::Tls(format!("can't make certificates: {error}"))
}

/// Domain separation for HKDF: from other programs that derive from the same secret, and from other keys of this one.
const SALT: &[u8] = b"pleach/1";
const AUTHORITY_KEY: &[u8] = b"tls authority, ed25519";

/// The prefix of the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, 7).
const ED25519_PREFIX: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);
/// In days. Much later than that has no form in a certificate.
const CENTURY: u32 = 36_525;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-18
    #[test]
    fn a_key_makes_one_authority_and_another_key_another_one() {
        let of = |byte| Authority::of_tree(&[byte; 32]).unwrap();
        assert_eq!(of(1).certificate(), of(1).certificate());
        assert_eq!(of(1).key_pem(), of(1).key_pem());
        assert_ne!(of(1).certificate(), of(2).certificate());
        let secret = [1; 32];
        let key = of(1).issuer.key().serialize_der();
        assert!(!key.windows(32).any(|part| part == secret), "the secret is not itself a key");
    }

    #[cfg(feature = "issuing")]
    #[test]
    fn an_authority_comes_back_from_its_files() {
        let made = Authority::new(Validity::Days(2)).unwrap();
        let read = Authority::from_pem(made.certificate_pem(), &made.key_pem()).unwrap();
        let identity = read.issue(&["alpha".into()], Validity::Days(1)).unwrap().identity(&made);
        crate::config::check(&identity).unwrap();
        let wrong = Authority::from_pem(made.certificate_pem(), "no key").unwrap_err();
        assert!(wrong.to_string().contains("the authority's key can't be used"), "{wrong}");
    }
}
