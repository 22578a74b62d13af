//! Addresses of an etcd: `etcd://host:port[,host:port…]/prefix`, and their parts.
//!
//! They come from configurations, so each fault is named. Logs and errors show an address without its password.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// An etcd, and the part of it that holds our entries.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct EtcdAddress {
    /// Whether it is spoken to over TLS.
    pub(super) tls: bool,
    /// The members of the cluster, each `host:port`; never empty.
    pub(super) members: Vec<String>,
    /// Name and password.
    pub(super) user: Option<(String, String)>,
    /// The prefix of all our keys, without a slash at either end.
    pub(super) prefix: String,
    /// The folder with `authority.pem`, and `certificate.pem` with `key.pem` if etcd asks for one.
    pub(super) certificates: Option<PathBuf>,
}

impl FromStr for EtcdAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let faulty = |why: &str| {
            let hint =
                "write `etcd://host:port[,host:port…]/prefix`, with `user:password@` before the hosts if need be";
            Error::Config(format!("`{}` is not a valid etcd address: {why}; {hint}", without_password(text)))
        };
        let (tls, rest) = match (text.strip_prefix(PLAIN), text.strip_prefix(TLS)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(faulty("it begins neither with `etcd://` nor with `tls+etcd://`")),
        };
        let (rest, options) = rest.split_once('?').map_or((rest, None), |(rest, options)| (rest, Some(options)));
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, members) = match authority.rsplit_once('@') {
            Some((user, members)) => (Some(read_user(user).map_err(faulty)?), members),
            None => (None, authority),
        };
        let members: Vec<_> = members.split(',').map(str::to_owned).collect();
        if let Some(member) = members.iter().find(|member| !is_member(member)) {
            return Err(faulty(&format!("`{member}` is not a host with a port")));
        }
        let certificates = match options.map(|options| options.split_once('=')) {
            None => None,
            Some(Some(("certificates", folder))) if tls && !folder.is_empty() => {
                Some(decoded(folder).map_err(faulty)?.into())
            }
            Some(Some(("certificates", _))) if !tls => return Err(faulty("only `tls+etcd://` takes certificates")),
            Some(_) => return Err(faulty("behind `?` there can only be `certificates=FOLDER`")),
        };
        let prefix = match prefix.trim_matches('/') {
            "" => PREFIX,
            prefix => prefix,
        };
        Ok(Self { tls, members, user, prefix: prefix.to_owned(), certificates })
    }
}

impl fmt::Display for EtcdAddress {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { TLS } else { PLAIN };
        write!(f, "{scheme}{}/{}", self.members.join(","), self.prefix)
    }
}

fn read_user(text: &str) -> Result<(String, String), &'static str> {
    let (name, password) = text.split_once(':').ok_or("the user has no password: `user:password@`")?;
    if name.is_empty() {
        return Err("the user before `@` has no name");
    }
    Ok((decoded(name)?, decoded(password)?))
}

/// The text behind `%2F` and the like.
fn decoded(text: &str) -> Result<String, &'static str> {
    let bytes = percent_decode_str(text).decode_utf8();
    bytes.map(|text| text.into_owned()).map_err(|_| "its `%` escapes are not valid UTF-8")
}

fn is_member(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// An address as it was written, to be shown in an error.
fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (None, Some((_, rest))) => format!("…@{rest}"),
        (_, None) => text.to_owned(),
    }
}

const PLAIN: &str = "etcd://";
const TLS: &str = "tls+etcd://";

/// The prefix of an address that names none.
const PREFIX: &str = "pleach";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> EtcdAddress {
        text.parse().unwrap()
    }

    fn complaint(text: &str) -> String {
        match text.parse::<EtcdAddress>() {
            Ok(_) => panic!("{text} was read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_has_members_and_a_prefix() {
        let address = read("etcd://a:2379,10.0.0.1:1,[::1]:65535/trees/one/");
        assert_eq!(address.members, ["a:2379", "10.0.0.1:1", "[::1]:65535"]);
        assert_eq!((address.prefix.as_str(), address.tls, &address.user), ("trees/one", false, &None));
        assert_eq!(address.to_string(), "etcd://a:2379,10.0.0.1:1,[::1]:65535/trees/one");
        for bare in ["etcd://a:1", "etcd://a:1/", "etcd://a:1//"] {
            assert_eq!(read(bare).prefix, "pleach");
        }
    }

    #[test]
    fn tls_can_have_certificates_of_its_own() {
        let address = read("tls+etcd://a:1/p?certificates=/etc/my%20keys");
        assert_eq!((address.tls, address.certificates), (true, Some("/etc/my keys".into())));
        assert_eq!(read("tls+etcd://a:1/p").certificates, None);
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let address = read("etcd://me:se%2Fc%40ret@a:1/p");
        assert_eq!(address.user, Some(("me".into(), "se/c@ret".into())));
        assert_eq!(address.to_string(), "etcd://a:1/p");
        for faulty in ["etcd://me:s3cret@a/p", "etcd://:s3cret@a:1", "me:s3cret@a:1", "http://me:s3cret@b@a:1"] {
            assert!(!complaint(faulty).contains("s3cret"), "{}", complaint(faulty));
        }
    }

    #[test]
    fn each_fault_is_named() {
        for (faulty, why) in [
            ("http://a:1", "begins neither with `etcd://`"),
            ("etcd://", "`` is not a host with a port"),
            ("etcd://a/p", "`a` is not a host with a port"),
            ("etcd://a:1,/p", "`` is not a host with a port"),
            ("etcd://a:0/p", "`a:0` is not"),
            ("etcd://a:65536/p", "`a:65536` is not"),
            ("etcd://::1:2379/p", "`::1:2379` is not"),
            ("etcd://a b:1/p", "`a b:1` is not"),
            ("etcd://me@a:1/p", "the user has no password"),
            ("etcd://m%ffe:x@a:1/p", "not valid UTF-8"),
            ("etcd://a:1/p?certificates=/d", "only `tls+etcd://` takes certificates"),
            ("tls+etcd://a:1/p?certificates=", "can only be `certificates=FOLDER`"),
            ("tls+etcd://a:1/p?x", "can only be `certificates=FOLDER`"),
        ] {
            let complaint = complaint(faulty);
            assert!(complaint.contains(why), "{complaint}");
            assert!(complaint.contains("write `etcd://host:port"), "{complaint}");
        }
    }
}
