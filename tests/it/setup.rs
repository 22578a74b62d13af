//! What a start says about the process of its actor, and what the actor finds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ChildOutput, Resource, Start};

use crate::support::{PROCESSES, assert_says, in_nursery, is_there, matrix_over, over, test_fn};

/// What a process finds.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Found {
    cwd: PathBuf,
    args: Vec<String>,
    env: Vec<String>,
    /// The lines of `/proc/self/status`.
    status: BTreeMap<String, String>,
    /// The lines of `/proc/self/limits`, without the names of their units.
    limits: BTreeMap<String, String>,
    nice: i32,
}

#[pleach::rpc]
async fn look() -> anyhow::Result<Found> {
    println!("a line of output");
    eprintln!("a line of errors");
    let lines = |file, between: &str| -> anyhow::Result<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(file)?;
        let pairs = text.lines().filter_map(|line| line.split_once(between));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    };
    Ok(Found {
        cwd: std::env::current_dir()?,
        args: std::env::args().collect(),
        env: std::env::vars().map(|(name, _)| name).collect(),
        status: lines("/proc/self/status", ":")?,
        limits: lines("/proc/self/limits", "  ")?,
        nice: rustix::process::getpriority_process(None)?,
    })
}

#[pleach::rpc]
async fn stays() -> Result<()> {
    std::future::pending().await
}

pub(crate) fn tests() -> Vec<Trial> {
    let processes = matrix_over(&PROCESSES, "setup::a_process_is_set_up_as_its_start_says", as_its_start_says);
    let once = [
        test_fn(another_user_is_had_over_a_network_only),
        test_fn(what_can_not_be_set_up_is_an_error_that_says_so),
        test_fn(another_program_is_an_actor_if_it_enters_the_library),
        test_fn(an_actor_may_end_with_the_body),
    ];
    processes.into_iter().chain(once).collect()
}

fn worker(n: &Nursery) -> Start<Portal> {
    n.start_actor("worker").enable(module_path!())
}

async fn as_its_start_says(config: Config) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().canonicalize().unwrap();
    in_nursery(config, async |n| {
        let start = worker(&n)
            .cwd(&at)
            .args(["--size", "7"])
            .env_clear()
            .env("ONLY", "this")
            .limit(Resource::OpenFiles, 100)
            .limit(Resource::CoreFile, 0)
            .nice(5)
            .cpus([0])
            .no_new_privileges()
            .stdout_file(at.join("out"))
            .stderr_file(at.join("err"));
        let there = start.await?;
        let found = there.run(look()).await?;
        assert_eq!(found.cwd, at);
        assert_eq!(found.args[2..], ["--size", "7"]);
        assert_eq!(found.env, ["ONLY"]);
        let limits = &found.limits;
        assert!(limits["Max open files"].starts_with("100 "), "{limits:?}");
        assert!(limits["Max core file size"].starts_with("0 "), "{limits:?}");
        assert_eq!(found.nice, 5);
        assert_eq!((&*found.status["Cpus_allowed_list"], &*found.status["NoNewPrivs"]), ("0", "1"));
        for (file, line) in [("out", "a line of output\n"), ("err", "a line of errors\n")] {
            assert_eq!(std::fs::read_to_string(at.join(file)).unwrap(), line);
        }
        // Its own children inherit what processes inherit.
        there.cancel_actor().await?;
        let usual = worker(&n).stdout(ChildOutput::Null).stderr(ChildOutput::Null).await?;
        let found = usual.run(look()).await?;
        assert_eq!((found.cwd, found.nice), (std::env::current_dir().unwrap(), 0));
        assert_eq!((found.args.len(), &*found.status["NoNewPrivs"]), (2, "0"));
        usual.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn another_user_is_had_over_a_network_only() {
    in_nursery(over("tcp"), async |n| {
        let there = worker(&n).user(65534, 65534, &[]).await?;
        let status = there.run(look()).await?.status;
        assert!(status["Uid"].split_whitespace().chain(status["Gid"].split_whitespace()).all(|id| id == "65534"));
        assert_eq!(status["Groups"], "");
        there.cancel_actor().await?;
        assert_says(&worker(&n).transport("uds").user(65534, 65534, &[]).await, &["worker", "same user", "`tcp`"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn what_can_not_be_set_up_is_an_error_that_says_so() {
    in_nursery(over("uds"), async |n| {
        let refused = [
            (worker(&n).cwd("/nowhere"), "the directory /nowhere: No such file"),
            (worker(&n).stdout_file("/nowhere/out"), "the output /nowhere/out: No such file"),
            (worker(&n).cpus([1000]), "the processors [1000]"),
        ];
        for (start, why) in refused {
            assert_says(&start.await, &["worker", why]);
        }
        assert_says(&worker(&n).program("/nowhere/program").await, &["exec failed: /nowhere/program: No such file"]);
        let on_a_thread = worker(&n).transport("mem").nice(3).await;
        assert_says(&on_a_thread, &["worker", "over `mem`", "no process"]);
        assert_eq!(n.children().len(), 0);
        Ok(())
    })
    .await
    .unwrap();
}

async fn another_program_is_an_actor_if_it_enters_the_library() {
    in_nursery(over("uds"), async |n| {
        // The same program by another path.
        let program = std::env::current_exe().unwrap();
        let there = worker(&n).program(program).await?;
        assert_eq!(there.run(look()).await?.args.len(), 2);
        there.cancel_actor().await?;
        let other = worker(&n).program("/bin/false").await;
        assert_says(&other, &["worker", "exited with code 1"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_actor_may_end_with_the_body() {
    let mut pid = 0;
    in_nursery(over("uds"), async |n| {
        let helper = worker(&n).until_body_ends().await?;
        pid = helper.id().pid();
        assert_eq!(helper.run(look()).await?.args.len(), 2);
        Ok(())
    })
    .await
    .unwrap();
    assert!(!is_there(pid));
    // A call that is under way then is cancelled with it.
    let ended = in_nursery(over("uds"), async |n| {
        let helper = worker(&n).until_body_ends().await?;
        n.run_in_actor(stays()).await?;
        assert!(is_there(helper.id().pid()));
        Err::<(), _>(Error::Usage("enough".into()))
    });
    assert_says(&ended.await, &["enough"]);
}
