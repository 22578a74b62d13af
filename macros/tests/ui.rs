//! What the attribute macros accept, and what they say about what they reject.
//!
//! The cases are in `tests/ui/`: one program per file, with the compiler's words beside those that
//! must fail. After a wording was changed on purpose, `TRYBUILD=overwrite cargo test --test ui`
//! writes the messages again; read the difference before committing it.

// S92, S94: only async functions are exposed; the compiler says so.
#[test]
fn macros_accept_what_they_promise_and_explain_the_rest() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
