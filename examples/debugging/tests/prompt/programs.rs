//! Each program, from its first prompt to its end.

use libtest_mimic::Trial;

use crate::terminal::Terminal;
use crate::test;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("a_panic_is_shown_where_it_happens", a_panic_is_shown_where_it_happens),
        test("a_panic_is_shown_over_each_transport", a_panic_is_shown_over_each_transport),
        test("an_error_of_a_child_is_shown_once_at_each_level", an_error_of_a_child_is_shown_once_at_each_level),
        test("a_pause_goes_on_with_its_value", a_pause_goes_on_with_its_value),
        test("threads_pause_one_after_the_other", threads_pause_one_after_the_other),
        test("a_post_mortem_shows_the_error_and_is_no_crash", a_post_mortem_shows_the_error_and_is_no_crash),
        test("a_pause_in_a_shield_goes_on", a_pause_in_a_shield_goes_on),
        test("a_panic_that_the_program_catches_opens_nothing", a_panic_that_the_program_catches_opens_nothing),
        test("debug_mode_can_be_that_of_one_actor", debug_mode_can_be_that_of_one_actor),
        test("the_root_has_a_prompt_like_any_other", the_root_has_a_prompt_like_any_other),
        test("an_error_beside_a_cancellation_is_shown", an_error_beside_a_cancellation_is_shown),
        test("quit_ends_a_program_that_pauses_for_ever", quit_ends_a_program_that_pauses_for_ever),
        test("cancel_ends_the_actor", cancel_ends_the_actor),
        test("a_refusal_is_shown_where_it_arrives", a_refusal_is_shown_where_it_arrives),
        test("a_context_pauses", a_context_pauses),
        test("an_unknown_command_and_help_teach", an_unknown_command_and_help_teach),
        test(
            "a_program_without_a_terminal_is_shown_where_a_tool_is_attached",
            a_program_without_a_terminal_is_shown_where_a_tool_is_attached,
        ),
        test(
            "others_write_above_the_prompt_and_what_is_typed_stays",
            others_write_above_the_prompt_and_what_is_typed_stays,
        ),
        test("without_a_terminal_nothing_stands_still", without_a_terminal_nothing_stands_still),
    ]
}

fn a_panic_is_shown_where_it_happens() {
    let mut terminal = Terminal::run("panic");
    terminal.expect("root/worker (pid ");
    terminal.expect(") panicked: order 7 wants 14, and the limit is 3\n   at examples/debugging/src/worker.rs:");
    terminal.expect("-> ");
    terminal.command("worker", "bt");
    terminal.expect("#0   debugging::worker::total\n");
    terminal.expect("#1   debugging::worker::price_of\n");
    terminal.command("worker", "list");
    terminal.expect("->     assert!(wanted < limit");
    terminal.command("worker", "tree");
    terminal.expect("└─ worker (pid ");
    terminal.expect("<- stands still here");
    terminal.command("worker", "call add 1 2");
    terminal.expect("\n3\n");
    terminal.command("worker", "call add 1");
    terminal.expect("it failed: ");
    terminal.command("worker", "tasks");
    terminal.expect("handle_order");
    terminal.command("worker", "continue");
    terminal.command("root", "error");
    terminal.expect("panicked: order 7 wants 14");
    terminal.command("root", "c");
    terminal.end();
}

fn a_panic_is_shown_over_each_transport() {
    // Over `mem` the actor is a thread of the root's process.
    for transport in ["mem", "tcp", "tls+tcp", "quic"] {
        let mut terminal = Terminal::run_with("panic", &format!("PLEACH_TRANSPORT={transport}"));
        terminal.command("worker", "where");
        terminal.expect("in debugging::worker::total");
        terminal.command("worker", "tree");
        terminal.expect("<- stands still here");
        terminal.command("worker", "call add 1 2");
        terminal.expect("\n3\n");
        terminal.command("worker", "c");
        terminal.command("root", "c");
        terminal.end();
    }
}

fn an_error_of_a_child_is_shown_once_at_each_level() {
    let mut terminal = Terminal::run("nested");
    for actor in ["level-1", "level-2", "top", "root"] {
        terminal.command(actor, "error");
        terminal.expect("invalid digit found in string");
        terminal.command(actor, "bt");
        terminal.expect("its frames are gone");
        terminal.command(actor, "c");
    }
    terminal.end();
}

// S119
fn a_pause_goes_on_with_its_value() {
    let mut terminal = Terminal::run("child_pause");
    terminal.expect("pauses");
    terminal.command("worker", "where");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("worker", "");
    terminal.command("worker", "continue");
    terminal.expect("the secret is 42");
    terminal.end();
}

// S116
fn threads_pause_one_after_the_other() {
    let mut terminal = Terminal::run("sync_pause");
    terminal.command("worker", "c");
    terminal.expect("pauses");
    terminal.command("worker", "c");
    terminal.expect("both threads went on");
    terminal.end();
}

fn a_post_mortem_shows_the_error_and_is_no_crash() {
    let mut terminal = Terminal::run("post_mortem");
    terminal.expect("post-mortem: invalid digit found in string");
    terminal.command("worker", "c");
    terminal.expect("the number is -1");
    terminal.end();
}

fn a_pause_in_a_shield_goes_on() {
    let mut terminal = Terminal::run("shielded_pause");
    terminal.command("worker", "c");
    terminal.expect("the shield is gone");
    terminal.end();
}

fn a_panic_that_the_program_catches_opens_nothing() {
    let mut terminal = Terminal::run("caught");
    terminal.expect("caught: true");
    assert!(!terminal.end().contains("(pleach)"));
}

fn debug_mode_can_be_that_of_one_actor() {
    let mut terminal = Terminal::run("per_actor");
    terminal.expect("other failed: true");
    terminal.command("watched", "c");
    terminal.expect("watched failed: true");
    assert!(!terminal.end().contains("(pleach) other"));
}

fn the_root_has_a_prompt_like_any_other() {
    let mut terminal = Terminal::run("root_error");
    terminal.command("root", "c");
    terminal.end();
    let mut terminal = Terminal::run("root_pause");
    terminal.command("root", "c");
    terminal.expect("the root went on");
    terminal.end();
    let mut terminal = Terminal::run("fast_root_error");
    terminal.expect("the root fails at once");
    terminal.command("root", "c");
    terminal.end();
}

fn an_error_beside_a_cancellation_is_shown() {
    let mut terminal = Terminal::run("root_cancels_itself");
    terminal.expect("failed while it was cancelled");
    terminal.command("root", "c");
    terminal.end();
}

fn quit_ends_a_program_that_pauses_for_ever() {
    let mut terminal = Terminal::run("root_pause_forever");
    terminal.command("root", "c");
    terminal.expect("round 2");
    terminal.command("root", "quit");
    terminal.end();
}

fn cancel_ends_the_actor() {
    let mut terminal = Terminal::run("child_pause");
    terminal.command("worker", "cancel");
    terminal.expect("was cancelled by itself");
    terminal.end();
}

fn a_refusal_is_shown_where_it_arrives() {
    let mut terminal = Terminal::run("not_enabled");
    terminal.expect("failed: ");
    terminal.expect("count");
    terminal.command("root", "c");
    terminal.end();
}

fn a_context_pauses() {
    let mut terminal = Terminal::run("context");
    terminal.command("counter", "contexts");
    terminal.expect("root");
    terminal.command("counter", "c");
    terminal.expect("started with 1");
    terminal.end();
}

fn an_unknown_command_and_help_teach() {
    let mut terminal = Terminal::run("child_pause");
    terminal.command("worker", "print");
    terminal.expect("`print` is not a command here; `help` lists them");
    terminal.command("worker", "help");
    terminal.expect("stands still");
    terminal.expect("call FN ARGS");
    terminal.command("worker", "help bt");
    terminal.expect("A frame is a function");
    terminal.command("worker", "call nothing");
    terminal.expect("exposes no function `nothing`");
    terminal.command("worker", "c");
    terminal.end();
}

fn without_a_terminal_nothing_stands_still() {
    let mut terminal = Terminal::run_with("panic", "PLEACH_LOG=warn setsid -w");
    terminal.expect("not shown in a debugger");
    assert!(!terminal.end().contains("(pleach)"));
}

/// The tool would call the same function; this program stands for it.
fn a_program_without_a_terminal_is_shown_where_a_tool_is_attached() {
    let mut terminal = Terminal::run_with("attached", "PLEACH_ROOT_NAME=elsewhere setsid");
    terminal.expect("not shown in a debugger");
    terminal.type_in(&format!("{} attach elsewhere\n", env!("CARGO_BIN_EXE_debugging")));
    terminal.expect("elsewhere/worker (pid ");
    terminal.command("worker", "where");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    terminal.end();
}

fn others_write_above_the_prompt_and_what_is_typed_stays() {
    let mut terminal = Terminal::run("noisy");
    terminal.expect("(pleach) worker> ");
    terminal.type_in("whe");
    terminal.expect("whe");
    // Each line redraws what has been typed so far.
    for _ in 0..3 {
        terminal.expect("noisy: printed ");
        terminal.expect("(pleach) worker> whe");
    }
    terminal.type_in("re\n");
    terminal.expect("in debugging::worker::pause_once");
    terminal.command("worker", "log");
    terminal.expect("noisy: logged ");
    terminal.command("worker", "c");
    terminal.expect("the secret is 42");
    let shown = terminal.end();
    let lines = shown.lines().filter(|line| line.contains("noisy: "));
    let torn: Vec<_> = lines.filter(|line| !line.starts_with("noisy: ") || !line.ends_with('.')).collect();
    assert!(torn.is_empty(), "{torn:?}\n{shown}");
}
