//! From an address to a function and a line, by the debug information in the files of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use addr2line::Loader;
use pleach::inspect::{Module, StacksReport, build_id};
use serde::Serialize;

/// A frame of a stack. One address has several where functions were inlined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Frame {
    /// Of the instruction, as the file of the program has it.
    pub(super) address: u64,
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    /// Whether it is of the program itself, not of a library.
    pub(super) own: bool,
}

/// The files that have been read so far.
#[derive(Default)]
pub(super) struct Symbols(BTreeMap<PathBuf, Result<Loader, String>>);

/// Where to find the code of a process.
pub(super) struct Code<'a> {
    pub(super) report: &'a StacksReport,
    /// Its host, if that is another one.
    pub(super) host: Option<&'a str>,
    /// The file of its program, or why it can't be used.
    pub(super) program: Result<PathBuf, String>,
}

impl<'a> Code<'a> {
    /// Finds the code of a process: on another host, it runs the very program of one here.
    pub(super) fn of(report: &'a StacksReport, host: Option<&'a str>, programs: &BTreeSet<PathBuf>) -> Self {
        // The first is what runs, also after a new build; another user's process may forbid that.
        let own = PathBuf::from(format!("/proc/{}/exe", report.pid));
        let candidates: Vec<_> = match host {
            None => vec![own, report.program.clone()],
            Some(_) => programs.iter().cloned().chain([report.program.clone()]).collect(),
        };
        let is_same = |found: &Option<String>| *found == report.build_id && (host.is_none() || found.is_some());
        let mut why = String::new();
        for candidate in candidates {
            match build_id(&candidate) {
                Ok(found) if is_same(&found) => return Self { report, host, program: Ok(same_for_all(candidate)) },
                Ok(_) => why = format!("{} is another build of it", candidate.display()),
                Err(error) => why = format!("{}: {error}", candidate.display()),
            }
        }
        Self { report, host, program: Err(why) }
    }

    fn file_of(&self, module: &Module) -> Option<PathBuf> {
        match module.path == self.report.program {
            true => self.program.as_ref().ok().cloned(),
            // Another host may have another file of that name.
            false => self.host.is_none().then(|| module.path.clone()),
        }
    }
}

/// Processes of one program share what is read of it.
fn same_for_all(file: PathBuf) -> PathBuf {
    let named = std::fs::read_link(&file).unwrap_or_else(|_| file.clone());
    let same = |about: std::fs::Metadata| {
        use std::os::unix::fs::MetadataExt as _;
        (about.dev(), about.ino())
    };
    let is_same = |path: &Path| path.metadata().ok().map(same) == file.metadata().ok().map(same);
    if is_same(&named) { named } else { file }
}

impl Symbols {
    /// Returns the frames of an address, the innermost first: at least one.
    pub(super) fn frames(&mut self, address: u64, code: &Code<'_>) -> Vec<Frame> {
        let is_in = |module: &&Module| (module.addresses.0..module.addresses.1).contains(&address);
        let Some(module) = code.report.modules.iter().find(is_in) else { return vec![Frame::bare(address)] };
        let address = address.wrapping_sub(module.bias);
        let loader = code.file_of(module).and_then(|file| self.loader(file));
        let frames = loader.map(|loader| frames_of(loader, address)).unwrap_or_default();
        if frames.is_empty() { vec![Frame::bare(address)] } else { frames }
    }

    fn loader(&mut self, file: PathBuf) -> Option<&Loader> {
        let load = |file: &PathBuf| Loader::new(file).map_err(|error| error.to_string());
        self.0.entry(file).or_insert_with_key(load).as_ref().ok()
    }
}

fn frames_of(loader: &Loader, address: u64) -> Vec<Frame> {
    let mut found = Vec::new();
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
            let place = frame.location;
            found.push((name, place.map_or((None, None), |place| (place.file.map(str::to_owned), place.line))));
        }
    }
    // Debug information that is for lines only has no paths of functions. Of the one that is not inlined, the last one,
    // the table of symbols has it.
    if let Some(symbol) = loader.find_symbol(address) {
        let symbol = addr2line::demangle_auto(symbol.into(), None).into_owned();
        match found.last_mut() {
            Some((name, _)) if !name.as_ref().is_some_and(|name| is_path(name)) => *name = Some(symbol),
            Some(_) => {}
            None => found.push((Some(symbol), (None, None))),
        }
    }
    found.into_iter().map(|(name, (file, line))| Frame::new(address, name, file, line)).collect()
}

impl Frame {
    fn new(address: u64, name: Option<String>, file: Option<String>, line: Option<u32>) -> Self {
        let function = name.map(|name| without_noise(&name));
        let own = function.as_ref().is_some_and(|name| is_own(name, file.as_deref()));
        Self { address, function, file, line, own }
    }

    fn bare(address: u64) -> Self {
        Self { address, function: None, file: None, line: None, own: false }
    }
}

/// Returns a name without what was added to that of an `async fn`, or of an exposed function.
fn without_noise(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = ADDED.iter().find_map(|added| name.strip_suffix(added)) {
        name = rest;
    }
    name.to_owned()
}

/// Says whether a function is of the user's own code.
fn is_own(name: &str, file: Option<&str>) -> bool {
    let is_foreign = |file: &str| FOREIGN_FILES.iter().any(|part| file.contains(part));
    let start = name.trim_start_matches(['<', '&', '*', '(', '[']);
    let first = start.split("::").next().unwrap_or_default();
    match is_path(name) {
        true => !LIBRARIES.contains(&first) && !file.is_some_and(is_foreign),
        false => file.is_some_and(|file| file.ends_with(".rs") && !is_foreign(file)),
    }
}

/// Says whether a name tells the crate too.
fn is_path(name: &str) -> bool {
    name.starts_with('<') || name.split('<').next().is_some_and(|name| name.contains("::"))
}

/// What the compiler, and the macros for exposed functions, add to names.
const ADDED: &[&str] = &["::{{closure}}", "::{closure#0}", "::__pleach_body"];

/// The standard library, this one, and what runs tasks: all others are told by their files.
const LIBRARIES: &[&str] = &[
    "alloc",
    "core",
    "futures",
    "futures_core",
    "futures_util",
    "mio",
    "pleach",
    "pleach_wire",
    "std",
    "tokio",
    "tokio_util",
    "__rustc",
];

/// Parts of the paths of files that are not the user's.
const FOREIGN_FILES: &[&str] = &[
    "/rustc/",
    "/.cargo/registry/",
    "/.cargo/git/",
    "/rustlib/src/rust/",
    "/usr/src/",
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_code_is_told_from_that_of_libraries() {
        let registry = "/home/ada/.cargo/registry/src/index/serde-1.0.0/src/de.rs";
        for (name, file, own) in [
            ("app::work::step", Some("src/work.rs"), true),
            ("<app::Wait as core::future::future::Future>::poll", Some("src/main.rs"), true),
            ("app::step", None, true),
            ("tokio::sync::mpsc::chan::Rx<T,S>::recv", None, false),
            ("<pleach::scope::run::Run<F> as core::future::future::Future>::poll", Some("/src/scope/run.rs"), false),
            ("serde::de::visit", Some(registry), false),
            ("<F as core::ops::FnOnce>::call_once", Some("/rustc/abc/library/core/src/ops/function.rs"), false),
            ("epoll_wait", None, false),
            ("poll<app::Wait>", Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/scope/run.rs")), false),
            ("step<app::Wait>", Some("/home/ada/app/src/main.rs"), true),
            ("main", None, false),
        ] {
            assert_eq!(is_own(name, file), own, "{name}");
        }
        assert_eq!(without_noise("app::step::__pleach_body::{{closure}}::{{closure}}"), "app::step");
    }
}
