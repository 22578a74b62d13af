//! What actors do at another host: everything that they do here.

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{EndedBy, Host, Portal, WaitStatus};

use crate::site::{dir, expect_nothing_left, in_nursery, node, processes_with, test, with_lines};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("work::calls_contexts_and_streams_go_over_quic", dialogs),
        test("work::a_host_has_its_own_directory_and_variables", surroundings),
        test("work::an_actor_there_has_children_there", nested),
        test("work::many_actors_share_logins", many),
        test("work::a_jump_host_of_the_user_is_used", jump),
        test("work::a_parent_behind_a_router_is_reached_by_a_forwarded_port", forwarded),
    ]
}

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

#[pleach::rpc]
pub(crate) async fn exe() -> Result<String> {
    Ok(std::env::current_exe().unwrap().display().to_string())
}

/// The directory, a variable, and what was said.
#[pleach::rpc]
async fn surroundings_there(variable: String) -> Result<(String, Option<String>)> {
    println!("said on standard output");
    Ok((std::env::current_dir().unwrap().display().to_string(), std::env::var(variable).ok()))
}

#[pleach::context]
async fn doubler(ctx: &mut Context<String, u64, u64>) -> Result<u64> {
    ctx.started("ready".into()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut seen = 0;
    while let Some(n) = stream.recv().await? {
        stream.send(n * 2).await?;
        seen += 1;
    }
    Ok(seen)
}

#[pleach::stream]
async fn count(out: &mut StreamSender<u64>, to: u64) -> Result<()> {
    for n in 0..to {
        out.send(n).await?;
    }
    Ok(())
}

/// Adds in a child of its own.
#[pleach::rpc]
async fn add_below(a: u64, b: u64) -> Result<u64> {
    pleach::open_nursery(async |n| n.run_in_actor(add(a, b)).await?.result().await).await
}

async fn dialogs() {
    let n = in_nursery(Config::default(), async |n| {
        let portal: Portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        assert_ne!(portal.id().pid(), 0);
        assert_eq!(portal.run(add(1, 2)).await?, 3);
        let seen = portal
            .open_context(doubler(), async |ctx, first| {
                assert_eq!(first, "ready");
                let mut stream = ctx.open_stream().await?;
                for n in 0..100 {
                    stream.send(n).await?;
                    assert_eq!(stream.recv().await?, Some(n * 2));
                }
                stream.close().await?;
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 100);
        let counted = portal
            .open_stream_from(count(1000), async |mut stream| {
                let mut sum = 0;
                while let Some(n) = stream.recv().await? {
                    sum += n;
                }
                Ok::<_, Error>(sum)
            })
            .await?;
        assert_eq!(counted, 999 * 1000 / 2);
        n.cancel().await;
        Ok(n)
    })
    .await
    .unwrap();
    let endings = n.report().endings;
    assert_eq!((endings.len(), endings[0].by, endings[0].status), (1, EndedBy::Request, WaitStatus::Exited(0)));
}

async fn surroundings() {
    in_nursery(Config::default(), async |n| {
        let host = node().directory(dir().join("tmp")).env("OF_HOST", "yes").env("OF_BOTH", "host");
        let portal = n.start_actor("far").on(host).env("OF_BOTH", "actor").enable(module_path!()).await?;
        let expected = dir().join("tmp").display().to_string();
        assert_eq!(portal.run(surroundings_there("OF_HOST".into())).await?, (expected, Some("yes".into())));
        assert_eq!(portal.run(surroundings_there("OF_BOTH".into())).await?.1, Some("actor".into()));
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
    expect_nothing_left();
    let nowhere = in_nursery(Config::default(), async |n| {
        n.start_actor("far").on(node().directory("/nowhere")).await.map(|_| ())
    });
    crate::site::assert_says(&nowhere.await, &["far", "its directory /nowhere: No such file"]);
}

async fn nested() {
    in_nursery(Config::default(), async |n| {
        let portal = n.start_actor("far").on(node()).enable(module_path!()).await?;
        assert_eq!(portal.run(add_below(20, 22)).await?, 42);
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

/// More than one login can carry.
async fn many() {
    let sum = in_nursery(Config::default(), async |n| {
        let started = (0..12).map(|i| n.run_in_actor(add(i, 1)).name(format!("far{i}")).on(node()));
        let portals = futures_util::future::try_join_all(started.map(IntoFuture::into_future)).await?;
        let mut sum = 0;
        for portal in portals {
            sum += portal.result().await?;
        }
        let logins = processes_with(&format!("-F {}", dir().join("ssh_config").display())).len();
        Ok((sum, logins))
    })
    .await
    .unwrap();
    assert_eq!(sum, (78, 2));
}

/// `ssh` starts another `ssh` for that, which ends with it.
async fn jump() {
    let file = with_lines("jump", "");
    let text = std::fs::read_to_string(&file).unwrap();
    let port = text.lines().skip_while(|line| *line != "Host node").find_map(|line| line.trim().strip_prefix("Port "));
    let behind = format!("    HostName 127.0.0.1\n    Port {}\n    ProxyJump node\nHost *", port.unwrap());
    let file = with_lines("jump", &format!("Host behind\n{behind}"));
    let starts = format!("-F {}", file.display());
    in_nursery(Config::default(), async |n| {
        let portal = n.start_actor("far").on(Host::ssh("behind").config_file(file)).enable(module_path!()).await?;
        assert_eq!(portal.run(add(1, 2)).await?, 3);
        assert_eq!(processes_with(&starts).len(), 2);
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

/// The user's configuration of `ssh` brings the connections of the host here, and the parent says so.
async fn forwarded() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (here, there) = (free(), free());
    let file = with_lines("forwarded", &format!("Host node\n    RemoteForward {there} 127.0.0.1:{here}\nHost *"));
    let at = |port: u16| format!("tcp://127.0.0.1:{port}").parse().unwrap();
    let config = Config { listen: vec![at(here)], advertise: vec![at(there)], ..Config::default() };
    in_nursery(config, async |n| {
        let host = Host::ssh("node").config_file(file).transport("tcp").listen(at(0));
        let portal = n.start_actor("far").on(host).enable(module_path!()).await?;
        assert_eq!(portal.run(add(1, 2)).await?, 3);
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}
