//! No decision hangs on the text of a message: what code has to tell apart is an enum or an id.
//!
//! This looks for comparisons with literal texts. Texts that come from outside are another matter: files that read them
//! are listed, each with its reason.

use super::{code, is_test, root, shown, sources_below};

/// Where texts are input.
const READ_INPUT: &[(&str, &str)] = &[
    ("macros/src", "the names and signs of Rust"),
    ("src/bin/pleach/stacks/symbols.rs", "the names of functions, and the paths of files"),
    ("src/config", "settings, as users write them"),
    ("src/debug", "commands, as users type them, and the names of functions and files"),
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

#[test]
fn no_decision_hangs_on_the_text_of_a_message() {
    let files = ["src", "macros/src", "transports"].map(sources_below).concat();
    assert!(files.iter().filter(|file| !is_test(file)).count() > 200, "only {} files were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let path = shown(&file);
        if READ_INPUT.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        let lines = code(&file).into_iter().filter(|(_, line)| compares(line));
        found.extend(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
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
        assert!(root().join(place).exists(), "{place}");
    }
}
