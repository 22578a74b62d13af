//! Trees over several hosts, seen from one of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use libtest_mimic::Trial;
use pleach::Host;
use pleach::prelude::*;
use serde_json::Value;

use crate::namespaces::Hosts;
use crate::support::{PLEACH, test_fn};
use crate::tree::rest;

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(actors_on_other_hosts_are_seen_and_ended), test_fn(a_host_that_is_cut_off_keeps_no_answer_back)]
}

/// Names the configuration of `ssh`, in the environment of a root.
pub(crate) const ROOT: &str = "CLI_HOSTS_ROOT";

/// Rests in an actor below this one, on this actor's host.
#[pleach::rpc]
async fn rest_below() -> Result<()> {
    pleach::open_nursery(async |n| n.start_actor("near").enable(rest().module()).await?.run(rest()).await).await
}

/// A root with an actor on another host, which has one below it there.
pub(crate) fn root() -> std::process::ExitCode {
    let ssh_config = std::env::var_os(ROOT).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { listen: vec!["quic://0.0.0.0:0".parse().unwrap()], ..Config::default() };
    let ended: Result<()> = tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let host = Host::ssh("host-2").config_file(ssh_config);
            let far = n.start_actor("far").enable(module_path!()).on(host).await?;
            println!("running");
            far.run(rest_below()).await
        })
        .await
    }));
    std::process::ExitCode::from(u8::from(ended.is_err()))
}

/// A root on the first host; ended with this value.
struct Root<'a>(&'a Hosts, Child);

impl<'a> Root<'a> {
    fn start(hosts: &'a Hosts) -> Self {
        let mut command = hosts.run_at("host-1");
        command.arg("env").arg(format!("{ROOT}={}", hosts.ssh_config())).arg(std::env::current_exe().unwrap());
        let mut root = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        Self(hosts, root)
    }

    /// Runs the tool on its host.
    fn pleach(&self, args: &str) -> String {
        let output = self.0.run_at("host-1").arg(PLEACH).args(args.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Looks with the tool until it shows something: a function may not have begun.
    fn until_it_shows(&self, args: &str, wanted: impl Fn(&str) -> bool) -> String {
        let until = std::time::Instant::now() + pleach_patience::patience();
        loop {
            let shown = self.pleach(args);
            if wanted(&shown) {
                return shown;
            }
            assert!(std::time::Instant::now() < until, "{args}: {shown}");
        }
    }
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        let exe = std::env::current_exe().unwrap();
        self.0.at("host-1", &["pkill", "-KILL", "-f", exe.to_str().unwrap()]);
        let _ = self.1.wait(); // the script ends with it
    }
}

fn actors_on_other_hosts_are_seen_and_ended() {
    let Some(hosts) = Hosts::start(2) else { return };
    let root = Root::start(&hosts);
    let shown = root.until_it_shows("ps", |shown| shown.contains("runs cli::tree::rest for far ("));
    let row = |start: &str| shown.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{shown}"));
    assert!(row("root ").contains(" host-1 "), "{shown}");
    assert!(row("└─ far ").contains(" host-2  quic "), "{shown}");
    assert!(row("   └─ near ").contains(" host-2  uds "), "{shown}");

    let stacks = root.until_it_shows("stacks far", |stacks| stacks.contains("cli::hosts::rest_below ("));
    assert!(stacks.contains(" at ssh:host-2: "), "{stacks}");
    let top: Value = serde_json::from_str(&root.pleach("top --once --json")).unwrap();
    let names: Vec<_> = top["actors"].as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root", "far", "near"], "{top}");
    let passed = root.pleach("trace far --kind heartbeat --count 2");
    assert!(passed.lines().count() == 2 && passed.lines().all(|line| line.contains(" root (")), "{passed}");

    assert!(root.pleach("cancel near").contains("has ended"));
    root.until_it_shows("ps", |shown| !shown.contains("near"));
}

fn a_host_that_is_cut_off_keeps_no_answer_back() {
    let Some(hosts) = Hosts::start(2) else { return };
    let root = Root::start(&hosts);
    root.until_it_shows("ps", |shown| shown.contains("near"));
    assert!(hosts.script("cut").arg("host-2").status().unwrap().success());
    let shown = root.pleach("ps");
    assert!(shown.contains("root ") && !shown.contains("far  "), "{shown}");
    assert!(shown.contains("host ssh:host-2: actors were started there, and it did not answer in time"), "{shown}");
    let silent: Value = serde_json::from_str(&root.pleach("ps --json")).unwrap();
    assert_eq!(silent["silent"][0]["host"], "ssh:host-2", "{silent}");
    assert!(hosts.script("mend").arg("host-2").status().unwrap().success());
}
