//! The suite of promises that every transport keeps, with both codecs, within TLS.

use std::sync::Arc;

use pleach_conformance::{Subject, conformance};
use pleach_tcp::TlsTcp;
use pleach_wire::{Codec, Json, Msgpack};

conformance!(msgpack, over(Msgpack));
conformance!(json, over(Json));

fn over(codec: impl Codec + Clone) -> Subject {
    // As bytes, because a checked-out key has the mode of any other file, and is public.
    let [authority, certificate, key] = [
        &include_bytes!("../../../certs/authority.pem")[..],
        include_bytes!("../../../certs/certificate.pem"),
        include_bytes!("../../../certs/key.pem"),
    ];
    let identity =
        pleach_tls::identity::from_pem(authority, certificate, key).expect("certs/ has the test certificates");
    Subject::framed(codec, TlsTcp).with(|settings| settings.tls = Some(Arc::new(identity)))
}
