//! Ways out of the prompt that leave the terminal as it was.

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::terminal::{Terminal, kill, until_taken};
use crate::test;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("an_interrupt_at_the_prompt_ends_nothing", an_interrupt_at_the_prompt_ends_nothing),
        test("an_interrupt_gives_up_a_command", an_interrupt_gives_up_a_command),
        test(
            "an_interrupt_of_an_actor_at_the_prompt_ends_nothing",
            an_interrupt_of_an_actor_at_the_prompt_ends_nothing,
        ),
        test("a_second_signal_puts_the_terminal_back", a_second_signal_puts_the_terminal_back),
        test("a_main_that_returns_puts_the_terminal_back", a_main_that_returns_puts_the_terminal_back),
        test("a_program_that_is_stopped_comes_back_to_its_prompt", a_program_that_is_stopped_comes_back_to_its_prompt),
        test("a_terminal_that_hangs_up_ends_the_program", a_terminal_that_hangs_up_ends_the_program),
        test("the_end_of_input_goes_on", the_end_of_input_goes_on),
    ]
}

// S65
fn an_interrupt_at_the_prompt_ends_nothing() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    terminal.type_in("half\u{3}");
    terminal.expect("Ctrl-C ends nothing here");
    terminal.expect("(pleach) worker> ");
    interrupt_twice(terminal.process(env!("CARGO_BIN_EXE_debugging")));
    terminal.type_in("where\n");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn an_interrupt_gives_up_a_command() {
    let mut terminal = Terminal::run("panic");
    terminal.command("worker", "call sleep_long");
    terminal.expect("sleep_long\n");
    // One that comes before the terminal has left the line editor is a key.
    for _ in 0..50 {
        terminal.type_in("\u{3}");
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        if terminal.everything().contains("(interrupted") {
            break;
        }
    }
    terminal.expect("(interrupted: its answer will be dropped)");
    terminal.expect("woken before its time");
    terminal.command("worker", "call add 1 2");
    terminal.expect("\n3\n");
    terminal.command("worker", "c");
    terminal.command("root", "c");
    terminal.end();
}

// S104
fn an_interrupt_of_an_actor_at_the_prompt_ends_nothing() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    let worker = terminal.process("worker [pleach]");
    interrupt_twice(worker);
    terminal.type_in("where\n");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

/// Interrupts a process that is at the prompt. Signals that come later, on a busy machine, would give up the next command.
fn interrupt_twice(process: i32) {
    for _ in 0..2 {
        kill(process, Signal::INT);
        until_taken(process, Signal::INT);
    }
}

fn a_second_signal_puts_the_terminal_back() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    let root = terminal.process(env!("CARGO_BIN_EXE_debugging"));
    // A signal within 200 ms counts as the same one, and those that a busy machine delivers late do.
    for _ in 0..50 {
        kill(root, Signal::TERM);
        std::thread::park_timeout(std::time::Duration::from_millis(300));
        if terminal.everything().contains("leaving without clean-up") {
            break;
        }
    }
    terminal.expect("leaving without clean-up");
    terminal.end();
}

fn a_main_that_returns_puts_the_terminal_back() {
    let mut terminal = Terminal::run("root_leaves");
    terminal.expect("(pleach) root> ");
    terminal.end();
}

fn a_program_that_is_stopped_comes_back_to_its_prompt() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    terminal.type_in("\u{1a}");
    terminal.expect("Stopped");
    terminal.expect("the-shell$ ");
    terminal.type_in("fg\n");
    terminal.expect("fg\n");
    terminal.type_in("\n");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn a_terminal_that_hangs_up_ends_the_program() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    terminal.hang_up();
    // One that ignores the signal goes on without its terminal.
    let mut terminal = Terminal::run_with("child_pause", "trap '' HUP;");
    terminal.expect("(pleach) worker> ");
    terminal.hang_up();
}

fn the_end_of_input_goes_on() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("(pleach) worker> ");
    terminal.type_in("\u{4}");
    terminal.expect("the secret is 42");
    terminal.end();
}
