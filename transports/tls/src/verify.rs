//! Which certificates each side accepts: rustls's checks, and two more.
//!
//! A listener's certificate may also be one for every host of the tree. And a certificate that is its own authority is
//! distinguished from one of an untrusted authority, by an alert of its own, because the remedy differs.

use std::fmt;
use std::sync::Arc;

use pleach_wire::TransportError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::config::server_name;

/// Checks listeners, for a dialer.
#[derive(Debug)]
pub(crate) struct Listeners {
    inner: Arc<WebPkiServerVerifier>,
    host: ServerName<'static>,
    provider: Arc<CryptoProvider>,
}

/// Checks dialers, for a listener.
#[derive(Debug)]
pub(crate) struct Dialers {
    inner: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Listeners {
    /// For a listener at `host`. A host that no certificate could name needs one for every host.
    pub(crate) fn new(
        authorities: Arc<RootCertStore>,
        host: &str,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TransportError> {
        let inner = WebPkiServerVerifier::builder_with_provider(authorities, provider.clone()).build();
        let host = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| server_name());
        Ok(Self { inner: inner.map_err(no_authority)?, host, provider })
    }

    /// Checks everything but the name.
    pub(crate) fn verify_for_any_host(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.verify_server_cert(certificate, others, &server_name(), &[], now) {
            Err(Error::InvalidCertificate(fault)) if is_wrong_name(&fault) => Ok(()),
            verified => verified.map(drop),
        }
    }

    /// Whether `certificate` is its own authority.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let inner = WebPkiServerVerifier::builder_with_provider(only(certificate), self.provider.clone()).build();
        let verified = inner.map(|inner| inner.verify_server_cert(certificate, &[], &self.host, &[], now));
        match verified {
            Ok(Err(Error::InvalidCertificate(fault))) => is_wrong_name(&fault),
            Ok(verified) => verified.is_ok(),
            Err(_not_even_an_authority) => false,
        }
    }
}

impl ServerCertVerifier for Listeners {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(certificate, others, &self.host, stapled, now) {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if self.is_self_signed(certificate, now) =>
            {
                Err(self_signed())
            }
            // The name is checked last, so everything else is valid.
            Err(Error::InvalidCertificate(fault)) if is_wrong_name(&fault) => {
                match verify_server_name(&ParsedCertificate::try_from(certificate)?, &server_name()) {
                    Ok(()) => Ok(ServerCertVerified::assertion()),
                    Err(_) => Err(fault.into()),
                }
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Dialers {
    pub(crate) fn new(authorities: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, TransportError> {
        let inner = WebPkiClientVerifier::builder_with_provider(authorities, provider.clone()).build();
        Ok(Self { inner: inner.map_err(no_authority)?, provider })
    }

    /// Whether `certificate` is its own authority.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let inner = WebPkiClientVerifier::builder_with_provider(only(certificate), self.provider.clone()).build();
        inner.is_ok_and(|inner| inner.verify_client_cert(certificate, &[], now).is_ok())
    }
}

impl ClientCertVerifier for Dialers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.inner.verify_client_cert(certificate, others, now) {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if self.is_self_signed(certificate, now) =>
            {
                Err(self_signed())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A store that trusts nothing but `certificate`; empty if it can't be read.
fn only(certificate: &CertificateDer<'_>) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    // An unreadable certificate is not an authority: an empty store has the same effect.
    let _ = store.add(certificate.clone().into_owned());
    Arc::new(store)
}

fn is_wrong_name(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

/// rustls answers other faults than its own with `certificate_unknown`, which the refused side reads.
fn self_signed() -> Error {
    CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
}

#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is signed by itself")
    }
}

impl std::error::Error for SelfSigned {}

fn no_authority(error: impl fmt::Display) -> TransportError {
    TransportError::Tls(format!("the authority can't be used to check peers: {error}"))
}
