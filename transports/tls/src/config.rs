//! The two sides of a handshake, as rustls takes them, and whether an identity can be used for them.
//!
//! Sessions are not resumed: a dialer holds nothing from one connection to the next.

use std::sync::Arc;

use pleach_wire::{Settings, TlsIdentity, TransportError};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};

use crate::refusal::Refusal;
use crate::verify::{Dialers, Listeners};

/// The name in a certificate that is valid on every host of a tree. All dialers ask for it, so that an observer of the
/// network does not learn which host they dial.
pub const ANY_HOST: &str = "pleach";

/// The protocol within TLS (ALPN), so that another server is not mistaken for an actor.
pub const ALPN: &[u8] = b"pleach/1";

/// The label under which both ends of a connection export the same secret bytes: RFC 9266, with 32 bytes and no
/// context. They bind a proof to the connection in which it is given.
pub const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// Returns the server name that a dialer sends.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(ANY_HOST).expect("letters make a name")
}

/// The dialer's side, for a listener at `host`.
///
/// # Errors
/// [`TransportError::Tls`] when the identity is missing or invalid.
pub fn client(settings: &Settings, host: &str) -> Result<ClientConfig, TransportError> {
    let own = Own::of(identity_of(settings)?)?;
    let listeners = Listeners::new(own.authorities, host, own.provider.clone())?;
    let mut config = ClientConfig::builder_with_provider(own.provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(bad_identity)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(listeners))
        .with_client_auth_cert(own.chain, own.key)
        .map_err(bad_identity)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The listener's side.
///
/// # Errors
/// [`TransportError::Tls`] when the identity is missing or invalid.
pub fn server(settings: &Settings) -> Result<ServerConfig, TransportError> {
    let own = Own::of(identity_of(settings)?)?;
    let dialers = Dialers::new(own.authorities, own.provider.clone())?;
    let mut config = ServerConfig::builder_with_provider(own.provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(bad_identity)?
        .with_client_cert_verifier(Arc::new(dialers))
        .with_single_cert(own.chain, own.key)
        .map_err(bad_identity)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Checks that an identity can be used here and now: one of the authorities that it trusts has signed it, it is
/// valid today, it is made for both sides of a connection, and its key is its certificate's.
///
/// # Errors
/// [`TransportError::Tls`] says what is wrong with it.
pub fn check(identity: &TlsIdentity) -> Result<(), TransportError> {
    let own = Own::of(identity)?;
    let (first, others) = own.chain.split_first().ok_or_else(|| TransportError::Tls(NO_CERTIFICATE.into()))?;
    let wrong = |error: rustls::Error| match Refusal::of(&error) {
        Some(refusal) => refusal.seen_from_here(),
        None => bad_identity(error),
    };
    let now = UnixTime::now();
    let dialers = Dialers::new(own.authorities.clone(), own.provider.clone())?;
    dialers.verify_client_cert(first, others, now).map_err(wrong)?;
    let listeners = Listeners::new(own.authorities, ANY_HOST, own.provider.clone())?;
    listeners.verify_for_any_host(first, others, now).map_err(wrong)?;
    let builder = ServerConfig::builder_with_provider(own.provider).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(bad_identity)?.with_no_client_auth();
    builder.with_single_cert(own.chain, own.key).map(drop).map_err(bad_identity)
}

/// Returns the names in the certificate of an identity, as rustls words them, if it is not good on every host.
pub(crate) fn hosts(identity: &TlsIdentity) -> Option<String> {
    let certificate = CertificateDer::from(identity.chain.first()?.as_slice());
    let parsed = rustls::server::ParsedCertificate::try_from(&certificate).ok()?;
    match rustls::client::verify_server_name(&parsed, &server_name()) {
        Err(wrong) => Some(wrong.to_string()),
        Ok(()) => None,
    }
}

fn identity_of(settings: &Settings) -> Result<&TlsIdentity, TransportError> {
    settings.tls.as_deref().ok_or_else(|| TransportError::Tls(NO_IDENTITY.into()))
}

/// An identity as rustls takes it.
struct Own {
    authorities: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Own {
    fn of(identity: &TlsIdentity) -> Result<Self, TransportError> {
        let TlsIdentity { authorities, chain, key } = identity;
        let mut trusted = RootCertStore::empty();
        for authority in authorities {
            trusted.add(CertificateDer::from(authority.clone())).map_err(|error| {
                TransportError::Tls(format!("the authority is not a valid certificate (DER): {error}"))
            })?;
        }
        let key = PrivateKeyDer::try_from(key.clone()).map_err(|error| {
            TransportError::Tls(format!("the key is not a valid private key (PKCS #8, DER): {error}"))
        })?;
        let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self { authorities: Arc::new(trusted), chain, key, provider })
    }
}

fn bad_identity(error: rustls::Error) -> TransportError {
    TransportError::Tls(match error {
        rustls::Error::InconsistentKeys(_) => {
            "the key is not the certificate's: they were made at different times".into()
        }
        error => format!("the own certificate or key can't be used: {error}"),
    })
}

const NO_IDENTITY: &str = "certificates are needed on both sides: set `Settings::tls`, to what \
    `pleach_tls::identity::generate()` makes for a new tree, or `from_pem_files()` reads";

const NO_CERTIFICATE: &str = "the identity has no certificate in it";
