//! The suite of promises that every transport keeps, with both codecs, within TLS.

use std::sync::Arc;

use pleach_conformance::{Subject, conformance};
use pleach_tcp::TlsTcp;
use pleach_wire::{Codec, Json, Msgpack};

conformance!(msgpack, over(Msgpack));
conformance!(json, over(Json));

fn over(codec: impl Codec + Clone) -> Subject {
    let certs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../certs");
    let identity = pleach_tls::identity::from_pem_files(certs).expect("certs/ has the test certificates");
    Subject::framed(codec, TlsTcp).with(|settings| settings.tls = Some(Arc::new(identity)))
}
