//! Addresses as text: printed addresses parse, in both forms, and no text makes the parser panic.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use pleach_wire::Address;
use pleach_wire::address::{HostPort, UdsName};
use proptest::prelude::*;

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| Ipv4Addr::from(ip).to_string()),
        any::<[u8; 16]>().prop_map(|ip| Ipv6Addr::from(ip).to_string()),
        "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}",
    ]
}

fn host_port() -> impl Strategy<Value = HostPort> {
    (host(), any::<u16>()).prop_map(|(host, port)| HostPort::new(host, port))
}

fn path() -> impl Strategy<Value = String> {
    "(/[^/\\x00]{1,12}){1,4}"
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        host_port().prop_map(Address::Tcp),
        host_port().prop_map(Address::TlsTcp),
        host_port().prop_map(Address::Quic),
        path().prop_map(|path| Address::Uds(UdsName::Path(PathBuf::from(path)))),
        "[^\\x00]{1,20}".prop_map(|name| Address::Uds(UdsName::Abstract(name))),
        ".{1,20}".prop_map(Address::Mem),
        ("x[a-z0-9+.-]{0,8}", ".{1,20}").prop_map(|(protocol, rest)| Address::Other { protocol, rest }),
    ]
}

/// The other form of an address that has one.
fn multiaddr(address: &Address) -> Option<String> {
    let at = |at: &HostPort| match (at.host.parse::<Ipv4Addr>(), at.host.parse::<Ipv6Addr>()) {
        (Ok(ip), _) => format!("/ip4/{ip}"),
        (_, Ok(ip)) => format!("/ip6/{ip}"),
        _ => format!("/dns/{}", at.host),
    };
    match address {
        Address::Tcp(host) => Some(format!("{}/tcp/{}", at(host), host.port)),
        Address::TlsTcp(host) => Some(format!("{}/tcp/{}/tls", at(host), host.port)),
        Address::Quic(host) => Some(format!("{}/udp/{}/quic-v1", at(host), host.port)),
        Address::Uds(UdsName::Path(path)) => Some(format!("/unix{}", path.display())),
        Address::Mem(name) if !name.contains('/') => Some(format!("/memory/{name}")),
        _ => None,
    }
}

proptest! {
    #[test]
    fn what_an_address_prints_parses_back(address in address()) {
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
    }

    #[test]
    fn both_forms_name_the_same_address(address in address()) {
        if let Some(text) = multiaddr(&address).filter(|text| !text.contains("://")) {
            prop_assert_eq!(text.parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _: Result<Address, _> = text.parse();
    }

    #[test]
    fn no_text_that_looks_like_an_address_makes_the_parser_panic(
        text in "(/|tcp://|tls\\+tcp://|quic://|uds://|mem://|x://|/ip4/|/ip6/|/dns/|/unix/)[0-9a-z@:/.\\[\\]-]{0,24}"
    ) {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }
}

#[test]
fn a_text_that_is_no_address_says_why_and_what_would_be() {
    for (text, why) in [
        ("tcp://127.0.0.1", "the port is missing"),
        ("tcp://::1:80", "go in brackets"),
        ("tls+tcp://host", "the port is missing"),
        ("tcp://host:99999", "0 to 65535"),
        ("uds://relative/path", "not an absolute path"),
        ("mem://", "empty"),
        ("/ip4/999.0.0.1/tcp/1", "no ip4 host"),
        ("somewhere", "no `protocol://`"),
    ] {
        let error = text.parse::<Address>().expect_err(text).to_string();
        assert!(error.contains(why) && error.contains("use e.g."), "{error}");
    }
}
