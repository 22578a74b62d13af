//! Programs that join each other: started separately, with nothing in common but an address and a key.

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::discovery::registrar;
use pleach::prelude::*;
use pleach::wire::Address;
use pleach::{find_actor, get_registry, scope, wait_for_actor};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Meeting, Notes, RootProcess, assert_says, in_root, note, over, patience, soon, test};

#[pleach::rpc]
async fn double(n: u64) -> Result<u64> {
    Ok(n * 2)
}

#[pleach::rpc]
async fn waits_for(name: String, notes: String) -> Result<()> {
    note(&notes, "waiting");
    wait_for_actor(name).await.map(drop)
}

/// Protocols over which programs meet here.
const MEETING: [&str; 4] = ["tcp", "tls+tcp", "uds", "quic"];

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in MEETING {
        tests.push(test(format!("joining::two_programs_call_each_other_over_{protocol}"), move || {
            two_programs_call_each_other(protocol)
        }));
        tests.push(test(format!("joining::a_daemon_is_found_and_called_over_{protocol}"), move || {
            a_daemon_is_found_and_called(protocol)
        }));
    }
    // A killed process says nothing over QUIC; its peers find out when its silence has lasted too long.
    for protocol in ["tcp", "tls+tcp", "uds"] {
        tests.push(test(format!("joining::a_registrar_that_comes_back_knows_all_actors_over_{protocol}"), move || {
            a_registrar_that_comes_back_knows_all_actors(protocol)
        }));
    }
    for protocol in ["tcp", "uds"] {
        tests.push(test(format!("joining::who_waits_learns_that_the_registrar_is_gone_over_{protocol}"), move || {
            who_waits_learns_that_the_registrar_is_gone(protocol)
        }));
        tests.push(test(format!("joining::a_stopped_registrar_delays_no_other_over_{protocol}"), move || {
            a_stopped_registrar_delays_no_other(protocol)
        }));
    }
    tests
}

/// Starts another program that is the registrar at `address`.
fn start(how: &str, notes: &Notes, config: &Config) -> RootProcess {
    let key = config.key_file.as_ref().unwrap().to_str().unwrap();
    let process = RootProcess::start("service", notes, &format!("{how} {} {key}", config.registry[0]));
    notes.expect("registrar");
    process
}

/// The other program: it serves one function, and with `calls` calls one of the program that joins it.
pub(crate) fn service_root(notes: &str, args: &str) {
    let [how, registry, key] = args.split(' ').collect::<Vec<_>>()[..] else { panic!("{args}") };
    let registry: Address = registry.parse().unwrap();
    let config =
        Config { key_file: Some(PathBuf::from(key)), root_name: "service".into(), ..over(registry.protocol()) };
    let config = Config { registry: vec![registry], ..config };
    let serving = async {
        if how == "daemon" {
            let ready = async {
                while pleach::current_actor().is_none_or(|actor| !actor.is_registrar()) {
                    tokio::task::yield_now().await;
                }
                note(notes, "registrar");
            };
            return tokio::join!(pleach::run_daemon(config, [module_path!()]), ready).0;
        }
        pleach::open_root(config, async |actor| {
            assert!(actor.is_registrar());
            note(notes, "registrar");
            pleach::open_nursery(async |n| {
                n.start_actor("adder").enable(module_path!()).await?;
                let guest = wait_for_actor("guest").await?;
                note(notes, format!("got {}", guest.run(double(42)).await?));
                std::future::pending().await
            })
            .await
        })
        .await
    };
    let ended = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, serving);
    note(notes, format!("ended: {ended:?}"));
}

async fn two_programs_call_each_other(protocol: &'static str) {
    let (meeting, notes) = (Meeting::new(), Arc::new(Notes::new()));
    let config = meeting.config(&[meeting.address(protocol)]);
    let _program = start("calls", &notes, &config);
    in_root(config.clone(), async |actor| {
        assert!(!actor.is_registrar());
        assert_eq!(get_registry().await?.id().name(), "service");
        let adder = wait_for_actor("adder").await?;
        assert_ne!(adder.id().pid(), std::process::id());
        assert_eq!(adder.run(double(21)).await?, 42);
        pleach::open_nursery(async |n| {
            let guest = n.start_actor("guest").enable(module_path!()).await?;
            assert_eq!(notes.expect_async("got").await, "84");
            guest.cancel_actor().await
        })
        .await?;
        adder.close().await
    })
    .await
    .unwrap();
    // Without the key no program can join.
    let elsewhere = Meeting::new();
    let stranger = elsewhere.config(&config.registry);
    let refused = in_root(stranger, async |_| Ok(())).await;
    assert!(matches!(refused, Err(Error::Registry { .. })), "{refused:?}");
    let why = if matches!(protocol, "tcp" | "uds") { "does not know this tree's key" } else { "tls: " };
    assert_says(&refused, &[why, "the same `key_file`"]);
}

// S99
async fn a_daemon_is_found_and_called(protocol: &'static str) {
    let (meeting, notes) = (Meeting::new(), Arc::new(Notes::new()));
    let config = meeting.config(&[meeting.address(protocol)]);
    let mut program = start("daemon", &notes, &config);
    in_root(config, async |_| {
        let service = find_actor("service").required().await?;
        assert_eq!(service.id().pid(), program.pid());
        assert_eq!(service.run(double(4)).await?, 8);
        service.close().await
    })
    .await
    .unwrap();
    kill_process(Pid::from_raw(program.pid() as i32).unwrap(), Signal::TERM).unwrap();
    assert_eq!(notes.expect_async("ended:").await, "Ok(())");
    assert!(program.0.wait().unwrap().success());
}

async fn a_registrar_that_comes_back_knows_all_actors(protocol: &'static str) {
    let (meeting, notes) = (Meeting::new(), Arc::new(Notes::new()));
    let config = meeting.config(&[meeting.address(protocol)]);
    let program = start("daemon", &notes, &config);
    in_root(Config { root_name: "guest".into(), ..config.clone() }, async |_| {
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").await?;
            let first = get_registry().await?;
            drop(program); // by SIGKILL
            let notes = notes.clone();
            let again = tokio::task::spawn_blocking(move || start("daemon", &notes, &config));
            let _program = again.await.unwrap();
            // Both dial again by themselves, each after a pause.
            let back = async {
                assert_eq!(wait_for_actor("child").await?.id(), child.id());
                wait_for_actor("guest").await?;
                let second = get_registry().await?;
                assert_ne!(first.id(), second.id());
                let listed = second.run(registrar::list()).await?;
                assert_eq!(listed.len(), 3, "{listed:?}");
                Ok::<_, Error>(())
            };
            fail_after(patience(), back).await?;
            child.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// D4: waiters get the answer, and later callers too.
async fn who_waits_learns_that_the_registrar_is_gone(protocol: &'static str) {
    let (meeting, notes) = (Meeting::new(), Arc::new(Notes::new()));
    let config = meeting.config(&[meeting.address(protocol)]);
    let program = start("daemon", &notes, &config);
    let guest = Config { dial: soon(), root_name: "guest".into(), ..config };
    in_root(guest, async |_| {
        pleach::open_nursery(async |n| {
            let asker = n.start_actor("asker").enable(module_path!()).await?;
            let there = asker.run(waits_for("missing".into(), notes.address()));
            let kill = async {
                notes.expect_async("waiting").await;
                drop(program); // by SIGKILL
            };
            let all = async { tokio::join!(wait_for_actor("missing"), there, kill) };
            let (here, there, ()) = scope::fail_after_value(patience(), all).await?;
            assert!(matches!(here, Err(Error::Disconnected { .. } | Error::Transport(_))), "{here:?}");
            assert!(matches!(there, Err(Error::Remote(_))), "{there:?}");
            for asked in [find_actor("asker").await.map(drop), get_registry().await.map(drop)] {
                assert!(matches!(asked, Err(Error::Disconnected { .. } | Error::Transport(_))), "{asked:?}");
            }
            asker.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// Nothing is sent by a process that is stopped, not even that it is.
async fn a_stopped_registrar_delays_no_other(protocol: &'static str) {
    let (meeting, notes) = (Meeting::new(), Arc::new(Notes::new()));
    let config = meeting.config(&[meeting.address(protocol)]);
    let program = start("daemon", &notes, &config);
    let guest = Config { dial: soon(), root_name: "guest".into(), ..config };
    in_root(guest, async |_| {
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").await?;
            kill_process(Pid::from_raw(program.pid() as i32).unwrap(), Signal::STOP).unwrap();
            let found = find_actor("child").await;
            assert!(matches!(found, Err(Error::Timeout { .. })), "{found:?}");
            let late = n.start_actor("late").enable(module_path!()).await?;
            assert_eq!(late.run(double(1)).await?, 2);
            child.cancel_actor().await?;
            late.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}
