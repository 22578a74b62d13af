//! The gRPC service of `with_tonic.rs`: tonic generates its code without a `.proto` file, and so without `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str, input: &str, output: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("crate::with_tonic::{input}"))
            .output_type(format!("crate::with_tonic::{output}"))
            .codec_path("tonic_prost::ProstCodec")
    };
    let service = Service::builder()
        .name("Bench")
        .package("bench")
        .method(method("reflect", "Reflect", "Tick", "Tick").build())
        .method(method("take", "Take", "Tick", "Taken").client_streaming().build())
        .method(method("take_blobs", "TakeBlobs", "Picture", "Taken").client_streaming().build())
        .method(method("echo", "Echo", "Tick", "Tick").client_streaming().server_streaming().build())
        .build();
    Builder::new().compile(&[service]);
}
