//! Mutual TLS: both sides show a certificate of one authority; and what a refusal means.
//!
//! The crypto provider is ring, handed over explicitly: a program's process-wide provider is neither
//! used nor installed. Sessions are not resumed: each dial has an endpoint of its own that could not
//! remember any.

use std::sync::Arc;

use pleach_wire::{Settings, TlsIdentity, TransportError};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectionError, ServerConfig, TransportErrorCode};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, version::TLS13};

use crate::tuning;

/// The name that every member's certificate carries: who may speak is decided by the authority, not by host names.
pub(crate) const SERVER_NAME: &str = "pleach";

/// The protocol within QUIC, so that nobody else's HTTP/3 server is mistaken for an actor.
const ALPN: &[u8] = b"pleach/1";

/// The dialer's side.
///
/// # Errors
/// [`TransportError::Tls`] when there is no identity, or it is no good.
pub(crate) fn client(settings: &Settings) -> Result<ClientConfig, TransportError> {
    let own = Own::of(settings)?;
    let mut crypto = rustls::ClientConfig::builder_with_provider(own.provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(bad_identity)?
        .with_root_certificates(own.authorities)
        .with_client_auth_cert(vec![own.certificate], own.key)
        .map_err(bad_identity)?;
    crypto.alpn_protocols = vec![ALPN.to_vec()];
    crypto.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(crypto).expect("ring has the cipher suite that QUIC begins with");
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(tuning::transport(settings.mtu, 0)));
    Ok(config)
}

/// The listener's side.
///
/// # Errors
/// [`TransportError::Tls`] when there is no identity, or it is no good.
pub(crate) fn server(settings: &Settings) -> Result<ServerConfig, TransportError> {
    let own = Own::of(settings)?;
    let members = WebPkiClientVerifier::builder_with_provider(own.authorities.into(), own.provider.clone())
        .build()
        .map_err(|error| TransportError::Tls(format!("the authority can't be used to check dialers: {error}")))?;
    let mut crypto = rustls::ServerConfig::builder_with_provider(own.provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(bad_identity)?
        .with_client_cert_verifier(members)
        .with_single_cert(vec![own.certificate], own.key)
        .map_err(bad_identity)?;
    crypto.alpn_protocols = vec![ALPN.to_vec()];
    crypto.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(crypto).expect("ring has the cipher suite that QUIC begins with");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    // The dialer opens the control stream.
    config.transport_config(Arc::new(tuning::transport(settings.mtu, 1))).max_incoming(tuning::BACKLOG);
    Ok(config)
}

/// Says what a certificate problem ended a handshake; nothing if it ended otherwise.
pub(crate) fn refusal(error: &ConnectionError) -> Option<TransportError> {
    let (code, detail, side) = match error {
        ConnectionError::TransportError(error) => (error.code, error.reason.clone(), Side::Us),
        ConnectionError::ConnectionClosed(close) => {
            (close.error_code, String::from_utf8_lossy(&close.reason).into_owned(), Side::Peer)
        }
        _ => return None,
    };
    let (who, whose) = match side {
        Side::Us => ("this side", "the peer's"),
        Side::Peer => ("the peer", "our"),
    };
    let what = match alert(code)? {
        EXPIRED => {
            format!("{whose} certificate has expired or is not valid yet: check the clocks, or make new certificates")
        }
        UNKNOWN_AUTHORITY | BAD_SIGNATURE => {
            format!("{whose} certificate is from another authority: all members of a tree need certificates of one")
        }
        BAD_CERTIFICATE if detail.contains("not valid for name") => {
            format!(
                "{whose} certificate is not for the name `{SERVER_NAME}`: it must be one of its subject alternative names"
            )
        }
        UNSUPPORTED_CERTIFICATE => {
            format!("{whose} certificate is not made for this: its extended key usage must allow server and client")
        }
        CERTIFICATE_REQUIRED => "the dialer showed no certificate: set `Settings::tls` on both sides".to_owned(),
        NO_PROTOCOL => "the peer speaks QUIC, but not pleach's protocol `pleach/1`".to_owned(),
        alert => format!("TLS alert {alert} about {whose} certificate or handshake"),
    };
    Some(TransportError::Tls(format!("{who} refused the connection: {what} ({detail})")))
}

/// Who ended a handshake.
enum Side {
    Us,
    Peer,
}

/// An identity as rustls takes it.
struct Own {
    authorities: RootCertStore,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Own {
    fn of(settings: &Settings) -> Result<Self, TransportError> {
        let Some(identity) = &settings.tls else { return Err(TransportError::Tls(NO_IDENTITY.into())) };
        let TlsIdentity { authority, certificate, key } = &**identity;
        let mut authorities = RootCertStore::empty();
        authorities
            .add(CertificateDer::from(authority.clone()))
            .map_err(|error| TransportError::Tls(format!("the authority is no certificate (DER): {error}")))?;
        let key = PrivateKeyDer::try_from(key.clone())
            .map_err(|error| TransportError::Tls(format!("the key is no private key (PKCS #8, DER): {error}")))?;
        let certificate = CertificateDer::from(certificate.clone());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self { authorities, certificate, key, provider })
    }
}

fn bad_identity(error: rustls::Error) -> TransportError {
    TransportError::Tls(format!("our own certificate or key can't be used: {error}"))
}

/// The TLS alert in a QUIC error code (RFC 9001, 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok())
}

const NO_IDENTITY: &str = "quic needs certificates on both sides: set `Settings::tls`, to what \
    `pleach_quic::identity::generate()` makes for a new tree, or `from_pem_files()` reads";

// TLS alerts (RFC 8446, 6), as rustls sends them.
const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const EXPIRED: u8 = 45;
const UNKNOWN_AUTHORITY: u8 = 48;
/// From an authority that has the name of ours, but another key.
const BAD_SIGNATURE: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_PROTOCOL: u8 = 120;
