//! Remakes the test certificates in `certs/`: `cargo run -p pleach-tls --example make_certs`.
//!
//! For real trees there is `pleach cert new`.

use std::path::Path;

use pleach_tls::authority::{Authority, Validity};
use pleach_tls::identity::Pem;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs");
    let authority = Authority::new(Validity::Century)?;
    let names = ["pleach", "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    Pem::new(&authority, &authority.issue(&names, Validity::Century)?).write(&directory)?;
    println!("wrote authority.pem, certificate.pem and key.pem to {}", directory.display());
    Ok(())
}
