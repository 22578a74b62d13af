//! The stack of a thread that stands still. It is captured as addresses; names are found when they are asked for.

use std::cell::OnceCell;
use std::fmt::Write as _;

use super::source;
use crate::inspect::stops::Place;

/// A stack, the innermost frame first.
pub(super) struct Frames {
    captured: Vec<backtrace::Frame>,
    named: OnceCell<Vec<Frame>>,
}

/// A function on the stack; several may share an address, inlined into each other.
pub(super) struct Frame {
    pub(super) function: String,
    pub(super) place: Option<Place>,
}

impl Frames {
    /// Captures the stack of this thread.
    pub(super) fn capture() -> Self {
        let mut captured = Vec::new();
        backtrace::trace(|frame| {
            captured.push(frame.clone());
            captured.len() < MAX_FRAMES
        });
        Self { captured, named: OnceCell::new() }
    }

    /// Returns the innermost frame of the user's code.
    pub(super) fn own(&self) -> Option<&Frame> {
        self.of_user().next()
    }

    /// Shows the user's frames, or all.
    pub(super) fn shown(&self, all: bool) -> String {
        let frames: Vec<_> = if all { self.named().iter().collect() } else { self.of_user().collect() };
        let mut text = String::new();
        for (number, Frame { function, place }) in frames.iter().enumerate() {
            let _ = write!(text, "#{number:<3} {function}");
            if let Some(place) = place {
                let _ = write!(text, "\n      at {}:{}", source::short(&place.file), place.line);
            }
            text.push('\n');
        }
        match frames.is_empty() {
            true => "no frame of yours has a name: build with debug information (`debug = 2`)".into(),
            false => text.trim_end().into(),
        }
    }

    /// The frames of the user's own crates.
    fn of_user(&self) -> impl Iterator<Item = &Frame> {
        self.named().iter().filter(|frame| !frame.is_foreign())
    }

    fn named(&self) -> &[Frame] {
        self.named.get_or_init(|| {
            let mut named = Vec::new();
            for frame in &self.captured {
                backtrace::resolve_frame(frame, |symbol| {
                    let Some(name) = symbol.name() else { return };
                    let place = symbol.filename().zip(symbol.lineno()).map(|(file, line)| Place {
                        file: file.display().to_string(),
                        line,
                        column: symbol.colno().unwrap_or_default(),
                    });
                    named.push(Frame { function: plain(&format!("{name:#}")), place });
                });
            }
            named
        })
    }
}

/// The name of a function without what the compiler adds for async code.
fn plain(name: &str) -> String {
    name.replace("::{{closure}}", "").replace("::{closure#0}", "")
}

impl Frame {
    /// Whether the function belongs to a library or to the system, and not to the user's crates.
    fn is_foreign(&self) -> bool {
        // One that was inlined has a name without its crate.
        match &self.place {
            Some(place) => is_of_library(&place.file),
            None => is_foreign(&self.function),
        }
    }
}

/// Whether a file belongs to a library: the standard one, this one, or one that Cargo has fetched.
fn is_of_library(file: &str) -> bool {
    LIBRARY_FILES.iter().any(|part| file.contains(part))
}

/// Whether a function of this name is none of the user's crates'.
fn is_foreign(function: &str) -> bool {
    let name = function.trim_start_matches(['<', '&', '(', '*']).trim_start_matches("dyn ");
    let crate_name = name.split_once("::").map_or(name, |(first, _)| first);
    // Without a path it is a C function, or the program's entry.
    !name.contains("::") || FOREIGN.contains(&crate_name.trim_start_matches("mut "))
}

/// What the paths of their files contain.
pub(super) const LIBRARY_FILES: [&str; 5] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/src/"), "/rustc/", "/registry/src/", "/git/checkouts/", "/rustlib/"];

/// Crates whose frames tell a user nothing about his own code.
const FOREIGN: &[&str] = &[
    "alloc",
    "anyhow",
    "backtrace",
    "core",
    "futures",
    "futures_core",
    "futures_util",
    "pleach",
    "std",
    "test",
    "tokio",
    "tokio_util",
    "tracing",
];

/// Frames beyond this many are not captured: a recursion without end has more.
const MAX_FRAMES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_libraries_are_foreign() {
        for foreign in [
            "<pleach::scope::run::Run<F> as core::future::Future>::poll",
            "core::panicking::panic_fmt",
            "main",
            "__libc_start_main",
            "<&mut tokio::task::Task as core::fmt::Debug>::fmt",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
        for own in ["orders::inner", "<orders::Order as core::fmt::Debug>::fmt"] {
            assert!(!is_foreign(own), "{own}");
        }
    }
}
