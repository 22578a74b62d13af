//! Two tools that count what a process does: valgrind its instructions, strace its system calls.
//!
//! Each runs the same work with two counts, and what the second run does more is divided by how many more there were:
//! booting, connecting, warming up and ending cancel out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::work::Work;

/// Returns the instructions that one call or item takes on both sides together.
pub(crate) fn instructions(work: Work, counts: (u64, u64)) -> f64 {
    let (fewer, more) = (instructions_in_all(work, counts.0), instructions_in_all(work, counts.1));
    (more - fewer) / (counts.1 - counts.0) as f64
}

/// The profile of the last, longer run stays in `target`, for `callgrind_annotate`.
fn instructions_in_all(work: Work, count: u64) -> f64 {
    let profile = output(&format!("callgrind.{}", work.name()));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", profile.display()));
    work_under(command, work, "mem", count);
    let text = fs::read_to_string(&profile).expect("callgrind has written its profile");
    let totals = text.lines().rev().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind writes a total");
    totals.trim().parse().expect("a number of instructions")
}

/// Returns how often each system call is made for one call or item, by both processes together; those in vain, which
/// would have had to wait, once more as `in vain`.
pub(crate) fn system_calls(work: Work, counts: (u64, u64)) -> BTreeMap<String, f64> {
    let (fewer, mut more) = (system_calls_in_all(work, counts.0), system_calls_in_all(work, counts.1));
    for (name, calls) in &mut more {
        *calls = (*calls - fewer.get(name).unwrap_or(&0.0)) / (counts.1 - counts.0) as f64;
    }
    more
}

fn system_calls_in_all(work: Work, count: u64) -> BTreeMap<String, f64> {
    let table = output(&format!("strace.{}", work.name()));
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,errors,name", "-o"]).arg(&table);
    work_under(command, work, "uds", count);
    let text = fs::read_to_string(&table).expect("strace has written its table");
    let mut calls = BTreeMap::<String, f64>::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (number, errors, name) = match *words {
            [number, name] => (number, "0", name),
            [number, errors, name] => (number, errors, name),
            _ => continue,
        };
        let (Ok(number), Ok(errors)) = (number.parse::<f64>(), errors.parse::<f64>()) else { continue };
        if name != "total" {
            *calls.entry(name.to_owned()).or_default() += number;
            *calls.entry(IN_VAIN.to_owned()).or_default() += errors;
        }
    }
    calls
}

/// The errors of all system calls.
pub(crate) const IN_VAIN: &str = "in vain";

fn work_under(mut tool: Command, work: Work, over: &str, count: u64) {
    let program = std::env::current_exe().expect("this program has a path");
    tool.arg(program).args(["work", work.name(), over, &count.to_string()]);
    let mut run = || match tool.status() {
        Ok(status) => status,
        Err(error) => panic!("cannot run {:?}, install it: {error}", tool.get_program()),
    };
    let ended = (0..ATTEMPTS).map(|_| run()).find(|status| status.success());
    assert!(ended.is_some(), "{tool:?} failed {ATTEMPTS} times");
}

/// Callgrind fails about once in a hundred runs on a busy machine, by an assertion of its own: it takes a signal of one
/// thread for that of another (`vgCallgrind_post_signal`, valgrind 3.19).
const ATTEMPTS: usize = 3;

/// A file of a tool, in the target directory.
fn output(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("costs");
    fs::create_dir_all(&directory).expect("the target directory can be written to");
    directory.join(name)
}
