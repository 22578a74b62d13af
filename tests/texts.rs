//! No decision hangs on the text of a message: what code has to tell apart is an enum or an id.
//!
//! This reads the lines of code up to `mod tests`, without comments, for comparisons with literal texts. Texts that come
//! from outside are another matter: files that read them are listed, each with its reason.

use std::fs;
use std::path::{Path, PathBuf};

/// Where texts are input.
const READ_INPUT: &[(&str, &str)] = &[
    ("macros/src", "the names and signs of Rust"),
    ("src/config", "settings, as users write them"),
    ("src/discovery/external.rs", "the scheme of a user's address"),
    ("src/os", "files of /proc"),
    ("src/spawn/ssh/login.rs", "what OpenSSH says, which has no codes; it only picks the advice"),
    ("transports/conformance", "checks of what transports say"),
    ("transports/wire/src/address.rs", "addresses, as users write them"),
    ("transports/wire/src/codec", "values of users"),
];

/// A comparison of something with a literal text, or of one text that was made for people with another.
const COMPARES: &[&str] = &[
    ".contains(\"",
    ".starts_with(\"",
    ".ends_with(\"",
    "== \"",
    "!= \"",
    "to_string() ==",
    "to_string() !=",
    "to_string().contains(",
    "to_string().starts_with(",
    "to_string().ends_with(",
    ":?}\") ==",
    ":?}\") !=",
];

fn compares(line: &str) -> bool {
    let is_code = !line.trim_start().starts_with("//");
    is_code && COMPARES.iter().any(|compare| line.contains(compare))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it is in the repository") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("its name is text");
        match path.is_dir() {
            true if name != "tests" && name != "target" => sources(&path, found),
            false if name.ends_with(".rs") && name != "tests.rs" => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn no_decision_hangs_on_the_text_of_a_message() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "macros/src", "transports"].iter().for_each(|folder| sources(&root.join(folder), &mut files));
    assert!(files.len() > 200, "only {} files were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if READ_INPUT.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        let code = fs::read_to_string(&file).unwrap();
        let code = code.split("\nmod tests {").next().unwrap();
        let lines = code.lines().enumerate().filter(|(_, line)| compares(line));
        found.extend(lines.map(|(at, line)| format!("{path}:{}: {}", at + 1, line.trim())));
    }
    assert!(found.is_empty(), "compare enums or ids instead:\n{}", found.join("\n"));
}

#[test]
fn a_comparison_is_seen() {
    for line in [
        "if error.to_string().contains(why) {",
        "let same = format!(\"{one:?}\") == format!(\"{other:?}\");",
        "if protocol == \"quic\" {",
        "closed.why.starts_with(\"finished\")",
    ] {
        assert!(compares(line), "{line}");
    }
    for line in ["// if it == \"x\"", "if name == NAME {", "text.contains(&part)"] {
        assert!(!compares(line), "{line}");
    }
}

#[test]
fn each_place_that_reads_input_exists() {
    for (place, _) in READ_INPUT {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(place).exists(), "{place}");
    }
}
