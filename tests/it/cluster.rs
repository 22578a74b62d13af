//! Clusters: several actors at once, for as long as a block.

use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::trionics::{Cluster, open_actor_cluster};

use crate::support::{PROCESSES, Watched, assert_says, in_root, matrix_fn, matrix_over, over, test_fn};

/// Says in which actor and process it runs.
#[pleach::rpc]
async fn who() -> Result<(String, u32)> {
    let actor = pleach::current_actor().ok_or_else(|| Error::Usage("not inside an actor".into()))?;
    Ok((actor.id().name().to_owned(), std::process::id()))
}

/// Ends its process.
#[pleach::rpc]
async fn give_up() -> Result<()> {
    std::process::exit(7)
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(each_has_its_name);
    tests.extend(matrix_over(&PROCESSES, "cluster::nothing_outlives_the_block", nothing_outlives_the_block));
    tests.push(test_fn(one_that_dies_ends_them_all));
    tests.push(test_fn(one_that_cannot_be_started_ends_them_all));
    tests.push(test_fn(the_configuration_says_where));
    tests
}

fn three() -> Cluster {
    Cluster::new().enable(module_path!()).count(3)
}

async fn each_has_its_name(config: Config) {
    let named = in_root(config, async |_| {
        open_actor_cluster(three(), async |portals| {
            for (name, portal) in &portals {
                assert_eq!(portal.run(who()).await?.0, *name);
            }
            Ok::<_, Error>(portals.into_keys().collect::<Vec<_>>())
        })
        .await
    });
    assert_eq!(named.await.unwrap(), ["root.worker_0", "root.worker_1", "root.worker_2"]);
}

async fn nothing_outlives_the_block(config: Config) {
    for (hard_kill, fails) in [(false, false), (true, false), (false, true)] {
        let mut there = Vec::new();
        let outcome = in_root(config.clone(), async |_| {
            let cluster = three().names(["a", "b", "c"]).hard_kill(hard_kill);
            open_actor_cluster(cluster, async |portals| {
                for portal in portals.values() {
                    there.push(Watched::new(portal.run(who()).await?.1));
                }
                if fails { Err(Error::Usage("enough".into())) } else { Ok(()) }
            })
            .await?;
            there.iter().for_each(|process| process.assert_gone_within(Duration::ZERO));
            Ok(())
        });
        match fails {
            true => assert_says(&outcome.await, &["enough"]),
            false => outcome.await.unwrap(),
        }
        assert_eq!(there.len(), 3);
        there.iter().for_each(|process| process.assert_gone_within(Duration::ZERO));
    }
}

async fn one_that_dies_ends_them_all() {
    let outcome = in_root(over("uds"), async |_| {
        open_actor_cluster(three(), async |portals| {
            let _died = portals["root.worker_1"].run(give_up()).await; // the cluster has the reason
            std::future::pending::<Result<()>>().await
        })
        .await
    });
    assert_says(&outcome.await, &["root.worker_1", "exited with code 7"]);
}

async fn one_that_cannot_be_started_ends_them_all() {
    let outcome = in_root(over("uds"), async |_| {
        open_actor_cluster(three().names(["a", "", "c"]), async |_| panic!("it must not begin")).await
    });
    let outcome: Result<()> = outcome.await;
    assert_says(&outcome, &["its name is empty"]);
}

async fn the_configuration_says_where() {
    let config = Config { hosts: "local*2".parse().unwrap(), ..over("uds") };
    let started = in_root(config, async |_| {
        open_actor_cluster(Cluster::new(), async |portals| Ok::<_, Error>(portals.len())).await
    });
    assert_eq!(started.await.unwrap(), 2);
}
