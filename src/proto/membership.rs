//! The proof that a peer belongs to the tree: it knows the tree's key.
//!
//! Both sides answer a fresh challenge with an HMAC-SHA-256 (RFC 2104) over the exchange so far, under a label that
//! names their role. So a recorded answer is useless on another connection, and an answer can't be reflected to the
//! side that gave the challenge.

use std::fmt;

use ring::hmac;
use serde::{Deserialize, Serialize};

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
        let tag = hmac::sign(&self.signing(), &text(role, parts));
        tag.as_ref().try_into().expect("an HMAC-SHA-256 has 32 bytes")
    }

    /// Checks a proof in constant time.
    pub(crate) fn verify(&self, role: &'static str, parts: &[&[u8]], proof: &Proof) -> bool {
        hmac::verify(&self.signing(), &text(role, parts), proof).is_ok()
    }

    fn signing(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

/// What is signed. Lengths go in too, so that no two lists of parts make the same text.
fn text(role: &'static str, parts: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in [b"pleach/1".as_slice(), role.as_bytes()].iter().chain(parts) {
        text.extend((part.len() as u64).to_le_bytes());
        text.extend(*part);
    }
    text
}

impl fmt::Debug for TreeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TreeKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another implementation computes it: members of different versions must agree.
    #[test]
    fn a_proof_is_an_hmac_over_each_part_and_its_length() {
        let key = TreeKey::new([7; 32]);
        let proof = key.prove("dialer", &[b"a", b"bc"]);
        let shown: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, "59efb5b793f74ab5f98015014378abea8069a6c2547d319e7ef90aaa17b9513f");
        assert!(key.verify("dialer", &[b"a", b"bc"], &proof));
        assert!(!key.verify("dialer", &[b"ab", b"c"], &proof) && !key.verify("listener", &[b"a", b"bc"], &proof));
        assert!(!TreeKey::new([8; 32]).verify("dialer", &[b"a", b"bc"], &proof));
    }
}
