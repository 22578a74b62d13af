//! Running a function of an actor that stands still: on a thread of its own, as if the actor had called itself.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::stop::unseen;
use crate::channel::explain::Explain;
use crate::error::{Cancelled, Error, Result};
use crate::rpc::call::run_path;
use crate::rpc::export;
use crate::runtime::{Runtime, within};

/// Calls a function, by its path or the end of it, with arguments in JSON; returns its value, or how that failed.
///
/// Once it is given up, the function is cancelled, and not waited for: it may block its thread.
pub(super) fn run(actor: &Arc<Runtime>, command: &str, is_given_up: impl Fn() -> bool) -> String {
    let (name, arguments) = command.split_once(|c: char| c.is_whitespace() || c == '(').unwrap_or((command, ""));
    if name.is_empty() {
        return format!("call what? For example `call {} 1 \"two\"`; this program has {}", "add", names());
    }
    let found = match find(name) {
        Ok(path) => arguments_of(arguments).map(|arguments| (path, arguments)),
        Err(why) => Err(why),
    };
    let (path, arguments) = match found {
        Ok(found) => found,
        Err(why) => return why,
    };
    let actor = actor.clone();
    let (given_up, (ended, called)) = (CancellationToken::new(), sync_channel(1));
    let _not_waited_for = given_up.clone().drop_guard();
    let thread = thread::Builder::new().name("pleach-call".into());
    let started = thread.spawn(move || {
        let _ = ended.send(unseen(|| call(&actor, path, &arguments, given_up))); // it may have been given up
    });
    if let Err(error) = started {
        return format!("no thread for it: {error}");
    }
    loop {
        return match called.recv_timeout(LOOK_AGAIN) {
            Err(RecvTimeoutError::Timeout) if is_given_up() => "it was given up".into(),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => "it panicked".into(),
            Ok(Ok(value)) => serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string()),
            Ok(Err(error)) => format!("it failed: {error}"),
        };
    }
}

fn call(actor: &Arc<Runtime>, path: &'static str, arguments: &Value, given_up: CancellationToken) -> Result<Value> {
    let tokio = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Usage(format!("no async runtime: {error}")))?;
    tokio.block_on(within(actor.clone(), async {
        let own = actor.clone().connection_to_self().await?;
        let called = timeout(CALL, run_path(path, arguments, &own.channel, &Itself));
        let called = given_up.run_until_cancelled(called).await;
        own.close().await?;
        let late = |_| Err(Error::Timeout { what: format!("the answer of {path}"), after: CALL });
        called.map_or(Err(Error::Cancelled(Cancelled::Caller(None))), |answer| answer.unwrap_or_else(late))
    }))
}

/// An actor in its own eyes: it is alive.
struct Itself;

impl Explain for Itself {
    async fn explain(&self, error: Error) -> Error {
        error
    }
}

/// Finds the function of this path, or the only one whose path ends so.
///
/// # Errors
/// Says which there are.
fn find(name: &str) -> std::result::Result<&'static str, String> {
    let table = export::table().map_err(|error| error.to_string())?;
    let ends_so =
        |path: &&&'static str| path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"));
    let found: Vec<_> = table.keys().filter(ends_so).collect();
    match found[..] {
        [path] => Ok(path),
        [] => Err(format!("this program exposes no function `{name}`; it has {}", names())),
        [..] => Err(format!("which of {found:?}?")),
    }
}

/// Reads arguments: a JSON array, or values one after the other, with commas between them or not.
///
/// # Errors
/// Says what is wrong with them.
fn arguments_of(text: &str) -> std::result::Result<Value, String> {
    let text = text.trim().trim_end_matches(')').trim();
    let spaced = serde_json::Deserializer::from_str(text).into_iter().collect::<std::result::Result<Vec<Value>, _>>();
    let values = spaced.or_else(|_| serde_json::from_str(&format!("[{text}]")));
    let values = values.map_err(|error| format!("the arguments are JSON values, e.g. `call add 1 2`: {error}"))?;
    Ok(Value::Array(values))
}

/// The functions that can be called.
pub(super) fn names() -> String {
    let names = export::table().map(|table| table.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// How often to look whether a call is given up.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a function may take, unless the user gives it up.
const CALL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_values_in_a_row() {
        assert_eq!(arguments_of("1 2"), Ok(json!([1, 2])));
        assert_eq!(arguments_of("1, \"two\")"), Ok(json!([1, "two"])));
        assert_eq!(arguments_of(""), Ok(json!([])));
        assert_eq!(arguments_of("[1] {\"a\": null}"), Ok(json!([[1], {"a": null}])));
        assert!(arguments_of("one").is_err());
    }
}
