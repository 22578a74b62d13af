//! Two hosts of one name, with a line between them that is cut: network namespaces of this machine.
//!
//! Making them takes root, `ip` and `unshare`; where one of those is missing, the tests pass without having run.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{find_actor, wait_for_actor};

use crate::support::{Meeting, Notes, RootProcess, note, over};

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

/// A host: the network namespace of a process, which goes with it.
struct Host(Child);

impl Host {
    fn new() -> Option<Self> {
        let command = ["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"];
        let mut child =
            Command::new("unshare").args(command).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut said = [0; 2];
        let up = std::io::Read::read_exact(child.stdout.as_mut()?, &mut said);
        let host = Self(child);
        up.is_ok().then_some(host)
    }

    fn front(&self) -> [String; 5] {
        ["nsenter", "--target", &self.0.id().to_string(), "--net", "--"].map(str::to_owned)
    }

    fn ip(&self, command: &str) -> bool {
        let [front @ .., last] = self.front();
        let mut nsenter = Command::new(&front[0]);
        nsenter.args(&front[1..]).args([last.as_str(), "ip"]).args(command.split(' ')).stderr(Stdio::null());
        nsenter.status().is_ok_and(|status| status.success())
    }

    fn start(&self, notes: &Notes, args: &str) -> RootProcess {
        let front = self.front();
        let front: Vec<&str> = front.iter().map(String::as_str).collect();
        RootProcess::spawn(RootProcess::command_under(&front, "namesake", notes, args))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended, if the machine is strange
        let _ = self.0.wait();
    }
}

/// Two hosts with a line between them; nothing, where they can't be made.
fn hosts() -> Option<[Host; 2]> {
    let [near, far] = [Host::new()?, Host::new()?];
    let made = near.ip(&format!("link add line type veth peer name line netns {}", far.0.id()))
        && near.ip("address add 10.9.8.1/24 dev line")
        && far.ip("address add 10.9.8.2/24 dev line")
        && near.ip("link set line up")
        && far.ip("link set line up");
    made.then_some([near, far])
}

/// The actors of both hosts say the same host's name; each watches the other all the same.
fn a_cut_between_hosts_of_one_name_is_noticed(protocol: &str) {
    let Some([near, far]) = hosts() else { return eprintln!("no hosts can be made here") };
    let (notes, meeting) = (Notes::new(), Meeting::new());
    let key = meeting.config(&[]).key_file.unwrap();
    let args = |role: &str| format!("{role} {protocol}://10.9.8.1:4711 {}", key.display());
    let _registrar = near.start(&notes, &args("registrar"));
    notes.expect("up");
    let _guest = far.start(&notes, &args("guest"));
    notes.expect("calling");
    assert!(near.ip("link set line down"));
    let ended = notes.expect("ended ");
    assert!(ended.contains("silence"), "{ended}");
}

/// A program on one of the hosts.
pub(crate) fn namesake_root(notes: &str, args: &str) {
    let [role, registry, key] = args.split(' ').collect::<Vec<_>>()[..] else { panic!("{args}") };
    let registry: pleach::wire::Address = registry.parse().unwrap();
    let (heartbeat, lease) = (Duration::from_millis(200), Duration::from_secs(2));
    let config = Config { key_file: Some(PathBuf::from(key)), heartbeat, lease, ..over(registry.protocol()) };
    let config = Config { root_name: role.into(), registry: vec![registry], ..config };
    let program = pleach::open_root(config, async |actor| {
        actor.enable(module_path!());
        if actor.is_registrar() {
            note(notes, "up");
            return std::future::pending().await;
        }
        wait_for_actor("registrar").await?;
        let registrar = find_actor("registrar").required().await?;
        note(notes, "calling");
        let ended = registrar.run(for_ever()).await;
        note(notes, format!("ended {}", ended.unwrap_err()));
        Ok::<_, Error>(())
    });
    drop(pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, program));
}

pub(crate) fn tests() -> Vec<Trial> {
    let make = |protocol: &'static str| {
        Trial::test(format!("namesakes::a_cut_between_hosts_of_one_name_is_noticed_over_{protocol}"), move || {
            a_cut_between_hosts_of_one_name_is_noticed(protocol);
            Ok(())
        })
    };
    ["tls+tcp", "quic"].map(make).into()
}
