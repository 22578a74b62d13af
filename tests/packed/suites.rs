//! A crate with a codec and a transport, which tests them with the suites of the packed crate. Here they are ours, for
//! want of others.

#[cfg(test)]
mod tests {
    use pleach_conformance::{Subject, codec_conformance, conformance};
    use pleach_mem::Mem;
    use pleach_wire::Msgpack;

    codec_conformance!(codec, Msgpack, exact);
    conformance!(transport, Subject::framed(Msgpack, Mem));
}
