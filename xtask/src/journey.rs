//! How many files and lines a reader follows on each journey of `pleach::manual::architecture`.
//!
//! The page lists the stations of a journey as links to items. Each is looked up in the sources, so a station that was
//! moved or renamed is an error here. Counted are the files that hold the stations, whole, and their lines of code:
//! not blank, not a comment, not a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A journey: its name, and for each station its path and the file that it is in.
struct Journey {
    name: String,
    stations: Vec<(String, PathBuf)>,
}

/// Prints a line for each journey.
///
/// # Errors
/// Says which stations do not exist.
pub(crate) fn print(root: &Path) -> Result<(), String> {
    for Journey { name, stations } in journeys(root)? {
        let files: BTreeMap<&PathBuf, usize> =
            stations.iter().map(|(_, file)| (file, code_lines(&read(file).unwrap_or_default()))).collect();
        let (stations, lines) = (stations.len(), files.values().sum::<usize>());
        println!("{name:<20} {stations:>3} stations in {:>2} files with {lines:>5} lines of code", files.len());
    }
    Ok(())
}

/// Reads the page.
///
/// # Errors
/// Names all stations that do not exist.
fn journeys(root: &Path) -> Result<Vec<Journey>, String> {
    let mut journeys: Vec<Journey> = Vec::new();
    let mut missing = Vec::new();
    for line in read(&root.join(PAGE))?.lines().filter_map(|line| line.strip_prefix("//!")) {
        if let Some(name) = line.strip_prefix(" # ") {
            journeys.push(Journey { name: name.to_owned(), stations: Vec::new() });
        }
        let Some(journey) = journeys.last_mut() else { continue };
        for link in links(line) {
            match find(root, link) {
                Some(file) => journey.stations.push((link.to_owned(), file)),
                None => missing.push(format!("{}: there is no `{link}`", journey.name)),
            }
        }
    }
    if missing.is_empty() { Ok(journeys) } else { Err(missing.join("\n")) }
}

/// The paths that a line of documentation links to.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).filter(|link| link.contains("::"))
}

/// Finds the file that defines an item: that of its module, or one beside it that this shows.
fn find(root: &Path, path: &str) -> Option<PathBuf> {
    let mut names = path.split("::").peekable();
    let mut at = root.join(match names.next()? {
        "crate" => "src".to_owned(),
        package => format!("transports/{}/src", package.strip_prefix("pleach_")?),
    });
    let mut file = at.join("lib.rs");
    while let Some(name) = names.peek() {
        let next = at.join(name);
        let within = [next.with_extension("rs"), next.join("mod.rs")].into_iter().find(|file| file.is_file());
        let Some(within) = within else { break };
        (at, file) = (next, within);
        names.next();
    }
    let mut files = vec![file];
    files.extend(sources_below(&at));
    let Some(item) = names.next() else { return files.into_iter().next() };
    match names.next() {
        None => files.into_iter().find(|file| defines(file, item)),
        Some(method) => files.into_iter().find(|file| implements(file, item) && defines(file, method)),
    }
}

/// The sources in a directory, if it is one.
fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some()).collect();
    files.sort();
    files
}

fn defines(file: &Path, item: &str) -> bool {
    let source = read(file).unwrap_or_default();
    let is_in_name = |character: char| character.is_alphanumeric() || character == '_';
    let ends = |after: &str| !after.starts_with(is_in_name);
    KINDS.iter().any(|kind| without_tests(&source).split(&format!("{kind} {item}")).skip(1).any(ends))
}

fn implements(file: &Path, item: &str) -> bool {
    let source = read(file).unwrap_or_default();
    let names_it = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == item);
    source.lines().any(|line| line.starts_with("impl") && names_it(line))
}

fn code_lines(source: &str) -> usize {
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    without_tests(source).lines().map(str::trim).filter(is_code).count()
}

/// Unit tests are the end of a file, or another file.
fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |tests| &source[..tests])
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

const PAGE: &str = "src/manual/architecture.rs";

/// What an item's name follows.
const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "static"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stations_of_the_journeys_exist() {
        let journeys = journeys(crate::root()).unwrap_or_else(|missing| panic!("{PAGE}\n{missing}"));
        let names: Vec<_> = journeys.iter().map(|journey| journey.name.as_str()).collect();
        assert_eq!(names, ["A call", "An answer", "A cancel", "A spawn", "An error"]);
        for Journey { name, stations } in journeys {
            assert!(stations.len() > 3, "{name} has {} stations", stations.len());
        }
    }

    #[test]
    fn a_station_is_an_item_of_its_file() {
        let root = crate::root();
        assert!(find(root, "crate::runtime::dispatch").is_some_and(|file| file.ends_with("runtime/dispatch.rs")));
        assert!(find(root, "crate::runtime::despatch").is_none());
        assert!(find(root, "crate::portal::Portal::run").is_some_and(|file| file.ends_with("src/portal/mod.rs")));
        assert!(find(root, "crate::portal::Portal::ru").is_none(), "the beginning of a name");
        let elsewhere = find(root, "crate::channel::Channel::call");
        assert!(elsewhere.is_some_and(|file| file.ends_with("src/channel/call.rs")), "a method in another file");
        assert!(find(root, "pleach_wire::transport::MsgTransport").is_some());
    }

    #[test]
    fn tests_and_comments_are_not_counted() {
        assert_eq!(code_lines("//! a\nfn a() {\n\n    // b\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n"), 2);
        assert_eq!(links("[`a`](crate::a::A::b), [b](https://b.c) and [c](pleach_wire::c)").count(), 2);
    }
}
