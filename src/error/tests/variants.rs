//! Every variant comes back from another process as it was, with all its parts.
//!
//! The matches have no wildcards: a variant or a field that is added has to be added here, too.

use pleach_wire::{Direction, EndReason, Payload, SilenceLimit, TransportClosed};

use super::*;

/// The example that stands behind `last`.
fn next(last: Option<&Error>) -> Option<Error> {
    let Some(last) = last else { return Some(Error::Cancelled(Cancelled::Caller(Some(actor("caller"))))) };
    let boxed = |name| Box::new(actor(name));
    Some(match last {
        Error::Cancelled(Cancelled::Caller(Some(_))) => Error::Cancelled(Cancelled::Signal(15)),
        Error::Cancelled(_) => Error::Timeout { what: "the answer".into(), after: Duration::from_millis(1500) },
        Error::Timeout { .. } => sent(Error::from_boxed(too_big().into()), Format::Msgpack, &["leaf", "mid"]),
        Error::Remote(_) => Error::ContextCancelled(Box::new(ContextCancelled {
            canceller: Some(actor("canceller")),
            by_signal: Some(2),
            by_deadline: true,
            actor: actor("leaf"),
            relay_path: vec![actor("mid")],
        })),
        Error::ContextCancelled(_) => died(),
        Error::ActorDied(_) => Error::Spawn { actor: "child".into(), why: "no such file".into() },
        Error::Spawn { .. } => Error::GaveUp(Box::new(GaveUp {
            child: "worker".into(),
            restarts: 3,
            within: Duration::from_secs(5),
            last: Some(Error::Usage("too late".into())),
        })),
        Error::GaveUp(_) => Error::Poison(Box::new(Poison { function: "resize".into(), attempts: 3, last: died() })),
        Error::Poison(_) => refused(),
        Error::Refused { .. } => Error::ActorTooSlow { actor: boxed("slow"), waited: Duration::from_secs(1) },
        Error::ActorTooSlow { .. } => {
            Error::Disconnected { actor: boxed("gone"), end: TransportClosed::by_us(EndReason::Closing).into() }
        }
        Error::Disconnected { .. } => {
            Error::Registry { address: "etcd://a:1/p".into(), why: "can't enter an actor: it is away".into() }
        }
        Error::Registry { .. } => Error::NotFound { name: "missing".into() },
        Error::NotFound { .. } => Error::StreamOverrun("the buffer is full".into()),
        Error::StreamOverrun(_) => Error::Lagged { lost: 3 },
        Error::Lagged { .. } => Error::Closed("it was closed".into()),
        Error::Closed(_) => Error::Transport(TransportError::Backlog { waiting: 9, limit: 3 }),
        Error::Transport(TransportError::Backlog { .. }) => Error::Transport(TransportError::Silent {
            silent: Duration::from_secs(11),
            limit: SilenceLimit::Lease(Duration::from_secs(10)),
        }),
        Error::Transport(TransportError::Silent { .. }) => {
            Error::Transport(TransportError::FrameTooLarge { size: 9, limit: 3, direction: Direction::ToPeer })
        }
        Error::Transport(_) => Error::Config("no such transport".into()),
        Error::Config(_) => Error::Usage("too early".into()),
        Error::Usage(_) => Error::Panicked("at the disco".into()),
        Error::Panicked(_) => Error::from_boxed(Storing(io::Error::other("disk full").into()).into()),
        Error::Local(_) => Error::Group(ErrorGroup::new(vec![died(), Error::Usage("inner".into())], 2)),
        Error::Group(_) => return None,
    })
}

fn all() -> Vec<Error> {
    let mut all = Vec::new();
    while let Some(error) = next(all.last()) {
        all.push(error);
    }
    all
}

/// The errors that the runtime finds by itself.
pub(super) fn findings() -> Vec<Error> {
    let own = |error: &Error| {
        !matches!(error, Error::Remote(_) | Error::ContextCancelled(_) | Error::Local(_) | Error::Group(_))
    };
    all().into_iter().filter(own).collect()
}

/// All parts of an error, for comparison. The types inside print all of theirs.
fn parts(error: &Error) -> String {
    match error {
        Error::Cancelled(cause) => format!("{cause:?}"),
        Error::Timeout { what, after } => format!("{what:?} {after:?}"),
        Error::Remote(remote) => format!("{remote:?}"),
        Error::ContextCancelled(cancelled) => format!("{cancelled:?}"),
        Error::ActorDied(died) => format!("{died:?}"),
        Error::Spawn { actor, why } => format!("{actor:?} {why:?}"),
        Error::GaveUp(gave_up) => format!("{gave_up:?}"),
        Error::Poison(poison) => format!("{poison:?}"),
        Error::Refused { actor, function, why } => format!("{actor:?} {function:?} {why:?}"),
        Error::ActorTooSlow { actor, waited } => format!("{actor:?} {waited:?}"),
        Error::Disconnected { actor, end } => format!("{actor:?} {end:?}"),
        Error::Registry { address, why } => format!("{address:?} {why:?}"),
        Error::NotFound { name } => name.clone(),
        Error::StreamOverrun(text) | Error::Closed(text) | Error::Config(text) => text.clone(),
        Error::Usage(text) | Error::Panicked(text) => text.clone(),
        Error::Lagged { lost } => lost.to_string(),
        Error::Transport(fault) => format!("{fault:?}"),
        Error::Local(local) => causes(&**local).map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Error::Group(group) => format!("{group:?}"),
    }
}

#[test]
fn every_variant_comes_back_as_it_was() {
    for error in all() {
        for format in [Format::Msgpack, Format::Json] {
            let back: Error = Payload::of(format, &error).unwrap().decode().unwrap();
            assert_eq!((back.variant(), parts(&back)), (error.variant(), parts(&error)), "{format:?}");
            assert_eq!(back.to_string(), error.to_string());
        }
    }
}

#[test]
fn what_is_no_error_is_refused_with_its_reason() {
    for (text, says) in [
        (r#"{"kind":"shaken","why":"x"}"#, "unknown variant `shaken`"),
        (r#"{"kind":"timeout","what":"x"}"#, "missing field `after`"),
        (r#"{"kind":"usage"}"#, "missing field `why`"),
        (r#"{"kind":"transport","fault":{"backlog":{"waiting":1}}}"#, "missing field `limit`"),
        (r#"{"what":"x"}"#, "missing field `kind`"),
    ] {
        let refused = serde_json::from_str::<Error>(text).unwrap_err().to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
}
