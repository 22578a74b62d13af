//! Actors on other hosts that stand still.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach_patience::patience;

use crate::namespaces::Hosts;
use crate::terminal::{PROMPT, Terminal};
use crate::test;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "hosts::actors_pause_one_below_the_other_over_three_hosts",
            actors_pause_one_below_the_other_over_three_hosts,
        ),
        test("hosts::those_that_crash_at_several_hosts_take_turns", those_that_crash_at_several_hosts_take_turns),
        test("hosts::whatever_ends_on_the_way_ends_the_prompt", whatever_ends_on_the_way_ends_the_prompt),
        test(
            "hosts::nothing_is_left_when_the_root_is_killed_at_the_prompt",
            nothing_is_left_when_the_root_is_killed_at_the_prompt,
        ),
    ]
}

/// An actor lives so long without its parent: shorter than it stands still here.
const PATIENCE: &str = "heartbeat = \"200ms\"\nlease = \"3s\"\n";

/// Runs a program on the first host, with actors on these.
fn run(hosts: &Hosts, program: &str, on: &[&str]) -> Terminal {
    let mut config = PATIENCE.to_owned();
    for host in on {
        config += &format!("[[hosts]]\nname = {host:?}\non = ");
        config += &match *host {
            "here" => "\"local\"\n".to_owned(),
            host => format!("\"ssh:{host}\"\nssh_config = {:?}\n", hosts.ssh_config()),
        };
    }
    let file = hosts.dir().join("pleach.toml");
    fs::write(&file, config).unwrap();
    let mut shell = hosts.run_at("host-1");
    // A session of its own: that of the script is in another namespace. And the script's shell drops that variable.
    shell.args(["env", &format!("PS1={PROMPT}"), "setsid", "--ctty", "--wait", "bash"]);
    let before = format!("PLEACH_CONFIG={} PLEACH_LISTEN=quic://0.0.0.0:0 PLEACH_LOG=warn", file.display());
    Terminal::run_in(shell, program, &before)
}

/// Waits until no actor is left at the other hosts.
fn none_left(hosts: &Hosts) {
    let until = Instant::now() + patience();
    for host in ["host-2", "host-3"] {
        loop {
            let found = hosts.at(host, &["pgrep", "-fa", "--", "--pleach-(actor|agent)"]);
            if found.stdout.is_empty() {
                break;
            }
            let left = String::from_utf8_lossy(&found.stdout).into_owned();
            assert!(Instant::now() < until, "left at {host}: {left}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// The process of the actor that the prompt has introduced.
fn pid_in(introduced: &str) -> &str {
    introduced.rsplit_once("(pid ").unwrap().1.split(' ').next().unwrap()
}

/// Longer than the lease, and what ends an actor without one.
fn outlive_the_lease() {
    thread::park_timeout(Duration::from_secs(5));
}

// SEC-30
fn actors_pause_one_below_the_other_over_three_hosts() {
    let Some(hosts) = Hosts::start(3) else { return };
    let mut terminal = run(&hosts, "hosts", &["host-2", "here", "host-3"]);
    let introduced = terminal.expect(" at host-3) pauses\n   at examples/debugging/src/hosts.rs:");
    assert!(introduced.contains("── root/host-2/here/host-3 (pid "), "{introduced}");
    let pid = pid_in(&introduced).to_owned();
    terminal.command("host-3", "bt");
    terminal.expect("#0   debugging::hosts::pause_along");
    terminal.command("host-3", "tree");
    let drawn = terminal.expect(" at host-3)  <- stands still here");
    assert!(drawn.contains("└─ host-2 (pid ") && drawn.contains("   └─ here (pid "), "{drawn}");
    terminal.command("host-3", "call return_it 7");
    terminal.expect("\n7\n");
    terminal.command("host-3", "gdb");
    terminal.expect(&format!("type `ssh host-3 -t gdb -p {pid}` in another terminal"));
    let gdb = ["ssh", "-F", &hosts.ssh_config(), "host-3", "gdb", "-batch", "-p", &pid, "-ex", "bt"];
    let shown = String::from_utf8_lossy(&hosts.at("host-1", &gdb).stdout).into_owned();
    assert!(shown.contains("debugging::hosts::pause_along"), "{shown}");
    outlive_the_lease();
    terminal.command("host-3", "c");
    // Each has an actor on another host below it, or above it, or both.
    for actor in ["here", "host-2", "root"] {
        terminal.expect(") pauses\n");
        outlive_the_lease();
        terminal.command(actor, "c");
    }
    terminal.expect("the secret is 42");
    let everything = terminal.end();
    assert!(!everything.contains("WARN"), "{everything}");
    none_left(&hosts);
}

fn those_that_crash_at_several_hosts_take_turns() {
    let Some(hosts) = Hosts::start(3) else { return };
    let mut terminal = run(&hosts, "hosts_crash", &["host-2", "here", "host-3"]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let before = terminal.expect(") panicked: order "); // others may say meanwhile that they wait
        let (_, shown) = before.rsplit_once("── root/").unwrap();
        let actor = shown.split(' ').next().unwrap();
        terminal.command(actor, "error");
        terminal.expect("\npanicked: order ");
        terminal.command(actor, "c");
        seen.push(actor.to_owned());
    }
    seen.sort_unstable();
    assert_eq!(seen, ["here", "host-2", "host-3"]);
    terminal.expect("3 have crashed");
    terminal.end();
    none_left(&hosts);
}

fn whatever_ends_on_the_way_ends_the_prompt() {
    let Some(hosts) = Hosts::start(3) else { return };
    for (at, what) in [("host-2", "--pleach-actor"), ("host-2", "--pleach-agent"), ("host-1", "ssh -F .* -N ")] {
        let mut terminal = run(&hosts, "hosts", &["host-2"]);
        terminal.expect(" at host-2) pauses");
        terminal.expect("(pleach) host-2> ");
        terminal.type_in("bt al"); // the end comes while the user types
        assert!(hosts.at(at, &["pkill", "-KILL", "-f", "--", what]).status.success(), "{what}");
        terminal.expect(" at host-2) is gone");
        terminal.expect("── root (pid ");
        terminal.continue_to_end(); // it may be shown once for its call, and once for the actor
        none_left(&hosts);
    }
}

fn nothing_is_left_when_the_root_is_killed_at_the_prompt() {
    let Some(hosts) = Hosts::start(3) else { return };
    let mut terminal = run(&hosts, "hosts", &["host-2", "host-3"]);
    terminal.expect("(pleach) host-3> ");
    let root = terminal.process(concat!(env!("CARGO_BIN_EXE_debugging"), " hosts"));
    crate::terminal::kill(root, rustix::process::Signal::KILL);
    none_left(&hosts);
    terminal.none_left();
}
