//! `pleach ps`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{command, json, pleach, test_fn};
use crate::tree::{Setup, rest, while_it_runs};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(running_actors_are_shown_as_trees), test_fn(functions_are_shown_where_they_run_and_are_waited_for)]
}

fn running_actors_are_shown_as_trees() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    let address = format!("uds://{}/names.sock", at.display());
    let args = format!("registry --listen {address} --key-file tree.key");
    let mut registrar = command(at, &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(registrar.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let id = registrar.id().to_string();
    let (shown, told) = (pleach(at, &format!("ps --tree {id}")), json(at, &format!("ps --tree {id}")));
    let none = pleach(at, "ps --tree no-such-root");
    let pid = rustix::process::Pid::from_child(&registrar);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(registrar.wait().unwrap().success());
    let shown = shown.unwrap();
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..2], ["ACTOR", "PID"], "{shown}");
    assert_eq!((lines.len(), &lines[1][..2]), (2, &["registry", &*id][..]), "{shown}");
    let process = &told.1["processes"][0];
    assert_eq!(process["pid"].to_string(), id);
    assert_eq!(process["actors"][0]["listening"][0]["address"], address);
    assert!(process["memory"].as_u64().unwrap() > 1 << 20, "{process}");
    assert!(none.unwrap_err().contains(&format!("registry (process {id})")));
}

fn functions_are_shown_where_they_run_and_are_waited_for() {
    let directory = TempDir::new().unwrap();
    let (at, root) = (directory.path().to_owned(), std::process::id());
    while_it_runs(Setup::default(), "shown", rest(), move || {
        loop {
            let shown = pleach(&at, &format!("ps --tree {root}")).unwrap();
            let lines: Vec<_> = shown.lines().map(|line| line.trim_matches(['│', ' '])).collect();
            let has = |words: &str| lines.iter().any(|line| line.starts_with(words));
            if has("waits for cli::tree::rest in shown (") && has("runs cli::tree::rest for root (") {
                return;
            }
        }
    });
}
