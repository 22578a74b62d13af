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
    let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../certs");
    let identity = identity::from_pem_files(certs).expect("certs/ has the test certificates");
    Subject::framed(codec, Quic).with(|settings| settings.tls = Some(Arc::new(identity)))
}
