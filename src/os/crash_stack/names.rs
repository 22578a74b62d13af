//! The functions at places in the code, by the debug information of the files that this process has mapped, too.

use std::ffi::c_void;
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::CodePlace;
use crate::os::maps::{self, Mapping};
use crate::os::program::OURSELVES;
use crate::traces;

/// Names places, one line for each function, down to the one that runs a task or a thread; several functions are at one
/// place where one is inlined into another. A place in a file that is not mapped here stays a number. `is_ours` says
/// whether the other process has run this program.
///
/// # Cancel safety
/// If dropped, the names are found for nothing.
pub(crate) async fn of(places: Vec<CodePlace>, is_ours: bool) -> Vec<String> {
    if places.is_empty() {
        return Vec::new();
    }
    let (tell, told) = oneshot::channel();
    let places = Arc::new(places);
    let wanted = places.clone();
    traces::later(move || drop(tell.send(lines(&wanted, &file_parts(), is_ours))));
    match timeout(BOUND, told).await {
        Ok(Ok(lines)) => lines,
        _ => lines(&places, &[], is_ours),
    }
}

fn lines(places: &[CodePlace], parts: &[FilePart], is_ours: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for place in places {
        let before = lines.len();
        let here = parts.iter().filter(|part| part.is_of(place, is_ours)).find_map(|part| part.at(place.offset));
        if let Some(address) = here {
            backtrace::resolve(address as *mut c_void, |symbol| {
                let Some(name) = symbol.name() else { return };
                let mut line = format!("{name:#}");
                if let (Some(file), Some(number)) = (symbol.filename(), symbol.lineno()) {
                    line.push_str(&format!(" at {}:{number}", file.display()));
                }
                lines.push(line);
            });
        }
        if let Some(at) = lines.iter().position(|line| RUNS.iter().any(|runs| line.contains(runs))) {
            lines.truncate(at);
            break;
        }
        if lines.len() == before {
            let file = place.file.as_deref().unwrap_or("the program");
            lines.push(format!("{file}+{:#x}", place.offset));
        }
    }
    lines
}

/// A part of a file in this process's memory.
struct FilePart {
    addresses: Range<usize>,
    offset: usize,
    file: String,
    is_program: bool,
}

impl FilePart {
    fn is_of(&self, place: &CodePlace, is_ours: bool) -> bool {
        match &place.file {
            Some(file) => *file == self.file,
            None => is_ours && self.is_program,
        }
    }

    /// The address of a place in the file, if it is in this part.
    fn at(&self, offset: u64) -> Option<usize> {
        let within = usize::try_from(offset).ok()?.checked_sub(self.offset)?;
        Some(self.addresses.start + within).filter(|address| self.addresses.contains(address))
    }
}

/// The files in this process's memory.
fn file_parts() -> Vec<FilePart> {
    let program = fs::read_link(OURSELVES).unwrap_or_default();
    let maps = fs::read(maps::OWN).unwrap_or_default();
    let mappings = maps.split(|byte| *byte == b'\n').filter_map(Mapping::parse);
    let part = |mapping: Mapping<'_>| FilePart {
        offset: mapping.offset,
        file: String::from_utf8_lossy(mapping.name).replace(|c: char| c.is_ascii_whitespace(), "?"),
        is_program: mapping.path() == Some(&*program),
        addresses: mapping.addresses,
    };
    mappings.map(part).collect()
}

/// Functions that run a task, or a thread: who called them is of no interest.
const RUNS: [&str; 2] = ["pleach::crash::within_task", "__rust_begin_short_backtrace"];

/// How long the debug information of a large program may take to read; after that, there are numbers only.
const BOUND: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_in_this_program_has_a_name_and_a_foreign_one_stays_a_number() {
        let here = crate::frames::here()[0] as usize;
        let parts = file_parts();
        let own = parts.iter().find(|own| own.is_program && own.addresses.contains(&here)).unwrap();
        let place = |file: Option<&str>| {
            let file = file.map(str::to_owned);
            vec![CodePlace { file, offset: (here - own.addresses.start + own.offset) as u64 }]
        };
        let named = of(place(None), true).await.join("\n");
        assert!(named.contains("frames::") && named.contains("frames.rs:"), "{named}");
        assert_eq!(of(place(Some(&own.file)), false).await.join("\n"), named);
        for foreign in [of(place(None), false).await, of(place(Some("/no/such.so")), true).await] {
            assert!(foreign.len() == 1 && foreign[0].contains("+0x"), "{foreign:?}");
        }
    }
}
