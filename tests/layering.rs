//! Which module may import which, checked against the sources.
//!
//! Cargo holds the edges between crates; this holds those between the modules of one crate, and the
//! words that a layer must not know, or no prose. [`texts`] has the comparisons that no code makes. All read the lines
//! of code up to `mod tests`, without comments.

#[path = "layering/graph.rs"]
mod graph;
#[path = "layering/texts.rs"]
mod texts;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use self::graph::{Graph, modules_named};

/// The modules of `src` from the ground up: each uses only those above it in this list.
#[rustfmt::skip]
const ORDER: &[&str] = &[
    // Plain data and rules, without I/O: who an actor is, and the protocol.
    "random", "actor", "proto", "shape",
    // What all the others say and report.
    "sync", "epoch", "events", "misspelt", "log", "fidelity", "telemetry", "traces", "frames", "crash", "task_local", "task_group", "current", "callers", "panics", "error", "backoff",
    // The ground: settings, scopes, files.
    "transports", "config", "key_file", "scope", "retry", "lazy", "broadcast", "holds", "os", "leftovers",
    // A connection, and what is called over it.
    "channel", "decode", "registry", "stream", "rpc",
    // An actor among others.
    "runtime", "inspect", "metrics", "debug", "discovery", "spawn", "portal", "testing", "boot",
    // The public handles.
    "find", "nursery", "stateful", "trionics",
    // Pages; a build for fuzzing; the root, which re-exports.
    "manual", "fuzzing", "lib",
];

/// Where something stands, and which words it must not know.
struct Layer {
    /// A folder or a file, from the root of the repository.
    at: &'static str,
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    // It starts no task.
    Layer {
        at: "transports/wire/src",
        never: &["tokio::net", "tokio::spawn", "task::spawn", "JoinSet", "use pleach::", "quinn", "socket2"],
    },
    Layer {
        at: "transports/tls/src",
        // It opens no socket and starts no task.
        never: &[
            "tokio::net",
            "tokio::spawn",
            "TcpStream",
            "UdpSocket",
            "quinn",
            "socket2",
            "use pleach::",
            "pleach_tcp",
            "pleach_uds",
            "pleach_quic",
            "pleach_shm",
        ],
    },
    Layer {
        at: "transports/mem/src",
        never: &["use pleach::", "pleach_tcp", "pleach_uds", "pleach_quic", "pleach_shm"],
    },
    Layer {
        at: "transports/tcp/src",
        never: &["use pleach::", "pleach_mem", "pleach_uds", "pleach_quic", "pleach_shm"],
    },
    Layer {
        at: "transports/uds/src",
        never: &["use pleach::", "pleach_mem", "pleach_tcp", "pleach_quic", "pleach_shm"],
    },
    // It meets its peers at Unix sockets.
    Layer { at: "transports/shm/src", never: &["use pleach::", "pleach_mem", "pleach_tcp", "pleach_quic"] },
    Layer { at: "transports/shm/memory/src", never: &["use pleach", "tokio::net"] },
    Layer {
        at: "transports/quic/src",
        never: &["use pleach::", "pleach_mem", "pleach_tcp", "pleach_uds", "pleach_shm"],
    },
    // It has no clock, no socket and no task.
    Layer { at: "src/proto", never: &["tokio", "Instant", "SystemTime", "std::net", "async ", "unsafe"] },
    Layer { at: PROGRAM, never: &["pleach_mem", "pleach_tcp", "pleach_uds", "pleach_quic", "pleach_shm", "quinn"] },
    Layer {
        at: LIBRARY,
        never: &[
            "pleach_mem",
            "pleach_tcp",
            "pleach_tls",
            "pleach_uds",
            "pleach_quic",
            "pleach_shm",
            "quinn",
            "rustls",
        ],
    },
];

/// The only file that makes spans: a program has asked for them, and they can't be made later.
const SPANS: &str = "src/telemetry/calls.rs";

/// The only file that names the crates of the transports.
const TRANSPORTS: &str = "src/transports.rs";

/// A program of its own, which uses the library as others do.
const PROGRAM: &str = "src/bin";

/// All but that.
const LIBRARY: &str = "src";

/// Words that stand where a peer, an actor, a caller or a task should be named.
const WORDS: &[&str] = &[
    concat!("who", "ever"),
    concat!("who", "m "),
    concat!("some", "body"),
    concat!("no", "body"),
    concat!("any", "body"),
    concat!("every", "body"),
    concat!(" an", "ew"),
    concat!("goes ", "before"),
];

/// Fine after "there", and before a number, "longer" or "more".
const PHRASES: &[&str] = &[concat!("is ", "no "), concat!("are ", "no "), concat!("is ", "over ")];

/// Files that may start a task which no scope owns; clippy has them say why.
const SPAWNERS: &[&str] = &["transports/quic/src/driver.rs"];

// S93: streams know nothing of runtimes and processes.
#[test]
fn modules_use_only_what_is_below_them() {
    let mut graph = Graph::default();
    for file in sources_below("src").iter().filter(|file| !shown(file).starts_with(PROGRAM) && !is_test(file)) {
        let below_src = file.strip_prefix(root().join("src")).expect("it was found there");
        graph.add(below_src, &code(file));
    }
    let graph = graph.finish();
    let upward = graph.upward(ORDER);
    // Not `println!`, which a test that passes keeps to itself.
    let shown = writeln!(io::stdout(), "src: {graph}, {} arrows upwards", upward.len());
    shown.expect("a test has an output");
    assert_eq!(graph.strangers(ORDER), [""; 0], "`ORDER` and the modules of `src` differ");
    assert!(upward.is_empty(), "\n{}\n", upward.join("\n"));
    assert_eq!(graph.cycles(), Default::default());
}

#[test]
fn layers_know_only_their_own_words() {
    let mut faults = Vec::new();
    for layer in LAYERS {
        let files = sources_below(layer.at);
        assert!(!files.is_empty(), "`{}` is in the table of layers, but is not there", layer.at);
        let is_other = |file: &String| file == TRANSPORTS || layer.at == LIBRARY && file.starts_with(PROGRAM);
        for file in files.into_iter().filter(|file| !is_other(&shown(file))) {
            for (number, line) in code(&file) {
                for word in layer.never.iter().filter(|word| line.contains(*word)) {
                    faults.push(format!("{}:{number}: `{}` must not know `{}`", shown(&file), layer.at, word.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn tasks_have_owners_and_queues_have_bounds() {
    let mut faults = Vec::new();
    for file in ["src", "transports", "macros"].map(sources_below).concat() {
        let may_spawn = SPAWNERS.contains(&shown(&file).as_str()) || is_test(&file);
        for (number, line) in code(&file) {
            let spawns = ["tokio::spawn(", "task::spawn(", "spawn_local("].iter().any(|word| line.contains(word));
            if spawns && !may_spawn {
                faults.push(format!("{}:{number}: a task without an owner", shown(&file)));
            }
            if line.contains("unbounded") && !is_test(&file) {
                faults.push(format!("{}:{number}: a queue without a bound", shown(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// How long something takes is decided by the scheduler: bounds of tests come from `tests/patience`.
#[test]
fn no_test_has_a_bound_of_its_own() {
    let ways = ["elapsed() < ", "elapsed() <= ", "_within(", "recv_timeout(", "set_read_timeout(Some("];
    let own = ways.map(|way| format!("{way}Duration::from_"));
    let mut faults = Vec::new();
    for file in ["src", "transports", "tests", "macros"].map(sources_below).concat() {
        for (number, line) in read(&file).lines().enumerate() {
            if own.iter().any(|bound| line.contains(bound)) {
                faults.push(format!("{}:{}: a bound that does not grow with the load", shown(&file), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// A record goes by way of `pleach_wire::log`; and standard error may be closed.
#[test]
fn nothing_that_is_said_can_hold_up_or_end_who_says_it() {
    let ways = ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "event!(", "span!(", "instrument"];
    let direct = ways.map(|way| format!("tracing::{way}"));
    let mut faults = Vec::new();
    for file in ["src", "transports"].map(sources_below).concat() {
        let place = shown(&file);
        if place == SPANS {
            continue;
        }
        for (number, line) in code(&file) {
            if direct.iter().any(|direct| line.contains(direct)) || line.contains("_span!(") {
                faults.push(format!("{place}:{number}: a record that calls the subscriber right here"));
            }
            if ["eprintln!(", "eprint!(", "dbg!("].iter().any(|print| line.contains(print)) {
                faults.push(format!("{place}:{number}: this panics when standard error is closed"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn nothing_is_left_for_later_and_each_file_says_what_it_is() {
    let later = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimpl", "emented!(")];
    let mut faults = Vec::new();
    for file in ["src", "transports", "macros", "tests", "benches", "examples"].map(sources_below).concat() {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            if later.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: left for later", shown(&file), number + 1));
            }
        }
        // Those are programs that must not compile, with their messages by line.
        if !text.starts_with("//!") && !shown(&file).starts_with("macros/tests/ui/") {
            faults.push(format!("{}: no `//!` header", shown(&file)));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Prose is plain English with named subjects: comments, texts and names, in code and in documents.
#[test]
fn prose_names_its_subjects() {
    let folders = ["src", "transports", "macros", "tests", "benches", "examples", "fuzz"].map(sources_below).concat();
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md", "fuzz/README.md"];
    let crates = ["conformance", "mem", "quic", "shm", "shm/memory", "tcp", "tls", "uds", "wire"]
        .map(|name| format!("transports/{name}/README.md"));
    let pages = pages.into_iter().chain(["certs/README.md", "macros/README.md", "transports/README.md"]);
    let pages = pages.map(String::from).chain(crates).map(|page| root().join(page));
    let mut faults = Vec::new();
    for file in folders.into_iter().chain(pages) {
        for (number, line) in read(&file).lines().enumerate() {
            for riddle in riddles(line) {
                faults.push(format!("{}:{}: say it without \"{riddle}\"", shown(&file), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn riddles_are_found_and_plain_english_is_not() {
    let [a, b, c, d] = [concat!("who", "ever"), concat!("is ", "over"), concat!("is ", "no"), concat!("no", "body")];
    for riddle in [format!("{a} waits"), format!("once it {b}"), format!("it {c} member"), format!("{d}_waits()")] {
        assert_eq!(riddles(&riddle).len(), 1, "{riddle}");
    }
    for plain in [format!("it {b} {{limit}}"), format!("there {c} clock"), format!("it {c} longer")] {
        assert_eq!(riddles(&plain), [""; 0], "{plain}");
    }
}

#[test]
fn the_reader_of_sources_sees_what_it_must() {
    let used = |depth: usize, code: &str| {
        let lines: Vec<_> = code.lines().map(String::from).enumerate().collect();
        let found = modules_named(depth, &lines).into_iter().map(|(line, module)| format!("{line}:{module}"));
        found.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(used(1, "use crate::error::{Error, Result};"), "0:error");
    assert_eq!(used(1, "pub(crate) use crate::{error::{Error, Result},\n    scope};"), "0:error 0:scope");
    assert_eq!(used(1, "let x = crate::scope::a(crate::runtime::b());"), "0:scope 0:runtime");
    assert_eq!(used(1, "use pleach::scope::shield;\nuse ::pleach::error::Ok;"), "0:scope 1:error");
    assert_eq!(used(1, "#[pleach::stream]\ninfo!(target: \"pleach::runtime\")"), "");
    assert_eq!(used(1, "use crate::*;\nuse super::{self as top};\nuse crate as top;"), "0:lib 1:lib 2:lib");
    assert_eq!(used(1, "$crate::error::x; pub(crate) fn y()"), "0:error");
    assert_eq!(used(1, "use super::stream::Lag;\nuse super::{fidelity, scope};"), "0:stream 1:fidelity 1:scope");
    assert_eq!(
        used(2, "use super::Runtime;\nuse super::super::stream::Lag;\nuse super::{super::scope, a};"),
        "1:stream 2:scope"
    );
    assert_eq!(
        used(1, "mod inner {\n    use super::Own;\n    use super::super::error;\n}\nuse super::call;"),
        "2:error 4:call"
    );
    assert_eq!(without_comment("a(\"http://b\"); // crate::c"), "a(\"http://b\"); ");
}

/// Returns the words of a line that hide its subject, or that no other project uses in that sense.
fn riddles(line: &str) -> Vec<&'static str> {
    let line = line.to_lowercase().replace([',', '.', ';', ':', ')'], " ") + " ";
    let found = WORDS.iter().filter(|word| line.contains(*word));
    let found = found.chain(PHRASES.iter().filter(|phrase| {
        line.match_indices(*phrase).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + phrase.len()..]);
            !before.ends_with("there ") && !["longer", "more", "{"].iter().any(|fine| after.starts_with(fine))
        })
    }));
    found.copied().collect()
}

/// The numbered lines of code of a file, up to its tests.
fn code(file: &Path) -> Vec<(usize, String)> {
    if is_test(file) {
        return Vec::new();
    }
    let text = read(file);
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line).to_owned()));
    // Not up to `#[cfg(test)]`: imports for tests stand at the top of some files.
    let mut lines: Vec<_> = lines.collect();
    if let Some(tests) = lines.iter().position(|(_, line)| line.trim_start().starts_with("mod tests {")) {
        lines.truncate(tests);
    }
    lines
}

fn without_comment(line: &str) -> &str {
    match line.trim_start().starts_with("//") {
        true => "",
        false => line.find(" // ").map_or(line, |at| &line[..=at]),
    }
}

/// Whether a file only has tests: `tests.rs`, or something in `tests/`.
fn is_test(file: &Path) -> bool {
    Path::new(&shown(file)).components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// All Rust files of a folder, or the file itself; none if it is not there.
fn sources_below(at: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root().join(at)]);
    while let Some(path) = open.pop() {
        if path.join("CACHEDIR.TAG").exists() {
            continue; // what a build has left in a workspace of its own
        }
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of sources can be read");
            open.extend(entries.map(|entry| entry.expect("so can its entries").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}
