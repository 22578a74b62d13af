//! Who a member of a tree is to TLS: certificates freshly made, or read from files.
//!
//! A tree makes one identity at its root and hands it to its children over a pipe: whoever holds it is
//! a member. A tree over hosts that belong to others can use certificates of its own, one per host.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use pleach_wire::{TlsIdentity, TransportError};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::SERVER_NAME;

/// Makes a fresh authority and one certificate of it, valid from 2020 to 2120.
///
/// The authority's key is thrown away: nobody can add a member later but by handing on this identity.
///
/// # Errors
/// [`TransportError::Tls`] when the system has no randomness to give.
pub fn generate() -> Result<TlsIdentity, TransportError> {
    let made = Made::new().map_err(cannot_make)?;
    Ok(TlsIdentity {
        authority: made.authority.der().to_vec(),
        certificate: made.certificate.der().to_vec(),
        key: made.key.serialize_der(),
    })
}

/// As [`generate`], as text for files.
///
/// # Errors
/// As [`generate`].
pub fn generate_pem() -> Result<Pem, TransportError> {
    let made = Made::new().map_err(cannot_make)?;
    Ok(Pem { authority: made.authority.pem(), certificate: made.certificate.pem(), key: made.key.serialize_pem() })
}

/// Reads an identity from PEM texts; of each, the first certificate or key in it.
///
/// # Errors
/// [`TransportError::Tls`], which says which of the three is no good. Whether they fit together shows
/// when somebody dials or listens with them.
pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<TlsIdentity, TransportError> {
    let broken = |what: &str, error| TransportError::Tls(format!("the {what} is not in PEM form: {error}"));
    let authority = CertificateDer::from_pem_slice(authority).map_err(|error| broken("authority", error))?;
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(|error| broken("certificate", error))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| broken("key", error))?;
    Ok(TlsIdentity { authority: authority.to_vec(), certificate: certificate.to_vec(), key: key.secret_der().to_vec() })
}

/// Reads an identity from [`AUTHORITY`], [`CERTIFICATE`] and [`KEY`] in `directory`.
///
/// # Errors
/// [`TransportError::Tls`], which names the file that can't be read or is no good.
pub fn from_pem_files(directory: impl AsRef<Path>) -> Result<TlsIdentity, TransportError> {
    let read = |name: &str| {
        let path = directory.as_ref().join(name);
        fs::read(&path).map_err(|error| TransportError::Tls(format!("can't read {}: {error}", path.display())))
    };
    from_pem(&read(AUTHORITY)?, &read(CERTIFICATE)?, &read(KEY)?)
}

/// An identity as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The authority's certificate.
    pub authority: String,
    /// The member's certificate.
    pub certificate: String,
    /// The member's private key.
    pub key: String,
}

impl Pem {
    /// Writes the three files that [`from_pem_files`] reads into `directory`; only the owner may read the key.
    ///
    /// # Errors
    /// Those of the file system; files written before the failed one stay.
    pub fn write(&self, directory: impl AsRef<Path>) -> io::Result<()> {
        let directory = directory.as_ref();
        fs::write(directory.join(AUTHORITY), &self.authority)?;
        fs::write(directory.join(CERTIFICATE), &self.certificate)?;
        // A key that exists may be open to others, and writing would keep it so.
        match fs::remove_file(directory.join(KEY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(directory.join(KEY))?.write_all(self.key.as_bytes())
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

/// The file of the authority's certificate.
pub const AUTHORITY: &str = "authority.pem";

/// The file of the member's certificate.
pub const CERTIFICATE: &str = "certificate.pem";

/// The file of the member's private key.
pub const KEY: &str = "key.pem";

struct Made {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Made {
    fn new() -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = parameters(&[])?;
        // A name of its own, so that a certificate of another tree is of an unknown authority, not a forgery of ours.
        let id: String =
            authority.key_identifier(&authority_key).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        authority.distinguished_name.push(DnType::CommonName, format!("pleach authority {id}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, authority_key)?;

        let key = KeyPair::generate()?;
        let mut member = parameters(&[SERVER_NAME, "localhost", "127.0.0.1", "::1"])?;
        member.distinguished_name.push(DnType::CommonName, SERVER_NAME);
        member.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        member.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        member.use_authority_key_identifier_extension = true;
        let certificate = member.signed_by(&key, &authority)?;
        Ok(Self { authority, certificate, key })
    }
}

fn parameters(names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2120, 1, 1);
    Ok(parameters)
}

fn cannot_make(error: rcgen::Error) -> TransportError {
    TransportError::Tls(format!("can't make certificates: {error}"))
}
