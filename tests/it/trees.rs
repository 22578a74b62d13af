//! Trees of several levels, and how they are configured.

use std::process::Command;

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{Notes, PROCESSES, RootProcess, assert_climbed, in_root, matrix_fn, note, over, test, test_fn};

#[pleach::rpc]
async fn countdown(from: u32) -> Result<u32> {
    if from == 0 {
        return Ok(0);
    }
    pleach::open_nursery(async |n| Ok(n.run_in_actor(countdown(from - 1)).await?.result().await? + 1)).await
}

/// Fails at the bottom; each level only passes the error on.
#[pleach::rpc]
async fn fail_below(levels: u32) -> Result<()> {
    if levels == 0 {
        return Err(Error::Usage("at the bottom".into()));
    }
    pleach::open_nursery(async |n| {
        let below = n.start_actor(format!("level{levels}")).enable(module_path!()).await?;
        below.run(fail_below(levels - 1)).await
    })
    .await
}

#[pleach::rpc]
async fn command_line() -> anyhow::Result<String> {
    let pid = std::process::id().to_string();
    let listed = Command::new("pgrep").args(["-af", "gardener"]).output()?;
    let lines = String::from_utf8(listed.stdout)?;
    Ok(lines.lines().find(|line| line.starts_with(&pid)).unwrap_or_default().to_owned())
}

#[pleach::rpc]
async fn threads() -> Result<bool> {
    let handle = tokio::runtime::Handle::current();
    Ok(handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(
            format!("trees::an_actor_runs_its_own_function_in_a_child_ten_deep_over_{protocol}"),
            move || an_actor_runs_its_own_function_in_a_child_ten_deep(protocol),
        ));
        tests.push(test(format!("trees::an_error_collects_its_hops_over_{protocol}"), move || {
            an_error_collects_its_hops(protocol)
        }));
    }
    tests.push(test_fn(a_process_shows_its_actors_name));
    tests.push(test_fn(parts_of_a_tree_use_different_transports));
    tests.push(test_fn(a_child_has_several_threads_on_request));
    tests.extend(matrix_fn(actors_have_the_threads_that_they_are_told));
    tests.push(Trial::test("trees::a_file_and_the_environment_choose_the_transport", || {
        a_file_and_the_environment_choose_the_transport();
        Ok(())
    }));
    tests
}

async fn an_actor_runs_its_own_function_in_a_child_ten_deep(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            assert_eq!(n.run_in_actor(countdown(9)).await?.result().await?, 9);
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn an_error_collects_its_hops(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let top = n.start_actor("top").enable(module_path!()).await?;
            assert_climbed(top.run(fail_below(2)).await);
            top.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_process_shows_its_actors_name() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("gardener").enable(module_path!()).await?;
            let line = portal.run(command_line()).await?;
            assert_eq!(line, format!("{} gardener [pleach] --pleach-actor", portal.id().pid()));
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn parts_of_a_tree_use_different_transports() {
    in_root(over("uds"), async |actor| {
        pleach::open_nursery(async |n| {
            for (protocol, codec) in [("tcp", "json"), ("quic", "msgpack"), ("mem", "json"), ("uds", "json")] {
                let portal = n.start_actor(protocol).enable(module_path!()).transport(protocol).codec(codec).await?;
                assert_eq!(portal.run(countdown(1)).await?, 1);
                portal.cancel_actor().await?;
            }
            let protocols: Vec<_> = actor.addresses().await.iter().map(|at| at.protocol().to_owned()).collect();
            assert_eq!(protocols.len(), 4, "{protocols:?}");
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// Over `mem`, actors had one thread each, whatever they were told.
// S122
async fn actors_have_the_threads_that_they_are_told(config: Config) {
    let several = config.multi_thread;
    in_root(config, async |_| {
        assert_eq!(threads().await?, several);
        let below = pleach::open_nursery(async |n| n.run_in_actor(threads()).await?.result().await).await?;
        assert_eq!(below, several);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_child_has_several_threads_on_request() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let several = n.start_actor("several").enable(module_path!()).multi_thread(true).await?;
            assert!(several.run(threads()).await?);
            assert_eq!(several.run(countdown(2)).await?, 2);
            let one = n.start_actor("one").enable(module_path!()).await?;
            assert!(!one.run(threads()).await?);
            tokio::try_join!(several.cancel_actor(), one.cancel_actor()).map(|_| ())
        })
        .await
    })
    .await
    .unwrap();
}

fn a_file_and_the_environment_choose_the_transport() {
    let report = |file: &str, variable: Option<(&str, &str)>| {
        let notes = Notes::new();
        let path = notes.dir().join("pleach.toml");
        std::fs::write(&path, file).unwrap();
        let mut args = vec![("PLEACH_CONFIG", path.to_str().unwrap())];
        args.extend(variable);
        let mut root = RootProcess::start_with("configured", &notes, "", &args);
        let report = notes.next();
        root.0.wait().unwrap();
        report
    };
    assert_eq!(report("transport = \"tcp\"\n", None), "tcp tcp");
    assert_eq!(report("transport = \"tcp\"\n", Some(("PLEACH_TRANSPORT", "quic"))), "quic quic");
    let misspelt = report("codec = \"json\"\ntransprt = \"tcp\"\n", None);
    for part in ["pleach.toml", "line 2", "transprt", "transport"] {
        assert!(misspelt.contains(part), "no {part:?} in: {misspelt}");
    }
    let unknown = report("\n\ntransport = \"carrier-pigeon\"\n", None);
    for part in ["pleach.toml", "line 3", "carrier-pigeon", "quic", "tcp", "uds"] {
        assert!(unknown.contains(part), "no {part:?} in: {unknown}");
    }
    let variable = report("", Some(("PLEACH_TRANSPRT", "tcp")));
    assert!(variable.contains("PLEACH_TRANSPRT"), "{variable}");
}

/// A root that is configured from outside reports what it uses, or why it can't start.
pub(crate) fn configured_root(notes: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended: Result<String> = tokio.block_on(pleach::open_nursery(async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        assert_eq!(portal.run(countdown(0)).await?, 0);
        let actor = pleach::current_actor().expect("this is inside a tree");
        let listening: Vec<_> = actor.addresses().await.iter().map(|at| at.protocol().to_owned()).collect();
        portal.cancel_actor().await?;
        Ok(format!("{} {}", actor.config().transport, listening.join(",")))
    }));
    note(notes, ended.unwrap_or_else(|error| format!("{error:?}")));
}
