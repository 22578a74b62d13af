//! `pleach top`, at a terminal and for scripts.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PLEACH, command, json, pleach, test_fn};
use crate::terminal::Terminal;
use crate::twenty::{ACTORS, Tree};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(a_script_gets_what_the_system_has),
        test_fn(twenty_actors_are_shown_and_one_that_ends_goes),
        test_fn(order_filter_and_actor_are_chosen_by_keys),
        test_fn(it_fits_any_size),
        test_fn(every_way_out_gives_the_terminal_back),
        test_fn(a_shell_stops_it_and_goes_on),
        test_fn(without_a_terminal_it_says_what_to_do),
    ]
}

/// `pleach top` over a tree, at a terminal.
fn top(tree: &Tree, args: &str, rows: u16, columns: u16) -> Terminal {
    let args = format!("top --tree {} --interval 0.2 {args}", tree.root());
    Terminal::start(&command(tree.at.path(), &args), rows, columns)
}

fn a_script_gets_what_the_system_has() {
    let tree = Tree::start();
    let at = tree.at.path();
    let (succeeded, told) = json(at, &format!("top --interval 0.5 --tree {}", tree.root()));
    assert!(succeeded && told["seconds"].as_f64().unwrap() >= 0.5, "{told}");
    let actors = told["actors"].as_array().unwrap();
    assert_eq!(actors.len(), ACTORS);
    for actor in actors {
        let (name, pid) = (actor["name"].as_str().unwrap(), actor["pid"].as_u64().unwrap() as u32);
        assert_eq!(tree.actors[name], pid);
        let (memory, there) = (actor["memory"].as_f64().unwrap(), resident_memory(pid) as f64);
        assert!(memory > there / 2.0 && memory < there * 2.0, "{name}: {memory}, {there}");
        assert!(actor["cpu_percent"].as_f64().unwrap() < 400.0, "{actor}");
        let transport = name.split('-').next().unwrap();
        let over = if transport == "twenty" { Value::Null } else { transport.into() };
        assert_eq!(actor["transport"], over, "{actor}");
        assert!(!actor["connections"].as_array().unwrap().is_empty(), "{actor}");
    }
    // One number each five milliseconds, at most; and there are none elsewhere.
    let find = |name: &str| actors.iter().find(|actor| actor["name"] == name).unwrap();
    let rate = |name: &str, way: &str| find(name)["rate"][way]["messages"].as_f64().unwrap();
    assert!((1.0..220.0).contains(&rate("tcp-0", "sent")), "{}", find("tcp-0"));
    assert!(rate("twenty", "received") >= 1.0 && rate("uds-1", "sent") < 1.0);
    assert_eq!((find("quic-0")["contexts"].as_u64(), find("quic-0")["tasks"].as_u64()), (Some(1), Some(1)));

    let printed = pleach(at, &format!("top --once --sort name --filter QUIC --interval 0.05 --tree {}", tree.root()));
    let printed = printed.unwrap();
    let first = printed.lines().map(|line| line.split_whitespace().next().unwrap());
    let lines: Vec<_> = first.filter(|first| *first != "process").collect(); // others' may be silent
    assert_eq!(lines, ["ACTOR", "quic-0", "quic-1", "quic-2", "quic-3", "quic-4"], "{printed}");
}

fn twenty_actors_are_shown_and_one_that_ends_goes() {
    let mut tree = Tree::start();
    let mut top = top(&tree, "", 30, 80);
    let pids = tree.actors.values().map(u32::to_string).collect::<Vec<_>>();
    top.until("all actors", |screen| pids.iter().all(|pid| screen.contents().contains(pid)));
    top.until_shown(&format!("{ACTORS} actors in {} processes", ACTORS - 5));
    // Each is below its parent.
    let lines = top.lines();
    let place = |name: &str| lines.iter().position(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(lines[place("tcp-3")].starts_with("    tcp-3"), "{lines:#?}");
    assert!((place("tcp-0")..place("quic-0")).contains(&place("tcp-4")), "{lines:#?}");

    tree.tell("end uds");
    top.until_shown(&format!("{} actors in", ACTORS - 5));
    let gone = tree.actors["uds-2"].to_string();
    top.until("the end of what has ended", |screen| !screen.contents().contains(&gone));
    top.press("q");
    assert!(top.ended().success());
}

fn order_filter_and_actor_are_chosen_by_keys() {
    let mut tree = Tree::start();
    tree.tell("fail");
    let mut top = top(&tree, "--filter quic", 30, 160);
    top.until_shown("5 actors");
    top.press("/");
    top.until_shown("/quic_");
    top.press("\x7f\x7f\x7f\x7fUDS-3\r");
    top.until_shown("1 actors in 1 processes");
    top.press("\x1b");
    top.until_shown(&format!("{ACTORS} actors"));
    // By name, the other way round, the root is not the last.
    top.press(">");
    top.until_shown("by name");
    top.press("r");
    top.until("the last name first", |screen| {
        let names: Vec<_> =
            screen.contents().lines().skip(3).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        names.starts_with(&["uds-4".into(), "uds-3".into()]) && names.contains(&"twenty".into())
    });
    // The chosen one keeps its mark wherever it goes, and has its connections below.
    top.press("t");
    top.until_shown("by tree");
    top.press("\x1b[B\r");
    top.until_shown("child of twenty");
    top.until_shown("CONNECTION");
    top.until_shown("the ink is out");
    top.until_shown("runs context cli::twenty::branch for twenty");
    top.press("?");
    top.until_shown("the other way round");
    top.press("x");
    top.until("no help", |screen| !screen.contents().contains("the other way round"));
    top.press(" ");
    top.until_shown("paused");
    top.press("\x1b");
    top.until("no connections", |screen| !screen.contents().contains("CONNECTION"));
    top.press("\x1b");
    assert!(top.ended().success());
}

fn it_fits_any_size() {
    let tree = Tree::start();
    let mut top = top(&tree, "", 24, 80);
    top.until("what fits, in 80 columns", |screen| {
        let text = screen.contents();
        ["ACTOR", "PID", "CPU%", "MEM", "TASKS", "CTXS", "MSG/S", "B/S", "QUEUE", "CREDIT", "RTT"]
            .iter()
            .all(|head| text.contains(head))
    });
    // The last of them is reached where there is room for few.
    top.resize(9, 60);
    top.press("\x1b[F");
    top.until("the end of the list", |screen| screen.contents().contains("mem-4"));
    top.press("\r");
    for (rows, columns) in [(10, 40), (6, 20), (3, 10), (2, 3), (1, 1), (50, 200)] {
        top.resize(rows, columns);
    }
    top.until_shown("STATE");
    top.until_shown("child of mem-0");
    top.press("q");
    assert!(top.ended().success());
}

fn every_way_out_gives_the_terminal_back() {
    let directory = TempDir::new().unwrap();
    let start = || {
        // The modes are those of a fresh terminal.
        let modes = Terminal::start(Command::new("true").current_dir(directory.path()), 24, 80).modes();
        let top = Terminal::start(&command(directory.path(), "top"), 24, 80);
        top.until_shown("quit");
        assert_ne!(format!("{:?}", top.modes()), format!("{modes:?}"));
        (top, modes)
    };
    for (keys, signal, status) in [
        ("q", None, 0),
        ("\x03", None, 0),
        ("", Some(Signal::TERM), 128 + 15),
        ("", Some(Signal::INT), 128 + 2),
        ("", Some(Signal::HUP), 128 + 1),
        ("", Some(Signal::QUIT), 128 + 3),
    ] {
        let (mut top, modes) = start();
        top.press(keys);
        signal.into_iter().for_each(|signal| top.signal(signal));
        assert_eq!(top.ended().code(), Some(status), "{keys:?}, {signal:?}");
        top.assert_restored(&modes);
    }
}

fn a_shell_stops_it_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting", "-i"]).current_dir(directory.path()).env("PS1", "ready> ");
    let mut shell = Terminal::start(&shell, 24, 80);
    shell.until_shown("ready> ");
    let modes = shell.modes();
    shell.press(&format!("{PLEACH} top\n"));
    for by_key in [true, false] {
        shell.until("the table", |screen| screen.alternate_screen() && screen.contents().contains("quit"));
        match by_key {
            true => shell.press("\x1a"),
            false => {
                let top = fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.pid().as_raw_nonzero()));
                let top: i32 = top.unwrap().trim().parse().unwrap();
                rustix::process::kill_process(rustix::process::Pid::from_raw(top).unwrap(), Signal::TSTP).unwrap();
            }
        }
        shell.until("the shell", |screen| !screen.alternate_screen() && screen.contents().contains("Stopped"));
        shell.assert_restored(&modes);
        shell.press("clear; fg\n");
    }
    shell.until("the table", |screen| screen.alternate_screen() && screen.contents().contains("quit"));
    shell.press("q");
    shell.until("the shell", |screen| !screen.alternate_screen());
    shell.press("echo status $?\n");
    shell.until_shown("status 0");
    shell.assert_restored(&modes);
    shell.press("exit\n");
    assert!(shell.ended().success());
}

fn without_a_terminal_it_says_what_to_do() {
    let directory = TempDir::new().unwrap();
    assert!(pleach(directory.path(), "top").unwrap_err().contains("use --once or --json"));
    assert!(pleach(directory.path(), "top --interval 0").unwrap_err().contains("from 0.05 to 3600"));
    let none = pleach(directory.path(), "top --once --interval 0.05 --tree no-such-root").unwrap_err();
    assert!(none.contains("no-such-root") || none.contains("no tree of this user runs here"), "{none}");
}

/// In bytes.
fn resident_memory(pid: u32) -> u64 {
    let sizes = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    sizes.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
