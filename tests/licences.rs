//! Every package that this one builds on has a licence that `deny.toml` allows, and comes from the registry.
//!
//! `cargo deny` checks more. This needs nothing but cargo, so that it runs with the other tests.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_package_has_a_licence_that_is_allowed() {
    let allowed = allowed();
    let mut faults = Vec::new();
    let packages = packages();
    for package in &packages {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let name = format!("{} {}", text("name"), text("version"));
        match text("license") {
            "" => faults.push(format!("{name} does not name its licence")),
            licence if permits(licence, &allowed) => {}
            licence => faults.push(format!("{name} is under `{licence}`")),
        }
        if !is_from_the_registry(package["source"].as_str()) {
            faults.push(format!("{name} comes from {}", text("source")));
        }
    }
    assert!(packages.len() > 20, "there are only {} packages; is this the whole list?", packages.len());
    assert!(faults.is_empty(), "see the list in deny.toml:\n{}\n", faults.join("\n"));
}

/// Those of this workspace have no source.
fn is_from_the_registry(source: Option<&str>) -> bool {
    source.is_none_or(|source| source.starts_with("registry+"))
}

fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    // Not offline: cargo may not have fetched yet what only some features need.
    cargo.args(["metadata", "--format-version=1", "--all-features", "--locked", "--filter-platform", HOST]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().expect("cargo runs, as it has built this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("cargo lists packages").clone()
}

/// What this test was built for; other platforms' packages may not have been fetched.
const HOST: &str = match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"), cfg!(target_env = "musl")) {
    (true, _, false) => "x86_64-unknown-linux-gnu",
    (true, _, true) => "x86_64-unknown-linux-musl",
    (_, true, false) => "aarch64-unknown-linux-gnu",
    (_, true, true) => "aarch64-unknown-linux-musl",
    _ => panic!("name this platform here"),
};

fn allowed() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    let text = std::fs::read_to_string(path).expect("deny.toml can be read");
    let table: toml::Table = text.parse().expect("deny.toml is TOML");
    let listed = table["licenses"]["allow"].as_array().expect("it lists licences");
    listed.iter().map(|licence| licence.as_str().expect("by name").to_owned()).collect()
}

/// Whether an SPDX expression can be met with the allowed licences.
///
/// Some old packages write `/` for `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "`{expression}` can't be read");
    permitted
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut permitted = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= all_of(words, allowed);
    }
    permitted
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut permitted = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, allowed);
    }
    permitted
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let first = words.next().expect("an expression has a licence where one is due");
    if first == "(" {
        let permitted = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"), "a bracket is closed");
        return permitted;
    }
    let mut licence = first.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().expect("an exception has a name"));
    }
    allowed.contains(&licence)
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(String::from);
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "MIT AND (GPL-3.0 OR Zlib)", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "GPL-3.0 OR MIT AND AGPL-3.0", "(MIT OR Zlib) AND GPL-3.0"]
    {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}
