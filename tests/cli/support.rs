//! What the tests share: the tool, as a user at a terminal runs it.

use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::Trial;

use crate::tree::Setup;

/// The tool.
pub(crate) const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");

/// Makes a test that is named as its function, with the path of its module.
pub(crate) fn test_fn<B: FnOnce() + Send + 'static>(body: B) -> Trial {
    let path = std::any::type_name::<B>();
    let name = path.split_once("::").map_or(path, |(_this_crate, below)| below).to_owned();
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

/// Makes tests of one body, over a transport of processes and one of threads, on runtimes of one thread and of several.
pub(crate) fn matrix(name: &str, body: impl FnOnce(Setup) + Copy + Send + 'static) -> Vec<Trial> {
    let setups = ["mem", "uds"].into_iter().flat_map(|protocol| [(protocol, false), (protocol, true)]);
    let setups = setups.map(|(protocol, multi_thread)| Setup { protocol, multi_thread });
    let test = |setup: Setup| {
        let name = format!("{name}_over_{}{}", setup.protocol, if setup.multi_thread { "_on_threads" } else { "" });
        Trial::test(name, move || {
            body(setup);
            Ok(())
        })
    };
    setups.map(test).collect()
}

/// The command that runs `pleach` in a directory, which it takes for that of temporary files, too.
pub(crate) fn command(at: &Path, args: &str) -> Command {
    let mut command = Command::new(PLEACH);
    command.args(args.split_whitespace()).current_dir(at).env("TMPDIR", at);
    command
}

/// Runs it to its end.
pub(crate) fn output(at: &Path, args: &str) -> Output {
    command(at, args).output().unwrap()
}

/// As [`output`]; returns what it printed, or what it complained about.
pub(crate) fn pleach(at: &Path, args: &str) -> Result<String, String> {
    let output = output(at, args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.code() {
        Some(0) => Ok(text(output.stdout)),
        Some(1 | 2) => Err(text(output.stderr)),
        code => panic!("{args}: {code:?}"),
    }
}

/// As [`output`], with `--json`; returns whether it was a success, and what it printed.
pub(crate) fn json(at: &Path, args: &str) -> (bool, serde_json::Value) {
    let output = output(at, &format!("{args} --json"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{args}: {error}: {printed}{errors}"));
    (output.status.success(), value)
}

pub(crate) use pleach_patience::scaled;
