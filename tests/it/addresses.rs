//! Parents that listen at several addresses, or elsewhere than they say.

use std::net::{SocketAddr, UdpSocket};

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::free_address::free_address;
use crate::support::{Meeting, in_root, over, test, test_fn};

#[pleach::rpc]
async fn double(n: u64) -> Result<u64> {
    Ok(n * 2)
}

async fn a_call_works(config: Config) -> Vec<String> {
    in_root(config, async |root| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").enable(module_path!()).await?;
            assert_eq!(portal.run(double(21)).await?, 42);
            portal.cancel_actor().await
        })
        .await?;
        Ok(root.addresses().await.iter().map(ToString::to_string).collect())
    })
    .await
    .unwrap()
}

/// The child gets the addresses of all interfaces, and takes one of them.
async fn bound_to_every_interface() {
    let config = Config { listen: vec!["quic://0.0.0.0:0".parse().unwrap()], ..over("quic") };
    let bound = a_call_works(config).await;
    assert!(bound.len() == 1 && bound[0].starts_with("quic://0.0.0.0:"), "{bound:?}");
}

/// Of the addresses that it is told, one is refused at once, one never answers; the parent is at the last.
async fn the_first_addresses_lead_nowhere() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = free_address();
    for (protocol, nowhere) in [("tcp", free_address()), ("quic", silent.local_addr().unwrap())] {
        let at = |address: SocketAddr| format!("{protocol}://{address}").parse().unwrap();
        let advertise = vec![at(nowhere), at(here)];
        let config = Config { listen: vec![at(here)], advertise, ..over(protocol) };
        a_call_works(config).await;
    }
}

/// All addresses are wrong: the error of the child names each.
async fn the_parents_address_is_unused() {
    let free = [(); 2].map(|()| free_address());
    let advertise = free.map(|at| format!("tcp://{at}").parse().unwrap()).to_vec();
    let config = Config { advertise, ..over("tcp") };
    let started =
        in_root(config, async |_root| pleach::open_nursery(async |n| n.start_actor("child").await.map(|_| ())).await)
            .await;
    let Err(Error::ActorDied(died)) = started else { panic!("{started:?}") };
    let words = died.stderr.join("\n");
    assert!(free.iter().all(|at| words.contains(&at.to_string())), "{words}");
}

/// A root that is its own registrar listens at its configured address from the start; the registrar of others does so
/// beside its registry address. Neither needs a child for that.
async fn configured_addresses_are_listened_at(keeps_others_names: bool) {
    let meeting = Meeting::new();
    for protocol in ["tcp", "uds", "quic", "tls+tcp"] {
        let listen = vec![meeting.address(protocol)];
        let names = if keeps_others_names { vec![meeting.address("tcp")] } else { Vec::new() };
        let config = Config { listen: listen.clone(), ..meeting.config(&names) };
        in_root(config, async |root| {
            let bound = root.addresses().await;
            let expected = [names, listen].concat();
            assert!(expected.iter().all(|at| bound.contains(at)), "{bound:?} instead of {expected:?}");
            assert_eq!(bound.len(), expected.len());
            let own = pleach::query_actor("root").await?.expect("it is entered").listening;
            assert_eq!(own.len(), expected.len(), "others are told of all: {own:?}");
            // The port is taken by the first codec; another one gets along.
            pleach::open_nursery(async |n| {
                let portal = n.start_actor("child").codec("json").transport(protocol).enable(module_path!()).await?;
                assert_eq!(portal.run(double(21)).await?, 42);
                portal.cancel_actor().await
            })
            .await
        })
        .await
        .unwrap();
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("addresses::a_root_listens_as_configured_although_it_keeps_its_own_names", || {
            configured_addresses_are_listened_at(false)
        }),
        test("addresses::a_registrar_listens_as_configured_beside_its_own_address", || {
            configured_addresses_are_listened_at(true)
        }),
        test_fn(bound_to_every_interface),
        test_fn(the_first_addresses_lead_nowhere),
        test_fn(the_parents_address_is_unused),
    ]
}
