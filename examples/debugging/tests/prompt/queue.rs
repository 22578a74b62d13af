//! Several actors that stand still, and those above them.

use libtest_mimic::Trial;
use pleach_patience::scaled;
use rustix::process::Signal;
use std::time::Duration;

use crate::terminal::{SHOWN, Terminal, kill};
use crate::test;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("many_that_crash_at_once_are_all_shown", many_that_crash_at_once_are_all_shown),
        test("two_that_crash_at_once_take_turns", two_that_crash_at_once_take_turns),
        test(
            "several_children_stop_in_the_order_in_which_they_came",
            several_children_stop_in_the_order_in_which_they_came,
        ),
        test("daemons_stop_when_they_are_called", daemons_stop_when_they_are_called),
        test("the_root_waits_for_its_children_before_it_is_shown", the_root_waits_for_its_children_before_it_is_shown),
        test(
            "nothing_above_a_leaf_that_stands_still_loses_patience",
            nothing_above_a_leaf_that_stands_still_loses_patience,
        ),
        test("a_lease_does_not_expire_at_the_prompt", a_lease_does_not_expire_at_the_prompt),
        test(
            "a_lease_does_not_expire_at_the_prompt_of_the_parent",
            a_lease_does_not_expire_at_the_prompt_of_the_parent,
        ),
        test("a_timeout_of_the_root_kills_nothing_at_the_prompt", a_timeout_of_the_root_kills_nothing_at_the_prompt),
        test("a_cancelled_tree_waits_for_the_prompt", a_cancelled_tree_waits_for_the_prompt),
        test("the_prompt_of_one_that_is_killed_makes_room", the_prompt_of_one_that_is_killed_makes_room),
        test("one_that_is_killed_in_the_queue_is_left_out", one_that_is_killed_in_the_queue_is_left_out),
    ]
}

/// The two prompts of `two` come in any order.
fn first_of_two(terminal: &mut Terminal) -> (&'static str, &'static str) {
    let before = terminal.expect("(pleach) ");
    // It is counted at the first prompt, or announced later.
    if !before.contains("another one is waiting") {
        terminal.expect("waits for its turn");
    }
    match before.contains("root/alice (pid") {
        true => ("alice", "bob"),
        false => ("bob", "alice"),
    }
}

// S71
fn two_that_crash_at_once_take_turns() {
    let mut terminal = Terminal::run("two");
    let (_, second) = first_of_two(&mut terminal);
    terminal.type_in("c\n");
    terminal.command(second, "c");
    terminal.command("root", "c");
    terminal.end();
}

// S117
fn several_children_stop_in_the_order_in_which_they_came() {
    // Each of the three, in any order; one of them pauses twice, one is shown at two levels, and then the root.
    the_root_is_shown_last(&Terminal::run("several").continue_to_end());
}

fn many_that_crash_at_once_are_all_shown() {
    let mut terminal = Terminal::run_with("many", "PLEACH_LOG=warn");
    let shown = terminal.expect("(pleach) ");
    // All of them have stopped before the first goes on: the header counts some, and each later one is announced.
    let others =
        shown.split_once(" others are waiting").and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
    let counted = others.unwrap_or(usize::from(shown.contains("another one is waiting")));
    for _ in counted..23 {
        terminal.expect("waits for its turn");
    }
    for _ in 0..24 {
        terminal.type_in("c\n");
        terminal.expect("── root"); // the next one, and in the end the root itself
    }
    terminal.command("root", "c");
    let shown = terminal.end();
    assert!(!shown.contains("not shown in a debugger"), "{shown}");
    let headers = (1..=24).filter(|number| shown.contains(&format!("── root/worker-{number} (pid"))).count();
    assert_eq!(headers, 24, "{shown}");
}

fn daemons_stop_when_they_are_called() {
    let mut terminal = Terminal::run("daemons");
    terminal.command("first", "c");
    terminal.expect("the secret is 42");
    terminal.command("second", "c");
    terminal.command("root", "c");
    terminal.end();
}

fn the_root_waits_for_its_children_before_it_is_shown() {
    the_root_is_shown_last(&Terminal::run("root_fails_too").continue_to_end());
}

fn the_root_is_shown_last(everything: &str) {
    let last = everything.rsplit(SHOWN).nth(1).and_then(|before| before.rsplit("── ").next());
    assert!(last.is_some_and(|last| last.starts_with("root (pid ") && last.contains(" failed: ")), "{everything}");
}

/// Settings with a patience so short that it would end many times over; yet those that do go on need not hurry.
fn hasty(patience: Duration) -> String {
    let settings = ["CANCEL_ACK", "SOFT_REAP", "KILL_AFTER", "GIVE_UP_AFTER", "PEERS", "TASK_CANCEL"];
    let each = |setting| format!("PLEACH_{setting}={}ms ", patience.as_millis());
    settings.map(each).concat() + "PLEACH_LOG=warn"
}

/// Settings with so short a lease, and a heartbeat for it.
fn leased(lease: Duration) -> String {
    format!("PLEACH_LEASE={}ms PLEACH_HEARTBEAT={}ms PLEACH_LOG=warn", lease.as_millis(), lease.as_millis() / 6)
}

fn short() -> Duration {
    scaled(Duration::from_millis(300))
}

// S69, S113
fn nothing_above_a_leaf_that_stands_still_loses_patience() {
    let patience = short();
    let mut terminal = Terminal::run_with("deep", &hasty(patience));
    terminal.expect("root/top/level-2/level-1 (pid ");
    let names = ["top [pleach]", "level-2 [pleach]", "level-1 [pleach]"];
    let before = names.map(|name| terminal.process(name));
    // The whole tree is to end: each level asks the one below it.
    kill(terminal.process(env!("CARGO_BIN_EXE_debugging")), Signal::TERM);
    std::thread::park_timeout(patience * 10); // many times what each of them allows
    assert_eq!(names.map(|name| terminal.process(name)), before);
    terminal.command("level-1", "where");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("level-1", "c");
    let shown = terminal.end();
    for word in ["escalated", "in time", "did not", "too slow", "counts as dead"] {
        assert!(!shown.contains(word), "{word}:\n{shown}");
    }
}

fn a_lease_does_not_expire_at_the_prompt() {
    let lease = short() * 2;
    let mut terminal = Terminal::run_with("leased", &leased(lease));
    terminal.expect("root/leased (pid ");
    let leased = terminal.process("leased [pleach]");
    let root = terminal.process(concat!(env!("CARGO_BIN_EXE_debugging"), " leased"));
    let (long, used) = (lease * 5, processor_time(root));
    std::thread::park_timeout(long); // and what ends an actor without a lease
    let used = processor_time(root) - used;
    assert!(used < long / 10, "the root has worked for {used:?} of {long:?}, in which there was nothing to do");
    assert_eq!(terminal.process("leased [pleach]"), leased);
    terminal.command("leased", "c");
    terminal.expect("the secret is 42");
    let shown = terminal.end();
    assert!(!shown.contains("counts as dead") && !shown.contains("expired"), "{shown}");
}

fn a_lease_does_not_expire_at_the_prompt_of_the_parent() {
    let lease = short() * 2;
    let mut terminal = Terminal::run_with("root_leased", &leased(lease));
    terminal.expect("root (pid ");
    let leased = terminal.process("leased [pleach]");
    std::thread::park_timeout(lease * 5);
    assert_eq!(terminal.process("leased [pleach]"), leased);
    terminal.command("root", "c");
    terminal.command("leased", "c"); // its error
    terminal.expect("it is there, and failed: true");
    let shown = terminal.end();
    assert!(!shown.contains("counts as dead") && !shown.contains("expired"), "{shown}");
}

/// The processor time that a process has used.
fn processor_time(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks) // a hundred ticks are a second
}

fn a_timeout_of_the_root_kills_nothing_at_the_prompt() {
    let patience = short();
    let mut terminal = Terminal::run_with("root_timeout", &hasty(patience));
    terminal.expect("root/worker (pid ");
    let worker = terminal.process("worker [pleach]");
    std::thread::park_timeout(Duration::from_secs(1) + patience * 4); // its deadline is after one second
    assert_eq!(terminal.process("worker [pleach]"), worker);
    terminal.command("worker", "c");
    terminal.expect("the root got: true");
    assert!(!terminal.end().contains("escalated"));
}

// S67, S68
fn a_cancelled_tree_waits_for_the_prompt() {
    let patience = short();
    let mut terminal = Terminal::run_with("root_cancelled", &hasty(patience));
    terminal.expect("root/worker (pid ");
    let worker = terminal.process("worker [pleach]");
    std::thread::park_timeout(Duration::from_millis(300) + patience * 3); // it is cancelled after 300 ms
    assert_eq!(terminal.process("worker [pleach]"), worker);
    terminal.command("worker", "c");
    let shown = terminal.end();
    assert!(!shown.contains("escalated"), "{shown}");
}

fn the_prompt_of_one_that_is_killed_makes_room() {
    let mut terminal = Terminal::run("two");
    let (first, second) = first_of_two(&mut terminal);
    terminal.type_in("half a comm");
    terminal.expect("half a comm");
    kill(terminal.process(&format!("{first} [pleach]")), Signal::KILL);
    terminal.expect("is gone");
    terminal.command(second, "c");
    terminal.command("root", "c");
    terminal.end();
}

fn one_that_is_killed_in_the_queue_is_left_out() {
    let mut terminal = Terminal::run("two");
    let (_, second) = first_of_two(&mut terminal);
    let waiting = terminal.process(&format!("{second} [pleach]"));
    kill(waiting, Signal::KILL);
    terminal.type_in("tree\n");
    terminal.expect("<- stands still here");
    terminal.expect("(pleach) ");
    terminal.type_in("c\n");
    terminal.command("root", "c");
    assert!(!terminal.end().contains(&format!("(pleach) {second}")));
}
