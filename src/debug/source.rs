//! The lines of a source file around a place.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::inspect::stops::Place;

/// Shows the lines around a place, with an arrow at it; or says why not.
pub(super) fn around(place: &Place) -> String {
    let Some(text) = find(&place.file).and_then(|file| fs::read_to_string(file).ok()) else {
        return format!("the file {} is not here: start the program in the directory where it was built", place.file);
    };
    let mut shown = format!("{}\n", short(&place.file));
    let first = place.line.saturating_sub(AROUND).max(1);
    for (number, line) in (1..).zip(text.lines()).skip(first as usize - 1).take(2 * AROUND as usize + 1) {
        let arrow = if number == place.line { "->" } else { "  " };
        let _ = writeln!(shown, "{number:>5} {arrow} {line}");
    }
    shown.trim_end().into()
}

/// Returns the line of a place, if its file is here.
pub(super) fn line(place: &Place) -> Option<String> {
    let text = fs::read_to_string(find(&place.file)?).ok()?;
    Some(text.lines().nth(place.line as usize - 1)?.trim_end().into())
}

/// A path as short as it can be said here.
pub(super) fn short(file: &str) -> &str {
    let here = env::current_dir().unwrap_or_default();
    Path::new(file).strip_prefix(here).ok().and_then(Path::to_str).unwrap_or(file)
}

/// Finds a file that the compiler was told relative to where the program was built.
fn find(file: &str) -> Option<PathBuf> {
    let near = [env::current_dir().ok(), env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from), env::current_exe().ok()];
    let places = near.iter().flatten().flat_map(|place| place.ancestors().take(MAX_UP));
    places.map(|place| place.join(file)).find(|file| file.is_file())
}

/// How many lines are shown above and below.
const AROUND: u32 = 5;

/// How far above the program, and the current directory, its sources may be.
const MAX_UP: usize = 6;
