//! Logins that fail: each says why, soon, and leaves nothing.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use libtest_mimic::Trial;
use pleach::Host;
use pleach::prelude::*;
use pleach_patience::{FOREVER, soon};

use crate::site::{assert_says, dir, host, in_nursery, node, test, with_lines};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("logins::a_host_whose_key_is_not_known_is_refused", unknown_key),
        test("logins::a_host_that_shows_another_key_is_refused", another_key),
        test("logins::without_a_key_of_ours_there_is_no_login", no_key),
        test("logins::a_host_that_does_not_answer_is_given_up", silent),
        test("logins::a_host_that_refuses_is_an_error", refused),
        test("logins::a_start_is_given_up_while_it_logs_in", given_up),
        test("logins::an_option_is_no_destination", option),
        test("logins::a_host_that_takes_no_more_sessions_says_so", narrow),
    ]
}

async fn start(host: Host) -> Result<()> {
    let config = Config { connect_back: 5 * soon(), ..Config::default() };
    in_nursery(config, async |n| n.start_actor("far").on(host).await.map(|_| ())).await
}

fn with(name: &str, lines: &str) -> Host {
    Host::ssh("node").config_file(with_lines(name, &format!("Host node\n{lines}\nHost *")))
}

async fn unknown_key() {
    let before = fs::read(dir().join("known_hosts")).unwrap();
    let host = with("unknown", "    UserKnownHostsFile /dev/null\n    StrictHostKeyChecking no");
    let advice = "log in once by hand and compare the fingerprint: `ssh node`";
    assert_says(&start(host).await, &["at ssh:node", "Host key verification failed", advice]);
    assert_eq!(fs::read(dir().join("known_hosts")).unwrap(), before);
}

async fn another_key() {
    let key = dir().join("other_key");
    let mut make = Command::new("ssh-keygen");
    assert!(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
    let other = fs::read_to_string(dir().join("other_key.pub")).unwrap();
    let known = fs::read_to_string(dir().join("known_hosts")).unwrap();
    let hosts = known.lines().map(|line| format!("{} {other}", line.split(' ').next().unwrap()));
    fs::write(dir().join("changed_hosts"), hosts.collect::<String>()).unwrap();
    let host = with("changed", &format!("    UserKnownHostsFile {}/changed_hosts", dir().display()));
    assert_says(&start(host).await, &["at ssh:node", "it shows another key than the known one", "ssh-keygen -R"]);
}

async fn no_key() {
    let host = with("keyless", "    IdentityFile /dev/null");
    // The servers' configuration names the right key, too, further down.
    let path = dir().join("keyless");
    let text = fs::read_to_string(&path).unwrap().replace("client_key", "no_such_key");
    fs::write(&path, text).unwrap();
    assert_says(&start(host).await, &["at ssh:node", "Permission denied", "never prompts for a password"]);
}

/// It accepts connections and says nothing.
async fn silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let started = start(with("silent", &format!("    Port {port}"))).await;
    assert!(started.is_err());
    let text = started.unwrap_err().to_string();
    assert!(text.contains("timed out") || text.contains("`ssh node` got no answer"), "{text}");
}

async fn refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_says(&start(with("refused", &format!("    Port {port}"))).await, &["at ssh:node", "Connection refused"]);
}

async fn given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = with("given_up", &format!("    Port {port}"));
    in_nursery(Config { connect_back: FOREVER, ..Config::default() }, async |n| {
        let starting = IntoFuture::into_future(n.start_actor("far").on(host));
        tokio::select! {
            started = starting => panic!("{started:?}"),
            // By now `ssh` has connected.
            accepted = tokio::task::spawn_blocking(move || listener.accept()) => { accepted.unwrap().unwrap(); }
        }
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn option() {
    let host = Host::ssh(format!("-oProxyCommand=touch {}/touched", dir().display()));
    assert_says(&start(host).await, &["not a valid destination for `ssh`"]);
    assert!(!dir().join("touched").exists());
    drop(node());
}

async fn narrow() {
    let ended = in_nursery(Config::default(), async |n| {
        let first = n.start_actor("first").on(host("narrow")).await?;
        let second = n.start_actor("second").on(host("narrow")).await;
        drop(first);
        second.map(drop)
    })
    .await;
    assert_says(&ended, &["second", "Session open refused by peer"]);
}
