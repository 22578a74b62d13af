//! The handbook's promises have tests: each row names one, and each cited clause exists.
//!
//! It reads sources, like `layering.rs`: `src/manual/rows.rs` says which test holds a row, and that test
//! says so itself with a comment, `// S47`. So does `src/manual/security.rs`, for its clauses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rows of the system that this library follows.
const ROWS: std::ops::RangeInclusive<u32> = 1..=125;

/// One line of the table.
struct Held {
    row: String,
    file: String,
    test: String,
}

#[test]
fn each_row_has_a_test_that_cites_it() {
    let table = table();
    let (held, missing) = (table.iter().map(|held| held.row.clone()).collect::<BTreeSet<_>>(), missing());
    let due: BTreeSet<_> = ROWS.map(|row| format!("S{row:02}")).collect();
    let listed: BTreeSet<_> = held.union(&missing).cloned().collect();
    let mut faults: Vec<_> =
        due.symmetric_difference(&listed).map(|row| format!("{row} is in no list, or no row")).collect();
    faults.extend(held.intersection(&missing).map(|row| format!("{row} is in both lists")));
    assert_held(faults, &table);
}

#[test]
fn each_clause_of_security_has_a_test_that_cites_it() {
    let text = fs::read_to_string(root().join("src/manual/security.rs")).expect("the page");
    let table = lines_of(&text, "//! | SEC-");
    let listed: BTreeSet<_> = table.iter().map(|held| held.row.as_str()).collect();
    let clauses = numbers(&text, "SEC-").into_iter().map(|number| format!("SEC-{number}"));
    let bare = clauses.filter(|clause| !listed.contains(clause.as_str()));
    assert_held(bare.map(|clause| format!("{clause} has no test")).collect(), &table);
}

/// Fails with all `faults`, and with those of a table whose tests must be there and cite their rows.
fn assert_held(mut faults: Vec<String>, table: &[Held]) {
    for Held { row, file, test } in table {
        match fs::read_to_string(root().join(file)) {
            Err(error) => faults.push(format!("{row}: {file}: {error}")),
            Ok(source) => match item(&source, test) {
                None => faults.push(format!("{row}: there is no `{test}` in {file}")),
                Some(text) if !cites(&text, row) => faults.push(format!("{row}: `{test}` in {file} does not cite it")),
                Some(_) => {}
            },
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn each_cited_clause_and_row_exists() {
    let page = |name| fs::read_to_string(root().join("src/manual").join(name)).unwrap();
    let pages = [("C-", page("cancellation.rs")), ("SEC-", page("security.rs"))];
    let rows: BTreeSet<_> = table().into_iter().map(|held| held.row).collect();
    let mut faults = Vec::new();
    for file in ["src", "tests", "transports", "macros", "examples"].iter().flat_map(|at| sources(&root().join(at))) {
        if file.ends_with("tests/manual.rs") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        for (number, line) in source.lines().enumerate() {
            let Some((_, comment)) = line.split_once("// ") else { continue };
            for word in comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                let place = format!("{}:{}", file.display(), number + 1);
                for (prefix, clauses) in &pages {
                    if is_id(word, prefix) && !clauses.contains(&format!("**{word}**")) {
                        faults.push(format!("{place}: there is no clause {word}"));
                    }
                }
                if is_id(word, "S") && is_due(word) && !rows.contains(word) {
                    faults.push(format!("{place}: {word} is cited, but not in the table"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn clauses_are_numbered_in_order() {
    for (page, prefix, least) in [("cancellation.rs", "C-", 30), ("security.rs", "SEC-", 10)] {
        let text = fs::read_to_string(root().join("src/manual").join(page)).unwrap();
        let numbers = numbers(&text, prefix);
        assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>(), "{page}");
        assert!(numbers.len() > least, "{page}: {numbers:?}");
    }
}

/// The numbers of a page's clauses: `- **C-12** …`.
fn numbers(text: &str, prefix: &str) -> Vec<u32> {
    let start = format!("//! - **{prefix}");
    text.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("**")?.0.parse().ok()).collect()
}

/// Reads the table: `| S47 | what | file | test |`.
fn table() -> Vec<Held> {
    let text = fs::read_to_string(root().join("src/manual/rows.rs")).expect("the table of rows");
    let table = lines_of(&text, "//! | S");
    let mut seen = BTreeSet::new();
    for held in &table {
        assert!(seen.insert(&held.row), "{} stands twice in the table", held.row);
    }
    table
}

/// Reads the list of what is not there: `- S65: why.`
fn missing() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/manual/rows.rs")).expect("the table of rows");
    let read = |line: &str| {
        let (row, why) = line.strip_prefix("//! - ")?.split_once(": ")?;
        assert!(is_id(row, "S") && why.ends_with('.'), "a row and a sentence, not: {line}");
        Some(row.to_owned())
    };
    text.lines().filter_map(read).collect()
}

/// Reads a table's lines: `| S47 | … | file | test |`; `start` is what they begin with.
fn lines_of(text: &str, start: &str) -> Vec<Held> {
    let read = |line: &str| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let [number, .., file, test, _] = &cells[..] else { panic!("a row with a file and a test, not: {line}") };
        Held { row: format!("{}{number}", &start["//! | ".len()..]), file: file.clone(), test: test.clone() }
    };
    text.lines().filter_map(|line| line.strip_prefix(start)).map(read).collect()
}

/// The function or file of this name with the comments and attributes before it; a file that is not Rust is its own
/// item, named after itself.
fn item(source: &str, name: &str) -> Option<String> {
    let lines: Vec<_> = source.lines().collect();
    let declares = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("//") && (line.contains(&format!("fn {name}(")) || line.contains(&format!("fn {name}<")))
    };
    let at = lines.iter().position(declares)?;
    let is_before = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let before = lines[..at].iter().rev().take_while(is_before).count();
    let indent = lines[at].len() - lines[at].trim_start().len();
    let close = format!("{}}}", " ".repeat(indent));
    let len = lines[at..].iter().position(|line| *line == close).unwrap_or(lines.len() - at - 1);
    Some(lines[at - before..=at + len].join("\n"))
}

fn cites(text: &str, row: &str) -> bool {
    let comments = text.lines().filter_map(|line| line.split_once("//").map(|(_, comment)| comment));
    comments.flat_map(|comment| comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')).any(|word| word == row)
}

fn is_id(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix)
        .is_some_and(|number| (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_due(row: &str) -> bool {
    row[1..].parse().is_ok_and(|number: u32| ROWS.contains(&number))
}

fn sources(at: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(at).into_iter().map(|entry| entry.expect("a folder of sources").into_path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
