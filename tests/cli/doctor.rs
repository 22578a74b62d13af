//! `pleach doctor`.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{PLEACH, pleach, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(a_doctor_finds_what_is_missing_and_leaves_nothing)]
}

/// Runs `pleach doctor`; returns whether it found nothing missing, and what it found.
fn doctor(at: &Path, settings: &[(&str, &str)]) -> (bool, serde_json::Value) {
    let mut command = Command::new(PLEACH);
    let output = command.args(["doctor", "--json"]).current_dir(at).envs(settings.iter().copied()).output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn state_of<'a>(findings: &'a serde_json::Value, what: &str) -> &'a str {
    let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} in {findings}"))["state"].as_str().unwrap()
}

fn a_doctor_finds_what_is_missing_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let (healthy, findings) = doctor(at, &[("TMPDIR", at.to_str().unwrap())]);
    assert!(healthy, "{findings}");
    for transport in ["mem", "tcp", "tls+tcp", "uds", "quic"] {
        assert_eq!(state_of(&findings, transport), "fine", "{findings}");
    }
    assert_eq!(fs::read_dir(at).unwrap().count(), 0, "it left something");

    // A setting that programs would end with.
    let (healthy, findings) = doctor(at, &[("PLEACH_TRANSPRT", "tcp")]);
    assert!(!healthy && state_of(&findings, "settings") == "missing", "{findings}");
    // A transport over which no child connects back, where it is chosen and where another one is.
    fs::write(at.join("file"), "").unwrap();
    for (chosen, healthy, state) in [("uds", false, "missing"), ("tcp", true, "limited")] {
        let found = doctor(at, &[("PLEACH_SOCKET_DIR", "file"), ("PLEACH_TRANSPORT", chosen)]);
        assert_eq!((found.0, state_of(&found.1, "uds")), (healthy, state), "{}", found.1);
        assert_eq!(state_of(&found.1, "tcp"), "fine", "{}", found.1);
    }

    // And in words, with what to do.
    let said = pleach(at, "doctor").unwrap();
    assert!(said.lines().any(|line| line.starts_with("ok       tcp")), "{said}");
}
