//! Mutual TLS, shared by all transports of pleach that use it: a member's identity, its trust, and the meaning of a
//! refusal.
//!
//! It opens no socket and starts no task. The transports hand its configurations to quinn or tokio-rustls
//! and tell it how a handshake ended.
//!
//! | file | station |
//! |---|---|
//! | [`authority`] | the signer of certificates: derived from a tree's key, made for files, or read from them |
//! | [`identity`] | a member's certificate and key: made, or read from files |
//! | [`config`] | the two sides of a handshake |
//! | `verify` | which certificates each side accepts |
//! | [`refusal`] | what the end of a handshake means, in words, for both sides |
//!
//! # What must stay true
//! 1. TLS 1.3 only, and both sides show a certificate of an authority that the other one trusts.
//! 2. A dialer accepts a certificate for the host that it dialled, or one for [`ANY_HOST`](config::ANY_HOST);
//!    a certificate for another host is refused, although the authority is right.
//! 3. The crypto provider is ring, handed over explicitly: a program's process-wide provider is neither used
//!    nor installed.

#![forbid(unsafe_code)]

pub mod authority;
pub mod config;
pub mod identity;
pub mod refusal;
mod verify;
