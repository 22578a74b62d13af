//! Mutual TLS within QUIC: the configurations of `pleach-tls`, and where QUIC hides its alerts.

use std::sync::Arc;
use std::time::Duration;

use pleach_tls::config;
use pleach_tls::refusal::{By, Refusal};
use pleach_wire::{Settings, TransportError};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectionError, ServerConfig, TransportErrorCode};

use crate::tuning;

/// The dialer's side, for a listener at `host` that may be silent for so long.
///
/// # Errors
/// [`TransportError::Tls`] when the identity is missing or invalid.
pub(crate) fn client(
    settings: &Settings,
    host: &str,
    silence: Option<Duration>,
) -> Result<ClientConfig, TransportError> {
    let crypto = QuicClientConfig::try_from(config::client(settings, host)?);
    let mut config = ClientConfig::new(Arc::new(crypto.expect("ring has the cipher suite that QUIC begins with")));
    config.transport_config(Arc::new(tuning::transport(settings.mtu, 0, silence)));
    Ok(config)
}

/// The listener's side, for dialers that may be silent for so long.
///
/// # Errors
/// [`TransportError::Tls`] when the identity is missing or invalid.
pub(crate) fn server(settings: &Settings, silence: Option<Duration>) -> Result<ServerConfig, TransportError> {
    let crypto = QuicServerConfig::try_from(config::server(settings)?);
    let crypto = crypto.expect("ring has the cipher suite that QUIC begins with");
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    // The dialer opens the control stream.
    config.transport_config(Arc::new(tuning::transport(settings.mtu, 1, silence))).max_incoming(tuning::BACKLOG);
    Ok(config)
}

/// Returns the alert that ended a handshake; nothing if it ended otherwise.
pub(crate) fn refusal(error: &ConnectionError) -> Option<Refusal> {
    match error {
        ConnectionError::TransportError(error) => Some(Refusal::new(By::Us, alert(error.code)?, &error.reason)),
        ConnectionError::ConnectionClosed(close) => {
            Some(Refusal::new(By::Peer, alert(close.error_code)?, &String::from_utf8_lossy(&close.reason)))
        }
        _ => None,
    }
}

/// The TLS alert in a QUIC error code (RFC 9001, 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok())
}
