//! Errors as they cross connections, and as humans and machines read them.

#![expect(unsafe_code, reason = "the table of registered errors is made by the linker")]

use std::io;

use pleach_wire::{Format, Payload as Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

mod variants;

use self::variants::findings;

/// An error that callers in other actors can get at.
#[derive(Debug, thiserror::Error, Serialize, Deserialize, PartialEq)]
#[error("{n} is too big")]
struct TooBig {
    n: u64,
    kind: Kind,
}

/// Reads back only from a readable form: serde takes an address inside a tagged enum for a text.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "kind")]
enum Kind {
    Soft { limit: u64, host: std::net::Ipv4Addr },
}

/// One that is not registered, around any other.
#[derive(Debug, thiserror::Error)]
#[error("storing: {0}")]
struct Storing(#[source] BoxError);

/// One as applications have them, which gives nothing away.
#[derive(Debug, thiserror::Error)]
enum App {
    #[error(transparent)]
    Pleach(#[from] Error),
    #[error("asking: {0}")]
    Asking(Error),
}

crate::register_error!(TooBig);

fn too_big() -> TooBig {
    TooBig { n: 7, kind: Kind::Soft { limit: 5, host: std::net::Ipv4Addr::LOCALHOST } }
}

fn actor(name: &str) -> ActorId {
    ActorId::new(name)
}

fn died() -> Error {
    Error::ActorDied(Box::new(ActorDied {
        stderr: vec!["out of memory".into()],
        stack: vec!["app::parse at src/app.rs:7".into()],
        calls: vec!["app::serve".into()],
        core_dump: Some("/var/crash/core.7".into()),
        asked: Some(Duration::from_secs(2)),
        ..ActorDied::new(actor("dead"), WaitStatus::Signalled(9), ActorPhase::Running)
    }))
}

fn refused() -> Error {
    let why = Refusal::ModuleNotExposed { module: "a".into() };
    Error::Refused { actor: "peer".into(), function: "a::b".into(), why }
}

/// Sends an error through actors; the first one raises it.
fn sent(error: Error, format: Format, actors: &[&str]) -> Error {
    actors.iter().fold(error, |error, name| {
        let here = actor(name);
        let encoded = Wire::of(format, &Packed::new(Raised::new(error), &here)).unwrap();
        encoded.decode::<Packed>().unwrap().unpack(&here)
    })
}

fn remote(error: &Error) -> &RemoteError {
    match error {
        Error::Remote(remote) => remote,
        other => panic!("not remote: {other:?}"),
    }
}

fn names(actors: &[ActorId]) -> Vec<&str> {
    actors.iter().map(ActorId::name).collect()
}

#[test]
fn findings_keep_their_meaning_over_hops() {
    for format in [Format::Msgpack, Format::Json] {
        for error in findings() {
            let (kind, text) = (error.variant(), error.to_string());
            let came = sent(error.clone(), format, &["leaf", "mid", "top"]);
            if let Error::ContextCancelled(cancelled) = &came {
                let by = cancelled.canceller.as_ref().map(ActorId::name);
                assert_eq!((kind, by.is_some()), ("Cancelled", cancelled.by_signal.is_none()));
                assert!(by.is_none_or(|by| by == "caller") && cancelled.by_signal.is_none_or(|signal| signal == 15));
                assert_eq!((cancelled.actor.name(), names(&cancelled.relay_path)), ("leaf", vec!["mid", "top"]));
                continue;
            }
            assert_eq!((came.origin().variant(), came.origin().to_string()), (kind, text), "{format:?}");
            let remote = remote(&came);
            assert_eq!(remote.type_name, format!("pleach::Error::{kind}"));
            assert_eq!((remote.src.name(), names(&remote.relay_path)), ("leaf", vec!["mid", "top"]));
        }
    }
    let died = sent(died(), Format::Json, &["leaf", "top"]);
    assert_eq!(died.actor_died().unwrap().status, WaitStatus::Signalled(9));
    assert_eq!(died.downcast_ref::<ActorDied>().unwrap().actor.name(), "dead");
    let refused = sent(refused(), Format::Msgpack, &["leaf"]);
    assert!(refused.is::<Refusal>() && !refused.is::<ActorDied>());
}

#[test]
fn a_registered_error_comes_back_as_what_it_is() {
    let wrapped: [fn() -> Raised; 5] = [
        || Raised::new(too_big()),
        || Raised::new(BoxError::from(too_big())),
        || Raised::new(anyhow::Error::from(too_big())),
        || Raised::new(anyhow::Error::from(too_big()).context("storing")),
        || Raised::new(Storing(Storing(too_big().into()).into())),
    ];
    for format in [Format::Msgpack, Format::Json] {
        for raised in wrapped {
            // Here, and there.
            let local = Error::from_boxed(raised().into_error());
            assert_eq!(local.downcast_ref(), Some(&too_big()));
            assert_eq!(local.downcast::<TooBig>().unwrap(), too_big());
            let leaf = actor("leaf");
            let packed = Wire::of(format, &Packed::new(raised(), &leaf)).unwrap();
            let came = sent(packed.decode::<Packed>().unwrap().unpack(&leaf), format, &["mid", "top"]);
            assert_eq!(remote(&came).type_name, std::any::type_name::<TooBig>());
            assert_eq!(remote(&came).src, leaf);
            assert!(came.is::<TooBig>() && !came.is::<ActorDied>());
            assert_eq!(came.downcast::<TooBig>().unwrap(), too_big());
        }
    }
    let stranger = sent(Error::from_boxed("just words".into()), Format::Json, &["leaf"]);
    assert!(stranger.downcast::<TooBig>().unwrap_err().to_string().contains("just words"));
}

#[test]
fn what_actors_on_the_way_say_is_context_and_hides_no_source() {
    let leaf = sent(Error::StreamOverrun("full".into()), Format::Msgpack, &["leaf"]);
    let context = anyhow::Error::from(leaf).context("asking leaf").context("planning");
    let mid = Packed::new(Raised::new(context), &actor("mid")).unpack(&actor("mid"));
    let came = Packed::new(Raised::new(Storing(mid.into())), &actor("top")).unpack(&actor("top"));
    let remote = remote(&came);
    // S13
    assert_eq!(
        (remote.type_name.as_str(), remote.message.as_str()),
        ("pleach::Error::StreamOverrun", "stream overrun: full")
    );
    assert_eq!((remote.src.name(), names(&remote.relay_path)), ("leaf", vec!["mid", "top"]));
    assert_eq!(remote.context, ["storing", "planning", "asking leaf"]);
    assert!(came.to_string().starts_with("storing: planning: asking leaf: actor `leaf`"), "{came}");
    // A cancellation stays one, whatever context is added.
    let cancelled = anyhow::Error::from(Error::Cancelled(Cancelled::Actor)).context("late");
    assert!(Error::from_boxed(boxed(cancelled)).is_cancelled());
}

#[test]
fn one_of_ours_is_found_where_a_type_hides_it() {
    let died = |actors| sent(died(), Format::Json, actors);
    let hidden: [(Raised, &[&str]); 4] = [
        (Raised::new(App::Pleach(died(&["leaf"]))), &[]),
        (Raised::new(App::Asking(died(&["leaf"]))), &["asking"]),
        (Raised::new(Storing(App::Asking(died(&["leaf"])).into())), &["storing", "asking"]),
        (Raised::new(anyhow::Error::from(App::Pleach(died(&["leaf"]))).context("planning")), &["planning"]),
    ];
    for (raised, context) in hidden {
        let came = Packed::new(raised, &actor("mid")).unpack(&actor("mid"));
        let remote = remote(&came);
        assert_eq!((remote.src.name(), names(&remote.relay_path)), ("leaf", vec!["mid"]));
        assert_eq!(remote.context, context);
        assert_eq!(came.actor_died().unwrap().status, WaitStatus::Signalled(9));
    }
    let cancelled = Error::from_boxed(App::from(Error::Cancelled(Cancelled::Scope)).into());
    assert!(cancelled.is_cancelled());
    let packed = Packed::new(Raised::new(App::from(Error::Cancelled(Cancelled::Scope))), &actor("leaf"));
    assert!(!packed.is_failure());
    let again = died(&["leaf"]);
    assert!(Error::from_boxed(App::Asking(again.clone()).into()).is_same_failure(&again));
}

#[test]
fn groups_keep_their_members() {
    for format in [Format::Msgpack, Format::Json] {
        let member = sent(Error::from_boxed(too_big().into()), format, &["leaf"]);
        let inner = Error::join(vec![member, Error::Usage("inner".into())]).unwrap_err();
        let outer = Error::join(vec![died(), inner]).unwrap_err();
        let came =
            sent(Error::from_boxed(boxed(anyhow::Error::from(outer).context("all of it"))), format, &["mid", "top"]);
        let Error::Group(group) = &came else { panic!("{came:?}") };
        assert_eq!((group.errors.len(), group.count(), group.left_out), (2, 3, 0));
        let members = came.members();
        let members: Vec<_> = members.into_iter().map(remote).collect();
        let routes: Vec<_> = members.iter().map(|member| (member.src.name(), names(&member.relay_path))).collect();
        assert_eq!(routes, [("mid", vec!["top"]), ("leaf", vec!["mid", "top"]), ("mid", vec!["top"])]);
        assert!(members.iter().all(|member| member.context == ["all of it"]));
        assert_eq!(came.find(), Some(&too_big()));
        assert_eq!(came.find::<ActorDied>().unwrap().status, WaitStatus::Signalled(9));
        assert_eq!(came.downcast_ref::<TooBig>(), None, "a group is none of its members");
        assert!(came.is_same_failure(&came.clone()));
        let other = sent(Error::from_boxed(too_big().into()), format, &["leaf"]);
        let again = sent(Error::from_boxed(too_big().into()), format, &["leaf"]);
        assert!(!other.is_same_failure(&again), "the same words twice are two failures");
    }
}

#[test]
fn a_group_of_cancellations_is_one_wherever_it_comes() {
    let scope = Error::Cancelled(Cancelled::Scope);
    for hidden in [Error::Cancelled(Cancelled::Deadline), Error::from_boxed(App::Asking(scope.clone()).into())] {
        let group = || Error::join(vec![scope.clone(), hidden.clone()]).unwrap_err();
        assert!(group().is_cancelled());
        assert!(!Packed::new(Raised::new(group()), &actor("leaf")).is_failure());
        let came = sent(group(), Format::Json, &["leaf", "top"]);
        assert!(came.is_cancelled(), "{came:?}");
        let failed = sent(Error::join(vec![group(), Error::Usage("no".into())]).unwrap_err(), Format::Json, &["leaf"]);
        assert!(!failed.is_cancelled(), "{failed:?}");
    }
}

#[test]
fn what_is_cut_off_a_group_is_counted() {
    let many = |count| Error::join((0..count).map(|at| Error::Usage(at.to_string())).collect()).unwrap_err();
    let wide = sent(Error::join(vec![many(60), many(10), many(3)]).unwrap_err(), Format::Json, &["leaf", "top"]);
    let Error::Group(group) = &wide else { panic!("{wide:?}") };
    assert_eq!((wide.members().len(), group.count()), (64, 73));
    assert!(wide.to_string().starts_with("73 errors: ") && wide.to_string().contains("6 more were left out"), "{wide}");

    let nest = |inner: Error| Error::join(vec![Error::Usage("outer".into()), inner]).unwrap_err();
    let deep = sent((0..20).fold(many(2), |inner, _| nest(inner)), Format::Json, &["leaf"]);
    let Error::Group(group) = &deep else { panic!("{deep:?}") };
    assert_eq!((deep.members().len(), group.count()), (8, 22));
    assert!(format!("{deep:?}").contains("14 more were left out"), "{deep:?}");
}

#[test]
fn machines_read_flat_records() {
    let record = |error: &Error| serde_json::to_value(error).unwrap();
    let died = died();
    let told = record(&died);
    assert_eq!((&told["kind"], &told["status"]), (&json!("actor_died"), &json!({ "signalled": 9 })));
    assert_eq!((&told["actor"]["name"], &told["message"]), (&json!("dead"), &json!(died.to_string())));

    let failed = Storing(io::Error::other("disk full").into());
    let came = sent(Error::from_boxed(failed.into()), Format::Msgpack, &["leaf", "mid"]);
    let told = record(&came);
    assert_eq!((&told["kind"], &told["message"]), (&json!("remote"), &json!("storing: disk full")));
    assert_eq!((&told["chain"], &told["src"]["name"]), (&json!(["disk full"]), &json!("leaf")));
    assert_eq!((&told["relay_path"][0]["name"], &told["payload"]), (&json!("mid"), &Value::Null));

    let group = Error::join(vec![sent(died, Format::Json, &["leaf"]), Error::from_boxed("own".into())]).unwrap_err();
    let told = record(&group);
    let kinds: Vec<_> = told["errors"].as_array().unwrap().iter().map(|error| &error["kind"]).collect();
    assert_eq!((&told["kind"], kinds), (&json!("group"), vec![&json!("remote"), &json!("local")]));
    let back: Error = serde_json::from_value(told).unwrap();
    assert_eq!((back.to_string(), back.find::<ActorDied>().is_some()), (group.to_string(), true));
}

#[test]
fn humans_read_where_and_why() {
    let leaf = Error::from_boxed(Storing(too_big().into()).into());
    let overrun = sent(leaf, Format::Msgpack, &["leaf", "mid"]);
    let (raiser, hop) = (remote(&overrun).src.to_string(), remote(&overrun).relay_path[0].to_string());
    let died = died();
    let dead = died.actor_died().unwrap().actor.to_string();
    let group = Error::join(vec![overrun, died]).unwrap_err();
    let name = std::any::type_name::<TooBig>();
    let drawn = format!(
        "╭─ 2 errors\n\
         │  ├─ {raiser}: storing: 7 is too big\n\
         │  │  raised in {raiser} as {name}\n\
         │  │  relayed by {hop}\n\
         │  ╰─ {dead} was killed by signal 9 (SIGKILL), core dumped, with `app::serve` running\n\
         │     it had been asked to end 2s before\n\
         │     running there:\n\
         │       app::serve\n\
         │     it was here:\n\
         │       app::parse at src/app.rs:7\n\
         │     core dump: /var/crash/core.7\n\
         │     its last words:\n\
         │       out of memory\n\
         ╰─\n"
    );
    assert_eq!(group.report().color(false).to_string(), drawn);
    assert!(group.report().color(true).to_string().contains("\x1b[1;31m2 errors\x1b[0m"));
    let listed = format!("{group:?}");
    assert!(
        listed.contains(&format!("Group: 2 errors\n  - Remote: {raiser}: storing: 7 is too big\n    raised in"))
            && listed.contains(&format!("\n  - ActorDied: {dead} was killed"))
            && listed.contains("\n      out of memory"),
        "{listed}"
    );

    let caused = anyhow::Error::from(io::Error::other("disk full")).context("reading").context("planning");
    let came = sent(Error::from_boxed(boxed(caused)), Format::Json, &["leaf"]);
    assert!(
        format!("{came:?}").contains("planning\n  caused by: reading\n  caused by: disk full\n  raised in"),
        "{came:?}"
    );
    let causes: Vec<_> = causes(&came).skip(1).map(ToString::to_string).collect();
    assert_eq!(causes, ["reading", "disk full"]);
}

#[test]
fn an_error_tells_in_which_spans_it_was_packed() {
    let raised = || remote(&sent(Error::Usage("too early".into()), Format::Msgpack, &["leaf"])).span_trace.clone();
    assert_eq!(raised(), [""; 0], "spans are not kept");
    let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
    tracing::subscriber::with_default(subscriber, || {
        let _outer = tracing::info_span!("outer").entered();
        tracing::info_span!("inner", n = 7).in_scope(|| assert_eq!(raised(), ["inner", "outer"]));
        assert_eq!(raised(), ["outer"]);
    });
}

#[test]
fn an_endless_chain_is_cut() {
    let long = (0..50).fold(BoxError::from("root"), |inner, _| Storing(inner).into());
    let came = sent(Error::from_boxed(long), Format::Json, &["leaf"]);
    let chain = &remote(&came).chain;
    assert_eq!((chain.len(), chain[32].as_str()), (33, "more causes were left out"));
}

#[test]
fn an_error_is_small_and_can_be_shared() {
    const { assert!(size_of::<Error>() <= 96) };
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Error>();
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Transparent(Error);

#[test]
fn a_failing_assertion_shows_the_variant() {
    for error in findings() {
        assert!(format!("{error:?}").starts_with(&format!("{}: ", error.variant())), "{error:?}");
    }
    let timeout = || Error::Timeout { what: "the call".into(), after: Duration::from_secs(1) };
    assert_eq!(format!("{:?}", timeout()), "Timeout: the call took longer than 1s");
    let wrapped = Error::from_boxed(boxed(Transparent(timeout())));
    assert_eq!(format!("{wrapped:?}"), "Local: the call took longer than 1s");
    assert!(timeout().came_back_as(&wrapped) && !timeout().is_same_failure(&wrapped));
}

#[test]
fn a_death_is_found_in_a_group_and_behind_who_gave_up() {
    let died = || findings().into_iter().find(|error| matches!(error, Error::ActorDied(_))).unwrap();
    let group = |errors| Error::join(errors).unwrap_err();
    let gave_up = |last| {
        let (child, within) = ("worker".to_owned(), Duration::from_secs(1));
        Error::GaveUp(Box::new(GaveUp { child, restarts: 3, within, last }))
    };
    let inner = group(vec![Error::Usage("inner".into()), died()]);
    let relayed = sent(group(vec![Error::Usage("outer".into()), inner.clone()]), Format::Msgpack, &["mid", "top"]);
    for error in [
        group(vec![Error::Usage("first".into()), died()]),
        group(vec![Error::Usage("outer".into()), inner]),
        relayed,
        gave_up(Some(died())),
        group(vec![Error::Usage("first".into()), gave_up(Some(died()))]),
    ] {
        assert_eq!(error.actor_died().map(|died| died.status), Some(WaitStatus::Signalled(9)), "{error:?}");
    }
    assert!(gave_up(None).actor_died().is_none());
    assert!(group(vec![Error::Usage("one".into()), Error::Usage("two".into())]).actor_died().is_none());
}
