//! `pleach web`: who is answered, what is told, and that its end changes nothing.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Backoff, ChildSpec, Config, Supervision};
use pleach_patience::patience;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::stacks::busy;
use crate::support::{command, test_fn};
use crate::tree::{in_root, turn};
use crate::twenty::{ACTORS, Tree};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(only_the_browser_with_the_secret_is_answered),
        test_fn(a_tree_and_what_happens_to_it_is_told),
        test_fn(each_of_hundreds_of_short_lives_is_told_once_in_order),
        test_fn(restarts_escalations_and_giving_up_are_told),
    ]
}

/// A running `pleach web`. Dropping it kills that.
struct Web {
    process: Child,
    _says: BufReader<ChildStdout>,
    port: u16,
    token: String,
}

impl Web {
    fn of(tree: &Tree) -> Self {
        Self::start(tree.at.path(), tree.root())
    }

    fn start(at: &Path, root: u32) -> Self {
        let mut command = command(at, &format!("web --json --tree {root}"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["address"].as_str().unwrap().strip_prefix("http://127.0.0.1:").unwrap().to_owned();
        let (port, token) = address.split_once("/?token=").unwrap();
        Self { process, _says: says, port: port.parse().unwrap(), token: token.to_owned() }
    }

    fn ask(&self, path: &str, host: &str, headers: &[String]) -> TcpStream {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        connection.set_read_timeout(Some(patience())).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        connection
    }

    /// Returns the status and the head and body of an answer.
    fn get(&self, path: &str, host: &str, headers: &[String]) -> (u16, String) {
        let mut answer = String::new();
        self.ask(path, host, headers).read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn cookie(&self) -> String {
        format!("Cookie: other=1; pleach-{}={}", self.port, self.token)
    }

    /// Follows the states until one is so, and returns that.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + patience();
        let lines = BufReader::new(self.ask("/events", &self.host(), &[self.cookie()])).lines();
        let mut last = String::new();
        for line in lines.map_while(Result::ok) {
            let Some(state) = line.strip_prefix("data: ") else { continue };
            let read = serde_json::from_str(state).unwrap();
            if is_so(&read) {
                return read;
            }
            last = format!("{:?}", events_of(&read, ""));
            assert!(Instant::now() < until, "{what} never came: {last}");
        }
        panic!("the states ended before {what}: {last}");
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

// SEC-27
fn only_the_browser_with_the_secret_is_answered() {
    let tree = Tree::start();
    let web = Web::of(&tree);
    let (here, cookie) = (web.host(), web.cookie());
    let (status, entered) = web.get(&format!("/?token={}", web.token), &here, &[]);
    assert!(status == 303 && entered.contains("HttpOnly; SameSite=Strict"), "{entered}");
    for path in ["/", "/page.js", "/style.css"] {
        let (status, answer) = web.get(path, &here, std::slice::from_ref(&cookie));
        assert!(status == 200 && answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        assert!(!answer.contains("//cdn") && !answer.contains("https://"), "{path} needs nothing from elsewhere");
    }
    let wrong = "0".repeat(web.token.len());
    let origin = |origin: &str| vec![cookie.clone(), format!("Origin: {origin}")];
    let site = |site: &str| vec![cookie.clone(), format!("Sec-Fetch-Site: {site}")];
    for (path, host, headers, expected) in [
        ("/", &*here, vec![], 403),
        ("/events", &here, vec![], 403),
        ("/", &here, vec![format!("Cookie: pleach-{}={wrong}", web.port)], 403),
        ("/", &here, vec![format!("Cookie: pleach-{}=", web.port)], 403),
        ("/?token=", &here, vec![], 403),
        (&format!("/?token={wrong}"), &here, vec![], 403),
        (&format!("/?token={}0", web.token), &here, vec![], 403),
        (&format!("/events?token={}", web.token), &here, vec![], 403),
        // A name of an attacker's that leads here.
        ("/events", &format!("evil.example:{}", web.port), vec![cookie.clone()], 421),
        ("/events", "127.0.0.1", vec![cookie.clone()], 421),
        ("/events", &here, origin("http://evil.example"), 403),
        ("/events", &here, origin("null"), 403),
        ("/events", &here, origin("http://127.0.0.1:1"), 403),
        ("/", &here, site("cross-site"), 403),
        ("/", &here, site("same-site"), 403),
        ("/", &here, origin(&format!("http://{here}")), 200),
        ("/nothing", &here, vec![cookie.clone()], 404),
    ] {
        let (status, answer) = web.get(path, host, &headers);
        assert_eq!(status, expected, "{path} at {host} with {headers:?}: {answer}");
        assert!(status == 200 || !answer.contains("twenty"), "{answer}");
    }
    assert!(TcpStream::connect(("127.0.0.2", web.port)).is_err(), "it listens at one address");
}

fn a_tree_and_what_happens_to_it_is_told() {
    let mut tree = Tree::start();
    let web = Web::of(&tree);
    let is = |state: &Value, kind: &str, name: &str| {
        state["events"].as_array().is_some_and(|events| events.iter().any(|e| e["kind"] == kind && e["name"] == name))
    };
    web.until("all actors, with their processes", |state| {
        let actors = state["actors"].as_array().cloned().unwrap_or_default();
        let known = |actor: &Value| tree.actors.get(actor["name"].as_str().unwrap()).copied();
        actors.len() == ACTORS && actors.iter().all(|actor| known(actor).map(u64::from) == actor["pid"].as_u64())
    });
    tree.tell("fail");
    web.until("an error", |state| is(state, "error", "uds-0"));
    tree.tell("end uds");
    web.until("an end", |state| is(state, "ended", "uds-0") && is(state, "ended", "uds-3"));
    drop(web);
    // The end of what looked changes nothing: the rest of the tree does what it is told.
    tree.tell("ping");
    let mut web = Web::of(&tree);
    kill_process(Pid::from_child(&web.process), Signal::TERM).unwrap();
    assert!(web.process.wait().unwrap().success());
}

/// The events of a state that concern actors of these names, in their order.
fn events_of<'a>(state: &'a Value, prefix: &str) -> Vec<(&'a str, &'a str)> {
    let events = state["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let all = events.iter().map(|event| (event["name"].as_str().unwrap(), event["kind"].as_str().unwrap()));
    all.filter(|(name, _)| name.starts_with(prefix)).collect()
}

fn each_of_hundreds_of_short_lives_is_told_once_in_order() {
    for (protocol, lives) in [("mem", 300), ("uds", 100)] {
        let _turn = turn();
        let at = TempDir::new().unwrap();
        let state = in_root(Config { transport: protocol.into(), ..Config::default() }, async |root| {
            let web = Web::start(at.path(), root.id().pid());
            for life in 0..lives {
                pleach::open_nursery(async |n| {
                    n.start_actor(format!("life-{life}")).await?;
                    n.cancel().await;
                    Ok::<_, Error>(())
                })
                .await?;
            }
            let are_over = move |state: &Value| {
                events_of(state, "life-").iter().filter(|(_, kind)| *kind == "ended").count() == lives
            };
            Ok(tokio::task::spawn_blocking(move || web.until("all ends", are_over)).await.unwrap())
        });
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, kind) in events_of(&state, "life-") {
            kinds.entry(name).or_default().push(kind);
        }
        assert_eq!(kinds.len(), lives, "{protocol}");
        for (name, kinds) in kinds {
            assert_eq!(kinds, ["started", "cancelled", "ended"], "{protocol}: {name}");
        }
        assert_eq!((&state["missed"], &state["earlier"]), (&0.into(), &0.into()));
    }
}

#[pleach::rpc]
async fn fail() -> Result<()> {
    Err(Error::Usage("the ink is out".into()))
}

fn restarts_escalations_and_giving_up_are_told() {
    let _turn = turn();
    let at = TempDir::new().unwrap();
    let short = Duration::from_millis(50);
    let config = Config { cancel_ack: short, soft_reap: short, kill_after: short, ..Config::default() };
    in_root(config, async |root| {
        let web = Web::start(at.path(), root.id().pid());
        let gave_up = pleach::open_nursery(async |n| {
            let once = ChildSpec::run_once("scribe", fail);
            let backoff = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(1));
            let supervision = Supervision::one_for_one().intensity(1, Duration::from_secs(60)).backoff(backoff);
            n.supervise(supervision.child(once)).await?;
            let stubborn = n.start_actor("stubborn").enable("cli::stacks").await?;
            stubborn.run(busy(u32::MAX)).await
        });
        assert!(gave_up.await.is_err());
        let ends = |state: &Value| events_of(state, "stubborn").iter().any(|(_, kind)| *kind == "ended");
        let state = tokio::task::spawn_blocking(move || web.until("the end", ends)).await.unwrap();
        let scribe: Vec<_> = events_of(&state, "scribe").into_iter().filter(|(_, kind)| *kind != "error").collect();
        let kinds: Vec<_> = scribe.iter().map(|(_, kind)| *kind).filter(|kind| *kind != "cancelled").collect();
        assert_eq!(kinds, ["started", "ended", "restarted", "ended"], "{:?}", events_of(&state, ""));
        let stubborn: Vec<_> = events_of(&state, "stubborn").into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(
            stubborn,
            ["started", "cancelled", "escalated", "escalated", "ended"],
            "{:?}",
            events_of(&state, "")
        );
        assert!(events_of(&state, "root").contains(&("root", "gave_up")), "{:?}", events_of(&state, ""));
        let events = state["events"].as_array().unwrap();
        let message = |kind: &str| {
            let found = events.iter().find(|event| event["kind"] == kind).unwrap();
            found["message"].as_str().unwrap().to_owned()
        };
        assert!(message("escalated").starts_with("SIGTERM: "), "{:?}", events_of(&state, ""));
        assert!(message("ended").contains("the ink is out"), "{:?}", events_of(&state, ""));
        Ok(())
    });
}
