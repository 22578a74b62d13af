//! This program once more, linked statically: only the lines of such children need it.
//!
//! `--static` has cargo build it, which takes minutes the first time. The target is named, so that build scripts and
//! macros are linked as usual, which they have to be.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Builds it, and returns where it is.
pub(crate) fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let built = Command::new(cargo)
        .args(["bench", "--bench", BENCH, "--no-run", "--target", "host-tuple"])
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", format!("{flags} -C target-feature=+crt-static"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    assert!(built.status.success(), "cargo could not build this program statically");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = |line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == BENCH;
        Some(PathBuf::from(message["executable"].as_str().filter(|_| is_ours)?))
    };
    messages.lines().find_map(executable).expect("cargo says where it has put the program")
}

/// The name of this bench.
const BENCH: &str = "ratios";
