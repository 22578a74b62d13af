//! `gdb` and `lldb` at the prompt.

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::terminal::{Terminal, kill};
use crate::test;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("gdb_shows_the_frame_and_its_variables", gdb_shows_the_frame_and_its_variables),
        test("gdb_shows_a_pause", gdb_shows_a_pause),
        test("lldb_shows_the_frame_and_its_variables", lldb_shows_the_frame_and_its_variables),
        test("gdb_shows_the_root", gdb_shows_the_root),
        test("an_interrupt_in_gdb_is_its_own", an_interrupt_in_gdb_is_its_own),
        test("gdb_ends_with_a_root_that_is_killed", gdb_ends_with_a_root_that_is_killed),
        test("one_that_is_traced_already_is_said", one_that_is_traced_already_is_said),
        test("one_that_may_not_be_traced_is_said", one_that_may_not_be_traced_is_said),
        test("a_debugger_that_is_missing_is_said", a_debugger_that_is_missing_is_said),
    ]
}

fn gdb_shows_the_frame_and_its_variables() {
    let mut terminal = Terminal::run("panic");
    terminal.command("worker", "gdb");
    terminal.gdb("info locals");
    terminal.expect("wanted = 14");
    terminal.expect("limit = 3");
    terminal.gdb("bt 30");
    terminal.expect("debugging::worker::price_of");
    terminal.gdb("up");
    terminal.gdb("info locals");
    terminal.expect("id: 7");
    terminal.gdb("quit");
    terminal.command("worker", "c");
    terminal.command("root", "c");
    terminal.end();
}

/// The process that waits for `gdb` is the one that `gdb` stops.
fn gdb_shows_the_root() {
    let mut terminal = Terminal::run("root_pause");
    terminal.command("root", "gdb");
    terminal.expect("debugging::root::pauses");
    terminal.gdb("quit");
    terminal.command("root", "c");
    terminal.expect("the root went on");
    terminal.end();
}

fn lldb_shows_the_frame_and_its_variables() {
    let mut terminal = Terminal::run("panic");
    terminal.command("worker", "lldb");
    terminal.expect("frame info");
    terminal.expect("debugging::worker::total");
    terminal.type_in("frame variable\n");
    terminal.expect("wanted = 14");
    terminal.type_in("quit\n");
    terminal.command("worker", "c");
    terminal.command("root", "c");
    terminal.end();
}

fn gdb_shows_a_pause() {
    let mut terminal = Terminal::run("child_pause");
    terminal.command("worker", "gdb");
    terminal.gdb("info locals");
    terminal.expect("secret = 42");
    terminal.gdb("quit");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn one_that_may_not_be_traced_is_said() {
    // Root may trace anything, as long as it has that capability.
    let without = "setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace";
    let is_root = rustix::process::geteuid().is_root();
    let mut terminal = Terminal::run_with("guarded", if is_root { without } else { "" });
    terminal.command("worker", "gdb");
    terminal.expect("a debugger may not attach to process");
    terminal.expect("Operation not permitted");
    terminal.expect(if is_root { "`--cap-add=SYS_PTRACE`" } else { "`PR_SET_DUMPABLE` is off" });
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn an_interrupt_in_gdb_is_its_own() {
    let mut terminal = Terminal::run("child_pause");
    terminal.command("worker", "gdb");
    terminal.expect("(gdb) ");
    terminal.type_in("\u{3}");
    terminal.expect("Quit");
    terminal.gdb("quit");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn gdb_ends_with_a_root_that_is_killed() {
    let mut terminal = Terminal::run("child_pause");
    terminal.command("worker", "gdb");
    terminal.expect("(gdb) ");
    kill(terminal.process(env!("CARGO_BIN_EXE_debugging")), Signal::KILL);
    terminal.expect("Killed");
    terminal.end();
}

fn one_that_is_traced_already_is_said() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    let worker = terminal.process("worker [pleach]");
    let mut other = std::process::Command::new("gdb");
    other.args(["-q", "-nx", "-batch", "-p", &worker.to_string(), "-ex", "shell echo attached", "-ex", "shell cat"]);
    let mut other = other
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(other.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "attached"));
    terminal.type_in("gdb\n");
    terminal.expect("is traced already, by process");
    drop(other.stdin.take()); // the shell in it has nothing more to read
    other.wait().unwrap();
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn a_debugger_that_is_missing_is_said() {
    let mut terminal = Terminal::run_with("child_pause", "PATH=/nowhere");
    terminal.command("worker", "gdb");
    terminal.expect("gdb is not installed here");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}
