//! The functions at places in the code, by the debug information of the files that this process has mapped, too.

use std::ffi::c_void;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::CodePlace;
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
    traces::later(move || drop(tell.send(lines(&wanted, &mappings(), is_ours))));
    match timeout(BOUND, told).await {
        Ok(Ok(lines)) => lines,
        _ => lines(&places, &[], is_ours),
    }
}

fn lines(places: &[CodePlace], mappings: &[Mapping], is_ours: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for place in places {
        let before = lines.len();
        let here = mappings.iter().filter(|mapping| mapping.is_of(place, is_ours)).find_map(|own| own.at(place.offset));
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
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    file: String,
    is_program: bool,
}

impl Mapping {
    fn is_of(&self, place: &CodePlace, is_ours: bool) -> bool {
        match &place.file {
            Some(file) => *file == self.file,
            None => is_ours && self.is_program,
        }
    }

    /// The address of a place in the file, if it is in this part.
    fn at(&self, offset: u64) -> Option<u64> {
        let within = offset.checked_sub(self.offset).filter(|within| *within < self.end - self.start)?;
        Some(self.start + within)
    }
}

/// The files in this process's memory: `proc_pid_maps(5)`.
fn mappings() -> Vec<Mapping> {
    let program = fs::read_link("/proc/self/exe").map(|path| path.display().to_string()).unwrap_or_default();
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapping = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let offset = words.nth(1)?;
        let file = words.nth(2)?.trim_start();
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let (start, end, offset) = (number(start)?, number(end)?, number(offset)?);
        (start < end).then(|| Mapping {
            start,
            end,
            offset,
            is_program: file == program,
            file: file.replace(|c: char| c.is_ascii_whitespace(), "?"),
        })
    };
    maps.lines().filter_map(mapping).collect()
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
        let here = crate::frames::here()[0];
        let mappings = mappings();
        let own = mappings.iter().find(|own| own.is_program && (own.start..own.end).contains(&here)).unwrap();
        let place = |file: Option<&str>| {
            let file = file.map(str::to_owned);
            vec![CodePlace { file, offset: here - own.start + own.offset }]
        };
        let named = of(place(None), true).await.join("\n");
        assert!(named.contains("frames::") && named.contains("frames.rs:"), "{named}");
        assert_eq!(of(place(Some(&own.file)), false).await.join("\n"), named);
        for foreign in [of(place(None), false).await, of(place(Some("/no/such.so")), true).await] {
            assert!(foreign.len() == 1 && foreign[0].contains("+0x"), "{foreign:?}");
        }
    }
}
