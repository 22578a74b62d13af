//! The public functions that may wait, as they stand in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns them by name: `Type::function`, `module::function`, `Trait for Type`.
pub(super) fn public_waits() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<_> = files_below(root).into_iter().map(|path| (module_of(&path), text_of(&path))).collect();
    let public: BTreeSet<String> = files.iter().flat_map(|(_, text)| public_types(text)).collect();
    files.iter().flat_map(|(module, text)| waits_in(module, text, &public)).collect()
}

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder]);
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if matches!(name, "tests" | "bin") => {}
            true => open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path())),
            false if name.ends_with(".rs") && name != "tests.rs" => found.push(path),
            false => {}
        }
    }
    found
}

fn module_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    if stem == "mod" { folder.into() } else { stem.into() }
}

/// The code of a file, without its tests.
fn text_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("\nmod tests {").next().unwrap().to_owned()
}

fn public_types(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix("pub struct ").map(|rest| name_at(rest).to_owned()))
}

fn waits_in(module: &str, text: &str, public: &BTreeSet<String>) -> Vec<String> {
    let mut waits = Vec::new();
    // What the lines stand in: a type, or a public trait.
    let mut owner = String::new();
    let mut in_trait = false;
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if let Some(header) = line.strip_prefix("impl") {
            let header = without_generics(header);
            let (implemented, of) = header.split_once(" for ").map_or(("", &*header), |(name, of)| (name, of));
            (owner, in_trait) = (name_at(of.trim()).to_owned(), false);
            let implemented = name_at(implemented.trim());
            if matches!(implemented, "Future" | "IntoFuture" | "Stream" | "Sink") && public.contains(&owner) {
                waits.push(format!("{implemented} for {owner}"));
            }
        } else if let Some(header) = line.strip_prefix("pub trait ") {
            (owner, in_trait) = (name_at(header).to_owned(), true);
        } else if *line == "}" {
            (owner, in_trait) = (String::new(), false);
        }
        let Some(name) = wait_at(&lines[at..], in_trait) else { continue };
        match owner.is_empty() {
            true => waits.push(format!("{module}::{name}")),
            false if in_trait || public.contains(&owner) => waits.push(format!("{owner}::{name}")),
            false => {}
        }
    }
    waits
}

/// The name of the public function that begins here, if it may wait.
fn wait_at<'a>(lines: &[&'a str], in_trait: bool) -> Option<&'a str> {
    let line = lines[0].trim_start();
    let is_async = line.strip_prefix("pub async fn ").or_else(|| line.strip_prefix("async fn ").filter(|_| in_trait));
    if let Some(rest) = is_async {
        return Some(name_at(rest));
    }
    let name = name_at(line.strip_prefix("pub fn ")?);
    let head: String = lines.iter().map(|line| format!("{line} ")).take_while(|line| line.trim() != "").collect();
    let head = head.split(" {").next().unwrap_or_default();
    (name.starts_with("poll_") || head.contains("-> impl Future")).then_some(name)
}

/// A header behind `impl`, without the parameters that it declares, and without paths.
fn without_generics(header: &str) -> String {
    let mut depth = 0;
    let mut kept = String::new();
    for letter in header.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

/// The identifier at the beginning of a text.
fn name_at(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}
