//! The proof that a peer belongs to the tree: it knows the tree's key.
//!
//! Both sides answer a fresh challenge with an HMAC-SHA-256 (RFC 2104) over the exchange so far, under a label that
//! names their role. So a recorded answer is useless on another connection, and an answer can't be reflected to the
//! side that gave the challenge.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The secret that all members of a tree share. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TreeKey([u8; 32]);

/// A number that a challenge uses once.
pub(crate) type Nonce = [u8; 32];

/// A proof that only a member can compute.
pub(crate) type Proof = [u8; 32];

impl TreeKey {
    /// A key of these bytes; they come from the system's random source, or from a file that only members can read.
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for deriving other keys. They make their holder a member.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// Proves membership in `role` for a conversation of these parts.
    pub(crate) fn prove(&self, role: &'static str, parts: &[&[u8]]) -> Proof {
        self.mac(role, parts).finalize().into_bytes().into()
    }

    /// Checks a proof in constant time.
    pub(crate) fn verify(&self, role: &'static str, parts: &[&[u8]], proof: &Proof) -> bool {
        self.mac(role, parts).verify_slice(proof).is_ok()
    }

    fn mac(&self, role: &'static str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("an HMAC key may have any length");
        for part in [b"pleach/1".as_slice(), role.as_bytes()].iter().chain(parts) {
            // Lengths go in too, so that no two lists of parts make the same text.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for TreeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TreeKey(secret)")
    }
}
