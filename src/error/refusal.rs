//! Why a peer refused a request, and what to do about it.

use pleach_wire::msg::FunctionKind;
use serde::{Deserialize, Serialize};

use super::mismatch;

/// Why a peer refused to run a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The function exists, but its module was not enabled for that actor.
    #[error(
        "module `{module}` is not exposed there; start the actor with `.enable(\"{module}\")`, or `.enable(module_path!())` in that module; a root calls `Actor::enable`"
    )]
    ModuleNotExposed {
        /// The module that was not enabled.
        module: String,
    },
    /// The peer's program does not have the function.
    #[error("there is no such function{}; is it marked `#[pleach::rpc]`, and do both sides run the same program?", similar(.like))]
    UnknownFunction {
        /// A function of nearly the same name, if there is one.
        like: Option<String>,
    },
    /// The arguments do not fit the function.
    #[error("the arguments do not fit `{expected}`: {why}")]
    BadArguments {
        /// The function's arguments, as declared.
        expected: String,
        /// The decoder's error.
        why: String,
    },
    /// The peer's program declares the function differently: with other names or types of arguments or
    /// messages, or another result. Build both from the same sources.
    ///
    /// The text of the two declarations is compared, and the shapes of their types: names and types of all fields and
    /// variants, in any order. Types that serde buffers (tagged, untagged and flattened ones) have no shape; there, a
    /// field that is missing or does not fit is an error when a value is read.
    #[error("the two programs declare it differently{}", mismatch::lines(.here, .there))]
    SchemaMismatch {
        /// Its declaration in the caller's program, which fills this in: a line, and one for each leaf of its types.
        here: Box<str>,
        /// Its declaration in the program of the peer.
        there: Box<str>,
    },
    /// The function is of another kind.
    #[error("{}", wrong_kind(*.is))]
    WrongKind {
        /// Its kind.
        is: FunctionKind,
    },
    /// The peer holds as many bytes of this caller's arguments as it takes.
    #[error(
        "{held} bytes of arguments of this caller's calls are held there already, and the limit is {limit}; wait for some of those calls, or raise `max_arguments` (PLEACH_MAX_ARGUMENTS, or `max_arguments` in pleach.toml)"
    )]
    OverBudget {
        /// How many it holds.
        held: usize,
        /// How many it takes, besides one message.
        limit: usize,
    },
    /// The peer has as many tasks of this caller as it takes.
    #[error("{limit} tasks of this caller run there already; wait for some, or raise `max_tasks`")]
    Overloaded {
        /// How many it takes at once.
        limit: usize,
    },
}

fn wrong_kind(is: FunctionKind) -> &'static str {
    match is {
        FunctionKind::Rpc => "it is a plain function: use `portal.run`",
        FunctionKind::Context => "it is a context: use `portal.open_context`",
        FunctionKind::Stream => "it is a one-way stream: use `portal.open_stream_from`",
    }
}

fn similar(like: &Option<String>) -> String {
    like.as_ref().map(|like| format!(" (did you mean `{like}`?)")).unwrap_or_default()
}
