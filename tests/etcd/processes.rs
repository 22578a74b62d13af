//! Entries of processes that live, and of one that dies.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::error::Result;

use crate::registry_suite::{actor, until_gone};
use crate::server::Server;
use crate::trees::told_to_end;
use crate::{LEASE, SHORT_LEASE, test, with_registry};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("processes::an_entry_outlives_its_lease_while_its_process_lives", lives),
        test("processes::the_entry_of_a_dead_process_goes_with_its_lease", dies),
    ]
}

async fn lives() -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), SHORT_LEASE, async |registry| {
        let registration = registry.register(actor("worker")).await?;
        let began = Instant::now();
        // Nothing happens that could be waited for: the entry has to be there all the time.
        while began.elapsed() < 3 * SHORT_LEASE {
            assert_eq!(registry.find("worker").await?.len(), 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        registration.leave().await
    })
    .await
}

async fn dies() -> Result<()> {
    let server = Server::start();
    with_registry(&server.address("p"), LEASE, async |registry| {
        let mut process = Registering::start(&server.address("p"));
        assert_eq!(registry.wait_for("worker").await?.len(), 1);
        process.kill();
        until_gone(&registry, "worker").await?;
        Ok(())
    })
    .await
}

/// A process that has registered `worker`, and keeps it registered.
struct Registering(Child);

impl Registering {
    fn start(address: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process =
            Self(command.env(ADDRESS, address).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let mut told = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut told).unwrap();
        assert_eq!(told, "registered\n");
        process
    }

    /// It gets no chance to leave.
    fn kill(&mut self) {
        let _ = self.0.kill(); // it is dead already if this is the second time
        self.0.wait().unwrap();
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Registers an actor instead of running the tests, in a process that a test has started for that.
pub(crate) fn become_one_if_told() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = tokio.block_on(with_registry(&address, SHORT_LEASE, async |registry| {
        let _registration = registry.register(actor("worker")).await?;
        println!("registered");
        told_to_end().await;
        Ok(())
    }));
    ended.unwrap();
    std::process::exit(0)
}

const ADDRESS: &str = "ETCD_TEST_REGISTERS_AT";
