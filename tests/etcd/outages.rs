//! etcd stopped and started again, forgetful and compacted, while it is used.

use etcd_client::Client;
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use pleach::Error;
use pleach::error::Result;

use crate::registry_suite::{Subject, actor};
use crate::server::Server;
use crate::{LEASE, SHORT_LEASE, test, with_registry};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("outages::entries_and_waits_get_over_a_restart", || over_a_restart(false)),
        test("outages::entries_and_waits_get_over_a_loss_of_all_data", || over_a_restart(true)),
        test("outages::an_entry_that_was_taken_out_by_mistake_comes_back", by_mistake),
        test("outages::a_wait_gets_over_compactions", compacted),
        test("outages::a_silent_etcd_is_an_error_in_time", silent),
        test("outages::an_absent_etcd_is_an_error", absent),
    ]
}

async fn over_a_restart(all_is_lost: bool) -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), SHORT_LEASE, async |registry| {
        let (steady, late) = (actor("steady"), actor("late"));
        let registration = registry.register(steady.clone()).await?;
        let during = during_the_outage(&registry, &server, all_is_lost);
        let waiting = async { registry.wait_for("late").await };
        let (found, late_registration) = tokio::join!(biased; waiting, async {
            during.await;
            // Only the task that keeps it registered registers it again.
            assert_eq!(registry.wait_for("steady").await?, [steady]);
            registry.register(late.clone()).await
        });
        assert_eq!(found?, [late]);
        late_registration?.leave().await?;
        registration.leave().await?;
        assert_eq!(registry.list().await?, []);
        Ok(())
    })
    .await
}

async fn during_the_outage(registry: &Subject, server: &Server, all_is_lost: bool) {
    server.stop();
    for _ in 0..3 {
        assert_away(async || registry.find("steady").await).await;
    }
    assert_away(async || registry.list().await).await;
    assert_away(async || registry.remove(&actor("steady")).await).await;
    assert_away(async || registry.register(actor("unknown")).await).await;
    if all_is_lost {
        server.forget();
    }
    server.restart();
}

async fn assert_away<T: std::fmt::Debug>(asked: impl AsyncFnOnce() -> Result<T>) {
    let Err(Error::Registry { address, why }) = asked().await else { panic!("this is not an answer of the registry") };
    assert!(address.starts_with("etcd://127.0.0.1:"), "{address}");
    assert!(why.starts_with("can't ") && why.contains("check that"), "{why}");
}

async fn by_mistake() -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), SHORT_LEASE, async |registry| {
        let actor = actor("worker");
        let registration = registry.register(actor.clone()).await?;
        registry.remove(&actor).await?;
        assert_eq!(registry.wait_for("worker").await?, [actor]);
        registration.leave().await?;
        assert_eq!(registry.find("worker").await?, []);
        Ok(())
    })
    .await
}

/// Waits begin at revisions that are forgotten a moment later.
async fn compacted() -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), LEASE, async |registry| {
        let mut etcd = Client::connect([format!("127.0.0.1:{}", server.port())], None).await.unwrap();
        let waits = async {
            for _ in 0..10 {
                try_join_all((0..20).map(|_| registry.wait_for("late"))).await?;
            }
            Ok::<_, Error>(())
        };
        let comes = async {
            for round in 0.. {
                let put = etcd.put("p/actors/other/x", format!("{round}"), None).await.unwrap();
                let revision = put.header().unwrap().revision();
                etcd.compact(revision, None).await.unwrap();
                if round % 20 == 19 {
                    registry.register(actor("late")).await?.leave().await?;
                }
            }
            Ok::<_, Error>(())
        };
        tokio::select! {
            waited = waits => waited,
            ended = comes => ended,
        }
    })
    .await
}

async fn silent() -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), LEASE, async |registry| {
        let registration = registry.register(actor("worker")).await?;
        let paused = server.pause();
        assert_away(async || registry.find("worker").await).await;
        assert_away(async || registry.register(actor("unknown")).await).await;
        assert_away(async || with_registry(&server.address("p"), LEASE, async |_| Ok(())).await).await;
        drop(paused);
        assert_eq!(registry.wait_for("worker").await?.len(), 1);
        registration.leave().await
    })
    .await
}

async fn absent() -> Result<()> {
    let address = {
        let server = Server::start();
        server.address("p")
    };
    assert_away(async || with_registry(&address, LEASE, async |_| Ok(())).await).await;
    Ok(())
}
