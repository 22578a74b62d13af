//! The suite of promises that every transport keeps, with both codecs and with large datagrams.

use std::sync::Arc;

use pleach_conformance::{Subject, conformance};
use pleach_quic::Quic;
use pleach_tls::identity;
use pleach_wire::{Codec, Json, Msgpack};

conformance!(msgpack, over(Msgpack));
conformance!(json, over(Json));
conformance!(jumbo, over(Msgpack).with(|settings| settings.mtu = Some(65_000)));

fn over(codec: impl Codec + Clone) -> Subject {
    // As bytes, because a checked-out key has the mode of any other file, and is public.
    let [authority, certificate, key] = [
        &include_bytes!("../../../certs/authority.pem")[..],
        include_bytes!("../../../certs/certificate.pem"),
        include_bytes!("../../../certs/key.pem"),
    ];
    let identity = identity::from_pem(authority, certificate, key).expect("certs/ has the test certificates");
    Subject::framed(codec, Quic).with(|settings| settings.tls = Some(Arc::new(identity)))
}
