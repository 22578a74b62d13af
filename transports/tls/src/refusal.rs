//! The meaning of a failed handshake: which side's certificate, the fault, and what to do.
//!
//! The side that refuses knows the fault. The refused one hears an alert, a number; over QUIC a text comes
//! with it. So the refused side checks its own certificate as well and reports the findings.

use std::fmt;

use pleach_wire::{Settings, TransportError};
use rustls::{AlertDescription, Error};

use crate::config;

/// The side that ended a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This side, because of the peer's certificate.
    Us,
    /// The peer, because of this side's certificate.
    Peer,
}

/// A handshake that was ended by a TLS alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    by: By,
    alert: u8,
    detail: String,
}

impl Refusal {
    /// The alert `alert` (RFC 8446, 6), with the text of its sender; empty if there was none.
    pub fn new(by: By, alert: u8, detail: &str) -> Self {
        // The peer chose these words, or names in its certificate, and they end up in logs.
        let detail = detail.chars().take(MAX_DETAIL).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { by, alert, detail }
    }

    /// The meaning of an error of rustls; none if no alert was the reason.
    pub fn of(error: &Error) -> Option<Self> {
        let by_us = |alert: AlertDescription| Some(Self::new(By::Us, alert.into(), &error.to_string()));
        match error {
            Error::AlertReceived(alert) => Some(Self::new(By::Peer, (*alert).into(), "")),
            Error::InvalidCertificate(fault) => by_us(fault.clone().into()),
            Error::NoCertificatesPresented => by_us(AlertDescription::CertificateRequired),
            Error::NoApplicationProtocol => by_us(AlertDescription::NoApplicationProtocol),
            _ => None,
        }
    }

    /// As the error of a connection to or from `peer`.
    pub fn error(self, peer: &dyn fmt::Display, settings: &Settings) -> TransportError {
        let (who, whose) = match self.by {
            By::Us => (format!("this side refused {peer}"), "the peer's"),
            By::Peer => (format!("the peer at {peer} refused this side"), "our"),
        };
        let own = settings.tls.as_deref().filter(|_| self.by == By::Peer);
        let hosts = own.and_then(config::hosts);
        let fault = self.fault(hosts.is_some());
        let what = fault.in_words(whose);
        let mut found = vec![self.more_than(&fault).to_owned()];
        if let Some(own) = own {
            found.extend(config::check(own).err().map(|error| match error {
                TransportError::Tls(why) => why,
                other => other.to_string(),
            }));
            found.extend(hosts);
        }
        found.retain(|text| !text.is_empty());
        let found = if found.is_empty() { String::new() } else { format!(" ({})", found.join("; ")) };
        TransportError::Tls(format!("{who}: {what}{found}"))
    }

    /// As the error of a side that has just checked its own certificate.
    pub(crate) fn seen_from_here(self) -> TransportError {
        let fault = self.fault(false);
        let what = fault.in_words("the");
        TransportError::Tls(match self.more_than(&fault) {
            "" => what,
            more => format!("{what} ({more})"),
        })
    }

    /// The details from rustls that the fault's text lacks.
    fn more_than(&self, fault: &Fault) -> &str {
        match fault {
            Fault::OtherAuthority | Fault::SelfSigned | Fault::None => "",
            _ => self.detail.trim_start_matches("invalid peer certificate: "),
        }
    }

    /// `named` is whether the certificate that was refused is for certain hosts only.
    fn fault(&self, named: bool) -> Fault {
        use AlertDescription as Alert;
        let said = |text: &str| self.detail.contains(text);
        match Alert::from(self.alert) {
            Alert::CertificateExpired if said("not valid yet") => Fault::NotYetValid,
            Alert::CertificateExpired if said("expired") => Fault::Expired,
            Alert::CertificateExpired => Fault::OutOfDate,
            Alert::BadCertificate if said("not valid for name") => Fault::WrongHost,
            Alert::BadCertificate if self.detail.is_empty() && named => Fault::WrongHost,
            // The latter: of an authority that has the name of ours, but another key.
            Alert::UnknownCA | Alert::DecryptError => Fault::OtherAuthority,
            Alert::CertificateUnknown if self.detail.is_empty() || said("SelfSigned") || said("CaUsedAsEndEntity") => {
                Fault::SelfSigned
            }
            Alert::UnsupportedCertificate => Fault::OtherUse,
            Alert::CertificateRequired => Fault::None,
            Alert::NoApplicationProtocol => Fault::OtherProtocol,
            alert => Fault::Other(alert),
        }
    }
}

/// What is wrong.
enum Fault {
    Expired,
    NotYetValid,
    /// One of the two; an alert does not tell them apart.
    OutOfDate,
    WrongHost,
    OtherAuthority,
    SelfSigned,
    OtherUse,
    None,
    OtherProtocol,
    Other(AlertDescription),
}

impl Fault {
    fn in_words(&self, whose: &str) -> String {
        match self {
            Self::Expired => format!("{whose} certificate has expired: make a new one, with `pleach cert new`"),
            Self::NotYetValid => format!("{whose} certificate is not valid yet: check the clocks of both hosts"),
            Self::OutOfDate => format!(
                "{whose} certificate has expired or is not valid yet: check the clocks of both hosts, or make a new one \
                 with `pleach cert new`"
            ),
            Self::WrongHost => format!(
                "{whose} certificate is for another host than the one that was dialled: dial it by a name in its \
                 certificate, or make one for it with `pleach cert new --host NAME`, or one for all hosts without \
                 `--host`"
            ),
            Self::OtherAuthority => format!(
                "{whose} certificate is from another authority: all members of a tree need the same key file, or \
                 certificates of one authority, with those in between behind their own in certificate.pem"
            ),
            Self::SelfSigned => format!(
                "{whose} certificate is self-signed, or an authority's own: make one that the tree's authority has \
                 signed, with `pleach cert new --authority DIRECTORY`"
            ),
            Self::OtherUse => {
                format!("{whose} certificate is not made for this: its extended key usage must allow server and client")
            }
            Self::None => "the dialer presented no certificate: members present one, so it is not a member, or its \
                    `Settings::tls` is not set"
                .to_owned(),
            Self::OtherProtocol => "the peer speaks TLS, but not pleach's protocol `pleach/1`".to_owned(),
            Self::Other(alert) => format!("TLS alert {alert:?} about {whose} certificate or the handshake"),
        }
    }
}

/// How much of a peer's text is passed on, in characters: a few names fit.
const MAX_DETAIL: usize = 500;
