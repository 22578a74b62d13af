//! `pleach web`: who is answered, what is told, and that its end changes nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;

use libtest_mimic::Trial;
use pleach_patience::patience;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{command, test_fn};
use crate::twenty::{ACTORS, Tree};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(only_the_browser_with_the_secret_is_answered), test_fn(a_tree_and_what_happens_to_it_is_told)]
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
        let mut command = command(tree.at.path(), &format!("web --json --tree {}", tree.root()));
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

    /// Follows the states until one is so.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let until = Instant::now() + patience();
        let lines = BufReader::new(self.ask("/events", &self.host(), &[self.cookie()])).lines();
        let mut last = String::new();
        for line in lines.map_while(Result::ok) {
            let Some(state) = line.strip_prefix("data: ") else { continue };
            if is_so(&serde_json::from_str(state).unwrap()) {
                return;
            }
            state.clone_into(&mut last);
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
