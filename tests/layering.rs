//! Which module may import which, checked against the sources.
//!
//! Cargo holds the edges between crates; this holds those between the modules of one crate, and the
//! words that a layer must not know, or no prose. It reads the lines of code up to `mod tests`, without comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where something stands, which modules of its crate it may use, and which words it must not know.
struct Layer {
    /// A folder or a file, from the root of the repository.
    at: &'static str,
    /// The modules behind `crate::`. Its own are always fine.
    uses: &'static [&'static str],
    never: &'static [&'static str],
}

/// From the bottom up.
const LAYERS: &[Layer] = &[
    Layer {
        at: "transports/wire/src",
        uses: ANY,
        never: &["tokio::net", "tokio::task", "use pleach::", "quinn", "socket2"],
    },
    Layer {
        at: "transports/tls/src",
        uses: ANY,
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
        ],
    },
    Layer { at: "transports/mem/src", uses: ANY, never: &["use pleach::", "pleach_tcp", "pleach_uds", "pleach_quic"] },
    Layer { at: "transports/tcp/src", uses: ANY, never: &["use pleach::", "pleach_mem", "pleach_uds", "pleach_quic"] },
    Layer { at: "transports/uds/src", uses: ANY, never: &["use pleach::", "pleach_mem", "pleach_tcp", "pleach_quic"] },
    Layer { at: "transports/quic/src", uses: ANY, never: &["use pleach::", "pleach_mem", "pleach_tcp", "pleach_uds"] },
    // Who an actor is, is plain data that the handshake carries.
    Layer { at: "src/proto", uses: &["actor"], never: &["tokio", "Instant", "SystemTime", "std::net", "async "] },
    Layer { at: "src/actor.rs", uses: &[], never: TRANSPORTS },
    Layer { at: "src/arguments.rs", uses: &[], never: TRANSPORTS },
    // `__private` is what the code of its macro calls.
    Layer { at: "src/error", uses: ERROR, never: TRANSPORTS },
    Layer { at: "src/config", uses: &["error", "transports"], never: TRANSPORTS },
    // On the ground. `tests/loom` has its types, too.
    Layer { at: "src/sync.rs", uses: &[], never: TRANSPORTS },
    Layer { at: "src/key_file.rs", uses: &["error"], never: TRANSPORTS },
    Layer { at: "src/scope", uses: &["error", "sync"], never: TRANSPORTS },
    Layer { at: "src/trionics/gather.rs", uses: &["error", "scope"], never: TRANSPORTS },
    Layer { at: "src/trionics/pubsub.rs", uses: &["error", "scope"], never: TRANSPORTS },
    Layer { at: "src/log", uses: &[], never: TRANSPORTS },
    Layer { at: "src/telemetry", uses: &[], never: TRANSPORTS },
    Layer { at: "src/traces.rs", uses: &[], never: TRANSPORTS },
    Layer { at: "src/panics.rs", uses: &["telemetry", "traces"], never: TRANSPORTS },
    Layer { at: "src/transports.rs", uses: &[], never: &[] },
    Layer { at: "src/channel", uses: BELOW_CHANNEL, never: TRANSPORTS },
    Layer { at: "src/fidelity.rs", uses: &["sync"], never: TRANSPORTS },
    Layer { at: "src/shape", uses: &[], never: TRANSPORTS },
    Layer { at: "src/exports.rs", uses: BELOW_RUNTIME, never: TRANSPORTS },
    Layer { at: "src/call.rs", uses: &["error", "exports", "fidelity"], never: TRANSPORTS },
    Layer { at: "src/context", uses: CONTEXT, never: TRANSPORTS },
    Layer { at: "src/trionics/mod.rs", uses: ANY, never: TRANSPORTS },
    Layer { at: "src/trionics/cluster.rs", uses: CLUSTER, never: TRANSPORTS },
    Layer { at: "src/trionics/broadcast", uses: &["error", "scope"], never: TRANSPORTS },
    Layer { at: "src/stream", uses: STREAM, never: TRANSPORTS },
    Layer { at: "src/stream_call.rs", uses: STREAM_CALL, never: TRANSPORTS },
    Layer { at: "src/discovery", uses: RUNTIME, never: TRANSPORTS },
    Layer { at: "src/runtime", uses: RUNTIME, never: TRANSPORTS },
    Layer { at: "src/spawn", uses: RUNTIME, never: TRANSPORTS },
    Layer { at: "src/portal", uses: ANY, never: TRANSPORTS },
    Layer { at: "src/find", uses: FIND, never: TRANSPORTS },
    Layer { at: "src/nursery", uses: ANY, never: TRANSPORTS },
    Layer { at: "src/manual", uses: &[], never: TRANSPORTS },
    // Only there in a build for fuzzing.
    Layer { at: "src/fuzzing.rs", uses: ANY, never: TRANSPORTS },
    // Paves the way to all of them.
    Layer { at: "src/lib.rs", uses: ANY, never: TRANSPORTS },
    // A program of its own, which uses the library as others do.
    Layer { at: "src/bin", uses: ANY, never: &["pleach_mem", "pleach_tcp", "pleach_uds", "pleach_quic", "quinn"] },
];

const ANY: &[&str] = &["*"];
const ERROR: &[&str] = &["__private", "actor", "fidelity", "log", "panics", "telemetry", "traces"];
const BELOW_CHANNEL: &[&str] = &["actor", "config", "error", "log", "panics", "proto", "scope", "sync"];
const BELOW_RUNTIME: &[&str] =
    &["actor", "channel", "config", "error", "fidelity", "panics", "proto", "scope", "traces", "shape"];
const CONTEXT: &[&str] = &["actor", "call", "channel", "error", "exports", "fidelity", "proto", "scope", "stream"];
const CLUSTER: &[&str] = &["config", "error", "nursery", "portal", "runtime"];
const STREAM: &[&str] = &["actor", "channel", "error", "fidelity", "proto", "scope", "trionics"];
const STREAM_CALL: &[&str] =
    &["call", "channel", "context", "error", "exports", "fidelity", "proto", "scope", "stream"];
const FIND: &[&str] = &["discovery", "error", "exports", "portal", "runtime", "scope"];
#[rustfmt::skip]
const RUNTIME: &[&str] = &[
    "actor", "call", "channel", "config", "discovery", "error", "exports", "key_file", "log", "panics", "proto", "runtime",
    "scope", "spawn", "sync", "telemetry", "transports",
];
const TRANSPORTS: &[&str] = &["pleach_mem", "pleach_tcp", "pleach_tls", "pleach_uds", "pleach_quic", "quinn", "rustls"];

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
fn each_layer_uses_only_what_is_below_it() {
    let mut faults = Vec::new();
    for layer in LAYERS {
        for file in sources_below(layer.at) {
            for (number, line) in code(&file) {
                let place = format!("{}:{number}", shown(&file));
                for module in modules_used(&line) {
                    if !layer.allows(&module) {
                        faults.push(format!("{place}: `{}` must not use `crate::{module}`", layer.at));
                    }
                }
                for word in layer.never.iter().filter(|word| line.contains(*word)) {
                    faults.push(format!("{place}: `{}` must not know `{}`", layer.at, word.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn each_file_has_its_layer() {
    let covered: BTreeSet<_> = LAYERS.iter().flat_map(|layer| sources_below(layer.at)).collect();
    let known = |file: &&PathBuf| covered.contains(*file);
    let all = ["src", "transports/wire/src", "transports/tls/src", "transports/mem/src", "transports/tcp/src"]
        .map(sources_below)
        .concat();
    let strangers: Vec<_> = all.iter().filter(|file| !known(file) && !is_test(file)).map(|file| shown(file)).collect();
    assert!(strangers.is_empty(), "not in the table of layers: {strangers:?}");
    for layer in LAYERS {
        assert!(!sources_below(layer.at).is_empty(), "`{}` is in the table of layers, but is not there", layer.at);
    }
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
    let pages = pages.into_iter().chain(["certs/README.md", "transports/README.md"]).map(|page| root().join(page));
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
    let used = |line: &str| modules_used(line).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(used("use crate::error::{Error, Result};"), "error");
    assert_eq!(used("use crate::{error::Error, scope};"), "{");
    assert_eq!(used("let x = crate::scope::a(crate::runtime::b());"), "runtime scope");
    assert_eq!(used("$crate::error::x; pub(crate) fn y()"), "error");
    assert_eq!(without_comment("a(\"http://b\"); // crate::c"), "a(\"http://b\"); ");
}

impl Layer {
    fn allows(&self, module: &str) -> bool {
        let own = Path::new(self.at).file_stem().is_some_and(|stem| stem == module);
        own || self.uses.contains(&"*") || self.uses.contains(&module)
    }
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

/// The names behind `crate::`. A group is `{`, which no layer lists: one line for each module is easier to check.
fn modules_used(line: &str) -> BTreeSet<String> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let behind = line.split("crate::").skip(1);
    behind.map(|rest| if rest.starts_with('{') { "{".to_owned() } else { ident(rest) }).collect()
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
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// All Rust files of a folder, or the file itself; none if it is not there.
fn sources_below(at: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root().join(at)]);
    while let Some(path) = open.pop() {
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
