//! The TLS identity of a member: a certificate with its key, and the authority that it trusts.
//!
//! A tree's identity is derived from the tree's key: any holder of the key can be a member. A tree over hosts
//! that belong to others can use certificates of its own, one per host.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use pleach_wire::{TlsIdentity, TransportError};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::{Authority, Issued, Validity};

/// Makes a member of the tree that has this key. The authority is the same for the same key, see
/// [`Authority::of_tree`]; the certificate is fresh, and good on any host of the tree.
///
/// # Errors
/// [`TransportError::Tls`] when the system has no randomness to give.
///
/// # Examples
/// ```
/// let (one, two) = (pleach_tls::identity::of_tree(&[7; 32])?, pleach_tls::identity::of_tree(&[7; 32])?);
/// assert!(one.authorities == two.authorities && one.chain != two.chain);
/// # Ok::<(), pleach_wire::TransportError>(())
/// ```
pub fn of_tree(secret: &[u8; 32]) -> Result<TlsIdentity, TransportError> {
    let authority = Authority::of_tree(secret)?;
    Ok(authority.issue(&[], Validity::Century)?.identity(&authority))
}

/// Makes the only member of a fresh authority, valid from 2020 to 2120.
///
/// The authority's key is discarded: sharing this identity is the only way to add a member later.
///
/// # Errors
/// [`TransportError::Tls`] when the system has no randomness to give.
pub fn generate() -> Result<TlsIdentity, TransportError> {
    let authority = Authority::new(Validity::Century)?;
    Ok(authority.issue(&[], Validity::Century)?.identity(&authority))
}

/// Reads an identity from PEM texts: the authorities that are trusted, the member's certificate with those
/// between it and its authority behind it, and the member's key.
///
/// # Errors
/// [`TransportError::Tls`], which says which of the three is invalid. [`check`](crate::config::check) tells whether
/// they fit together.
pub fn from_pem(authorities: &[u8], chain: &[u8], key: &[u8]) -> Result<TlsIdentity, TransportError> {
    let broken = |what: &'static str| {
        move |why: TransportError| match why {
            TransportError::Tls(why) => TransportError::Tls(format!("the {what} can't be read: {why}")),
            other => other,
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(no_key).map_err(broken("key"))?;
    Ok(TlsIdentity {
        authorities: certificates(authorities).map_err(broken("authority"))?,
        chain: certificates(chain).map_err(broken("certificate"))?,
        key: key.secret_der().to_vec(),
    })
}

/// Reads the certificates in a PEM text, at least one, as DER.
///
/// # Errors
/// [`TransportError::Tls`] when there is none, or one is broken.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, TransportError> {
    let found = CertificateDer::pem_slice_iter(text).map(|found| found.map(|certificate| certificate.to_vec()));
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| not_pem(&error))?;
    if found.is_empty() {
        return Err(TransportError::Tls("it has no certificate in it, in PEM form".into()));
    }
    Ok(found)
}

fn no_key(error: pem::Error) -> TransportError {
    match error {
        pem::Error::NoItemsFound => TransportError::Tls(
            "it has no private key in it, in PEM form; one with a password has to be taken out of it, with \
             `openssl pkey -in OLD -out NEW`"
                .into(),
        ),
        error => not_pem(&error),
    }
}

fn not_pem(error: &dyn fmt::Display) -> TransportError {
    TransportError::Tls(format!("it is not in PEM form: {error}"))
}

/// Reads an identity from [`AUTHORITY`], [`CERTIFICATE`] and [`KEY`] in `directory`.
///
/// # Errors
/// [`TransportError::Tls`], which names the directory or the file that can't be read or is invalid; a key is refused if
/// all users of the host can read it, or others than its owner can change it.
pub fn from_pem_files(directory: impl AsRef<Path>) -> Result<TlsIdentity, TransportError> {
    let directory = directory.as_ref();
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).map_err(|error| TransportError::Tls(format!("can't read {}: {error}", path.display())))
    };
    let (authorities, chain, key) = (read(AUTHORITY)?, read(CERTIFICATE)?, read_secret(&directory.join(KEY))?);
    from_pem(&authorities, &chain, &key).map_err(|error| match error {
        TransportError::Tls(why) => TransportError::Tls(format!("{}: {why}", directory.display())),
        other => other,
    })
}

/// Reads a file that its owner keeps to itself, or shares with a group that may read it, as services do.
fn read_secret(path: &Path) -> Result<Vec<u8>, TransportError> {
    let unreadable = |error: io::Error| TransportError::Tls(format!("can't read {}: {error}", path.display()));
    let mut file = fs::File::open(path).map_err(unreadable)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(unreadable)?) & 0o777;
        if mode & 0o026 != 0 {
            return Err(TransportError::Tls(format!(
                "{} can be read by all users or changed by others (mode {mode:04o}): make a new certificate with \
                 `pleach cert new`, or `chmod 600` it if you are sure that no other user has read it",
                path.display()
            )));
        }
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
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
    /// The text of a certificate that `authority` has issued.
    pub fn new(authority: &Authority, issued: &Issued) -> Self {
        Self {
            authority: authority.certificate_pem().to_owned(),
            certificate: issued.certificate_pem(),
            key: issued.key_pem(),
        }
    }

    /// Writes the three files that [`from_pem_files`] reads into `directory`; only the owner may read the key.
    ///
    /// # Errors
    /// Those of the file system; files written before the failed one stay.
    pub fn write(&self, directory: impl AsRef<Path>) -> io::Result<()> {
        let directory = directory.as_ref();
        fs::write(directory.join(AUTHORITY), &self.authority)?;
        fs::write(directory.join(CERTIFICATE), &self.certificate)?;
        write_secret(&directory.join(KEY), &self.key)
    }
}

/// Writes a text that only the owner may read, replacing the file at `path`.
///
/// # Errors
/// Those of the file system.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // A file that exists may be open to others, and writing would keep it so.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

/// The file of the certificates of those authorities whose members are believed.
pub const AUTHORITY: &str = "authority.pem";

/// The file of the authority's private key, where it is kept to sign more certificates. Actors never read it.
pub const AUTHORITY_KEY: &str = "authority-key.pem";

/// The file of the member's certificate, with those between it and its authority behind it.
pub const CERTIFICATE: &str = "certificate.pem";

/// The file of the member's private key.
pub const KEY: &str = "key.pem";
