//! The command line of the benches beside criterion's: `[WORD] [--json FILE]`.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;

/// Returns whether the bench shall measure. Without `--bench` cargo only wants to know whether it works, as in
/// `cargo test --benches`.
pub(crate) fn in_earnest(arguments: &[String]) -> bool {
    has(arguments, "--bench")
}

/// Returns whether an option was given.
pub(crate) fn has(arguments: &[String], option: &str) -> bool {
    arguments.iter().any(|argument| argument == option)
}

/// Returns the word that chooses lines; all have the empty one.
pub(crate) fn word(arguments: &[String]) -> String {
    let file = json(arguments);
    let mut words = arguments.iter().filter(|argument| !argument.starts_with('-') && Some(*argument) != file);
    words.next().cloned().unwrap_or_default()
}

/// Writes the lines to the file that was asked for, if one was.
pub(crate) fn save(arguments: &[String], bench: &str, lines: Vec<serde_json::Value>) {
    if let Some(file) = json(arguments) {
        let report = serde_json::json!({ "bench": bench, "lines": lines });
        fs::write(file, format!("{report:#}\n")).unwrap_or_else(|error| panic!("cannot write {file}: {error}"));
    }
}

fn json(arguments: &[String]) -> Option<&String> {
    let option = arguments.iter().position(|argument| argument == "--json")?;
    arguments.get(option + 1)
}
