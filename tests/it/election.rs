//! Who keeps the names: the outcome for a root, whatever there is at the configured addresses.

use libtest_mimic::Trial;
use pleach::discovery::registrar;
use pleach::prelude::*;
use pleach::{find_actor, get_registry};

use crate::support::{Meeting, assert_says, in_root, over, soon, test, test_fn, with_joined};

/// Protocols over which programs meet here.
const MEETING: [&str; 3] = ["mem", "tcp", "uds"];

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in MEETING {
        tests
            .push(test(format!("election::the_first_root_is_the_registrar_and_the_next_one_joins_over_{protocol}"), {
                move || next_one_joins(protocol)
            }));
        tests.push(test(format!("election::of_roots_that_start_at_once_one_wins_over_{protocol}"), move || {
            of_roots_that_start_at_once_one_wins(protocol)
        }));
    }
    tests.push(test_fn(a_root_without_an_address_binds_nothing));
    tests.push(test_fn(an_address_needs_a_key_file));
    tests.push(test_fn(what_speaks_no_pleach_is_left_alone));
    tests.push(test_fn(an_actor_that_is_no_registrar_is_left_alone));
    tests.push(test_fn(another_trees_registrar_is_not_joined));
    tests.push(test_fn(a_root_that_has_to_be_the_registrar_fails_beside_another));
    tests.push(test_fn(a_probe_leaves_no_trace));
    tests.push(test_fn(several_registrars_are_joined_at_once));
    tests.push(test_fn(an_unused_address_elsewhere_is_an_error));
    tests.push(test_fn(an_address_may_be_written_in_several_ways));
    tests.push(test_fn(an_unknown_protocol_is_an_error));
    tests
}

// S98
async fn next_one_joins(protocol: &'static str) {
    let meeting = Meeting::new();
    let config = meeting.config(&[meeting.address(protocol)]);
    let joining = Config { root_name: "guest".into(), ..config.clone() };
    with_joined(config, joining, async |first, second| {
        assert_eq!(get_registry().await?.id(), first.id());
        assert_eq!(find_actor("root").required().await?.id(), first.id());
        assert_eq!(find_actor("guest").required().await?.id(), second.id());
        // What it starts is entered there, too.
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").await?;
            let listed = get_registry().await?.run(registrar::list()).await?;
            let names: Vec<_> = listed.iter().map(|one| one.who.name()).collect();
            assert_eq!(names, ["root", "guest", "child"]);
            child.cancel_actor().await
        })
        .await
    })
    .await;
}

async fn of_roots_that_start_at_once_one_wins(protocol: &'static str) {
    for _ in 0..5 {
        let meeting = Meeting::new();
        let config = meeting.config(&[meeting.address(protocol)]);
        let barrier = tokio::sync::Barrier::new(4);
        let root = || {
            in_root(config.clone(), async |actor| {
                barrier.wait().await;
                let listed = get_registry().await?.run(registrar::list()).await?.len();
                barrier.wait().await;
                // The registrar leaves last.
                if !actor.is_registrar() {
                    return Ok((listed, false));
                }
                while actor.registry().expect("it has begun").list().await?.len() > 1 {
                    tokio::task::yield_now().await;
                }
                Ok((listed, true))
            })
        };
        let (a, b, c, d) = tokio::join!(root(), root(), root(), root());
        let all = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
        assert_eq!(all.iter().filter(|one| one.1).count(), 1, "{all:?}");
        assert!(all.iter().all(|one| one.0 == 4), "{all:?}");
    }
}

async fn a_root_without_an_address_binds_nothing() {
    in_root(over("tcp"), async |actor| {
        assert!(actor.is_registrar());
        assert!(actor.addresses().await.is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_address_needs_a_key_file() {
    let meeting = Meeting::new();
    let config = Config { key_file: None, ..meeting.config(&[meeting.address("uds")]) };
    let ended = in_root(config, async |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::Config(_))), "{ended:?}");
    assert_says(&ended, &["`key_file`", "PLEACH_KEY_FILE"]);
}

async fn what_speaks_no_pleach_is_left_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let meeting = Meeting::new();
    let free = meeting.address("tcp");
    let config = Config { dial: soon(), ..meeting.config(&[address.parse().unwrap(), free.clone()]) };
    let ended = in_root(config, async |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::Registry { .. })), "{ended:?}");
    assert_says(&ended, &[&address, "does not answer"]);
    // The free one was not bound beside it.
    let is_registrar = in_root(meeting.config(&[free]), async |actor| Ok(actor.is_registrar())).await;
    assert!(is_registrar.unwrap());
}

async fn an_actor_that_is_no_registrar_is_left_alone() {
    let meeting = Meeting::new();
    let (registry, other) = (meeting.address("uds"), meeting.address("tcp"));
    let config = meeting.config(std::slice::from_ref(&registry));
    let guest = Config { listen: vec![other.clone()], root_name: "guest".into(), ..config.clone() };
    let third = Config { registry: vec![other.clone()], ..config.clone() };
    with_joined(config, guest, async |_, _| {
        // Beside them: it belongs to no scope.
        let ended = tokio::task::spawn_blocking(move || in_a_thread(third)).await.unwrap();
        assert_says(&ended, &[&other.to_string(), "taken by actor `guest`", "not a registrar"]);
        Ok(())
    })
    .await;
}

// SEC-17, SEC-21
async fn another_trees_registrar_is_not_joined() {
    let (meeting, stranger) = (Meeting::new(), Meeting::new());
    let address = meeting.address("tcp");
    let config = meeting.config(std::slice::from_ref(&address));
    in_root(config, async |_| {
        let strangers = stranger.config(std::slice::from_ref(&address));
        let ended = tokio::task::spawn_blocking(move || in_a_thread(strangers)).await.unwrap();
        assert!(matches!(ended, Err(Error::Registry { .. })), "{ended:?}");
        assert_says(&ended, &[&address.to_string(), "does not know this tree's key", "the same `key_file`"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_root_that_has_to_be_the_registrar_fails_beside_another() {
    let meeting = Meeting::new();
    let config = meeting.config(&[meeting.address("uds")]);
    let second = Config { ensure_registry: true, ..config.clone() };
    in_root(Config { ensure_registry: true, ..config }, async |_| {
        let ended = tokio::task::spawn_blocking(move || in_a_thread(second)).await.unwrap();
        assert_says(&ended, &["already has the registrar actor `root`", "`ensure_registry`"]);
        Ok(())
    })
    .await
    .unwrap();
}

// S87, S88
async fn a_probe_leaves_no_trace() {
    let meeting = Meeting::new();
    let address = meeting.address("uds");
    let config = meeting.config(std::slice::from_ref(&address));
    let prober = Config { ensure_registry: true, ..config.clone() };
    in_root(config, async |actor| {
        let registry = actor.registry().expect("it has begun");
        for _ in 0..20 {
            // One that finds out and leaves, and one that does not even say hello.
            let prober = prober.clone();
            let probed = tokio::task::spawn_blocking(move || in_a_thread(prober));
            let path = address.to_string().replace("uds://", "");
            drop(tokio::net::UnixStream::connect(path).await.unwrap());
            assert!(probed.await.unwrap().is_err());
            assert_eq!(registry.list().await?.len(), 1);
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn several_registrars_are_joined_at_once() {
    let meeting = Meeting::new();
    let (one, other) = (meeting.address("uds"), meeting.address("tcp"));
    let first = Config { root_name: "first".into(), ..meeting.config(std::slice::from_ref(&one)) };
    let second = Config { root_name: "second".into(), ..meeting.config(std::slice::from_ref(&other)) };
    let guest = Config { root_name: "guest".into(), ..meeting.config(&[one, other]) };
    in_root(first, async |first| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let beside = tokio::task::spawn_blocking(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(with_joined(second, guest, async |second, _guest| {
                for name in ["first", "second", "guest"] {
                    assert_eq!(find_actor(name).required().await?.id().name(), name);
                }
                let listed = pleach::current_actor().and_then(|actor| actor.registry()).unwrap().list().await?;
                assert_eq!(listed.len(), 3, "{listed:?}");
                let _ = tell.send(second.id().clone()); // the test has failed if it is not taken
                Ok(())
            }));
        });
        told.await.expect("all were found");
        beside.await.unwrap();
        assert_eq!(first.registry().expect("it has begun").find("second").await?, []);
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_unused_address_elsewhere_is_an_error() {
    let meeting = Meeting::new();
    // An address for documentation: no host has it.
    let config =
        Config { allow_non_loopback: true, dial: soon(), ..meeting.config(&["tcp://192.0.2.1:1616".parse().unwrap()]) };
    let ended = in_root(config, async |_| Ok(())).await;
    assert_says(&ended, &["tcp://192.0.2.1:1616", "can't be bound here"]);
}

/// Several protocols at once; a name that has to be resolved, which joins who is bound to a number.
async fn an_address_may_be_written_in_several_ways() {
    let meeting = Meeting::new();
    // At the host that has a name.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    let [tls, uds, quic] = ["tls+tcp", "uds", "quic"].map(|protocol| meeting.address(protocol));
    let protocols = [tcp, tls, uds, quic];
    let config = meeting.config(&protocols);
    for at in [format!("tcp://localhost:{port}"), format!("/ip4/127.0.0.1/tcp/{port}"), protocols[3].to_string()] {
        let joining = Config { registry: vec![at.parse().unwrap()], ..config.clone() };
        with_joined(config.clone(), joining, async |first, _| {
            assert_eq!(first.addresses().await.len(), protocols.len());
            assert_eq!(get_registry().await?.id(), first.id());
            Ok(())
        })
        .await;
    }
}

async fn an_unknown_protocol_is_an_error() {
    let meeting = Meeting::new();
    let config = Config { registry: vec!["udp://127.0.0.1:7".parse().unwrap()], ..meeting.config(&[]) };
    let ended = in_root(config, async |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::Registry { .. })), "{ended:?}");
    assert_says(&ended, &["udp://127.0.0.1:7", "no transport for codec `msgpack` over `udp`"]);
}

/// Runs a root that is to fail, beside the one of the test.
fn in_a_thread(config: Config) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(in_root(config, async |_| Ok(())))
}
