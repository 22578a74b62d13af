//! Makes an authority and one certificate of it: `cargo run -p pleach-quic --example make_certs -- DIRECTORY`.
//!
//! Without a directory it remakes the test certificates in `certs/`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tests = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../certs");
    let directory = std::env::args_os().nth(1).map_or_else(tests, PathBuf::from);
    pleach_quic::identity::generate_pem()?.write(&directory)?;
    println!("wrote authority.pem, certificate.pem and key.pem to {}", directory.display());
    Ok(())
}
