//! The hosts that a program may use, as a file or a variable lists them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use pleach_wire::Address;
use serde::{Deserialize, Deserializer, Serialize};

use super::file;
use super::host::{Engine, Host, HostOptions, Job};
use super::spelling::{addresses, if_said};
use crate::error::{Error, Result};

/// Hosts, and how many actors each is to have.
///
/// In a file they are tables, in a variable text:
///
/// ```toml
/// [[hosts]]
/// on = "ssh:node2"     # the only required key
/// name = "gate"        # for `Config::host`; default: what `on` says
/// actors = 4           # default: 1
/// program = "/opt/count"
/// ssh_config = "/etc/count/ssh_config"
/// directory = "/srv/count"
/// transport = "tls+tcp"
/// listen = ["quic://10.0.0.2:0"]
/// advertise = ["quic://gate.example:1616"]
/// env = { LANG = "C" }
///
/// [[hosts]]
/// on = "slurm:debug"   # and for Slurm:
/// account = "physics"
/// time = "2h"
/// cpus = 4
/// queue = "1h"
/// arguments = ["--gres=gpu:1"]
/// ```
/// ```
/// use pleach::{Host, Hosts};
///
/// let hosts: Hosts = "ssh:a*2, local".parse().unwrap();
/// assert_eq!((hosts[0].actors, &hosts[1].host), (2, &Host::local()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hosts(Vec<HostEntry>);

/// One of several [`Hosts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Entry", try_from = "Entry")]
pub struct HostEntry {
    /// Its name; by default, its text.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// How many actors it is to have, at least one.
    pub actors: usize,
}

impl Hosts {
    /// Reads a file with nothing but `[[hosts]]` in it.
    ///
    /// # Errors
    /// [`Error::Config`], for a file that can't be read, and for a key or a value that can't be used. It names
    /// the file and the line. In a build without the feature `toml`, for any file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            hosts: Hosts,
        }
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| file::fault(path, error))?;
        let File { hosts } = file::parse(&text).map_err(|why| file::fault(path, why))?;
        Ok(hosts)
    }

    /// Returns the host of this name.
    pub fn named(&self, name: &str) -> Option<&Host> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| &entry.host)
    }

    fn new(entries: Vec<HostEntry>) -> Result<Self> {
        let mut names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
        names.sort();
        match names.windows(2).find(|two| two[0] == two[1]) {
            Some(twice) => {
                let name = twice[0];
                Err(Error::Config(format!(
                    "two hosts are named `{name}`: count their actors together, or add a `name`"
                )))
            }
            None => Ok(Self(entries)),
        }
    }
}

impl Deref for Hosts {
    type Target = [HostEntry];

    fn deref(&self) -> &[HostEntry] {
        &self.0
    }
}

impl FromIterator<HostEntry> for Hosts {
    fn from_iter<I: IntoIterator<Item = HostEntry>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<Host> for HostEntry {
    fn from(host: Host) -> Self {
        Self { name: host.to_string(), host, actors: 1 }
    }
}

impl FromStr for Hosts {
    type Err = Error;

    /// Reads `ssh:a*2,local`: hosts with commas between them, each with the number of its actors, if not one.
    fn from_str(text: &str) -> Result<Self> {
        let entries = text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            let (host, actors) = text.rsplit_once('*').unwrap_or((text, "1"));
            let actors = actors.trim().parse().ok().filter(|actors| *actors > 0);
            let few = || Error::Config(format!("`{text}`: `*` must be followed by a count of at least 1"));
            let actors = actors.ok_or_else(few)?;
            Ok(HostEntry { actors, ..HostEntry::from(host.trim().parse::<Host>()?) })
        });
        Self::new(entries.collect::<Result<_>>()?)
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Listed;
        impl<'de> serde::de::Visitor<'de> for Listed {
            type Value = Hosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables `[[hosts]]`, or text like \"ssh:a*2,local\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hosts, E> {
                text.parse().map_err(|error| E::custom(said(&error)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut listed: A) -> Result<Hosts, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = listed.next_element()? {
                    entries.push(entry);
                }
                Hosts::new(entries).map_err(|error| serde::de::Error::custom(said(&error)))
            }
        }
        deserializer.deserialize_any(Listed)
    }
}

/// The text of a configuration error without its prefix: the reader of the file adds the place.
fn said(error: &Error) -> String {
    match error {
        Error::Config(why) => why.clone(),
        other => other.to_string(),
    }
}

/// How a host is written in a table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    on: String,
    name: Option<String>,
    actors: Option<usize>,
    program: Option<PathBuf>,
    ssh_config: Option<PathBuf>,
    directory: Option<PathBuf>,
    transport: Option<String>,
    #[serde(with = "addresses")]
    listen: Vec<Address>,
    #[serde(with = "addresses")]
    advertise: Vec<Address>,
    env: BTreeMap<String, String>,
    account: Option<String>,
    #[serde(with = "if_said")]
    time: Option<Duration>,
    cpus: Option<NonZero<u32>>,
    #[serde(with = "if_said")]
    queue: Option<Duration>,
    arguments: Vec<String>,
}

impl TryFrom<Entry> for Host {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let Entry { on, name: _, actors: _, program, ssh_config, directory, transport, .. } = entry;
        let Entry { listen, advertise, env, account, time, cpus, queue, arguments, .. } = entry;
        let job = Job { account, time, cpus, arguments, queue };
        if on.is_empty() {
            return Err("the key `on` says which host it is, e.g. `on = \"ssh:node2\"`".into());
        }
        let Self { engine, .. } = on.parse().map_err(|error| said(&error))?;
        if job != Job::default() && !matches!(engine, Engine::Slurm { .. }) {
            return Err(format!(
                "`account`, `time`, `cpus`, `queue` and `arguments` are for Slurm, and this is `{on}`"
            ));
        }
        let config_file = ssh_config;
        let options = HostOptions { program, config_file, directory, transport, listen, advertise, env, job };
        Ok(Self { engine, options })
    }
}

impl From<Host> for Entry {
    fn from(host: Host) -> Self {
        let on = host.to_string();
        let HostOptions { program, config_file, directory, transport, listen, advertise, env, job } = host.options;
        let Job { account, time, cpus, arguments, queue } = job;
        let place = Self { on, program, ssh_config: config_file, directory, transport, ..Self::default() };
        Self { listen, advertise, env, account, time, cpus, queue, arguments, ..place }
    }
}

impl TryFrom<Entry> for HostEntry {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let (name, actors) = (entry.name.clone(), entry.actors.unwrap_or(1));
        if actors == 0 {
            return Err("`actors` is at least 1; leave the host out if it is to have none".into());
        }
        let host = Host::try_from(entry)?;
        Ok(Self { name: name.unwrap_or_else(|| host.to_string()), host, actors })
    }
}

impl From<HostEntry> for Entry {
    fn from(entry: HostEntry) -> Self {
        let HostEntry { name, host, actors } = entry;
        Self { name: Some(name), actors: Some(actors), ..Self::from(host) }
    }
}

#[cfg(test)]
#[cfg(feature = "toml")]
mod tests {
    use pleach_wire::{Format, Payload};

    use super::*;

    fn load(text: &str) -> Result<Hosts> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts.toml");
        std::fs::write(&path, text).unwrap();
        Hosts::load(path)
    }

    fn fault(text: &str) -> String {
        let message = load(text).unwrap_err().to_string();
        message[message.find("hosts.toml").unwrap()..].to_owned()
    }

    #[test]
    fn a_file_says_all_there_is_to_say_about_a_host() {
        let text = r#"
            [[hosts]]
            on = "ssh:me@node2"
            name = "gate"
            actors = 4
            program = "/opt/count"
            ssh_config = "cfg"
            directory = "/srv"
            transport = "tls+tcp"
            listen = ["quic://10.0.0.2:0"]
            advertise = "quic://gate.example:1616"
            env = { LANG = "C" }
            [[hosts]]
            on = "local"
            [[hosts]]
            on = "slurm:debug"
            account = "physics"
            time = "2h"
            cpus = 4
            queue = 500
            arguments = ["--gres=gpu:1"]
        "#;
        let host = Host::ssh("me@node2").program("/opt/count").config_file("cfg").directory("/srv");
        let host = host.transport("tls+tcp").listen("quic://10.0.0.2:0".parse().unwrap());
        let host = host.advertise("quic://gate.example:1616".parse().unwrap()).env("LANG", "C");
        let hosts = load(text).unwrap();
        assert_eq!(hosts[0], HostEntry { name: "gate".into(), host: host.clone(), actors: 4 });
        assert_eq!((&*hosts[1].name, hosts[1].actors), ("local", 1));
        assert_eq!((hosts.named("gate"), hosts.named("unknown")), (Some(&host), None));
        let slurm = Host::slurm().partition("debug").account("physics").cpus(4).arguments(["--gres=gpu:1"]);
        assert_eq!(hosts[2].host, slurm.time(Duration::from_secs(7200)).queue(Duration::from_millis(500)));
        for bytes in [rmp_serde::to_vec(&hosts), rmp_serde::to_vec_named(&hosts)] {
            assert_eq!(rmp_serde::from_slice::<Hosts>(&bytes.unwrap()).unwrap(), hosts, "it crosses processes");
        }
        for format in [Format::Msgpack, Format::Json] {
            assert_eq!(Payload::of(format, &hosts).unwrap().decode::<Hosts>().unwrap(), hosts);
        }
        assert_eq!(rmp_serde::from_slice::<Host>(&rmp_serde::to_vec(&host).unwrap()).unwrap(), host);
    }

    #[test]
    fn a_variable_lists_hosts_with_their_numbers() {
        let hosts: Hosts = " ssh:a * 2 ,local*1,ssh:b,".parse().unwrap();
        let listed: Vec<_> = hosts.iter().map(|entry| (entry.name.as_str(), entry.actors)).collect();
        assert_eq!(listed, [("ssh:a", 2), ("local", 1), ("ssh:b", 1)]);
        let fault = |text: &str| text.parse::<Hosts>().unwrap_err().to_string();
        assert!(fault("ssh:a*0").ends_with("`ssh:a*0`: `*` must be followed by a count of at least 1"));
        assert!(fault("ssh:a*x").contains("`*` must be followed"));
        assert!(fault("node2*2").contains("`node2` is not a valid host; use `local`, `ssh:user@node2`"));
        assert!(fault("ssh:a,ssh:a*2").contains("two hosts are named `ssh:a`: count their actors together"));
    }

    #[test]
    fn a_fault_names_the_line_and_what_is_allowed() {
        let unknown = fault("[[hosts]]\non = \"local\"\nactor = 2\n");
        assert!(
            unknown.contains("line 3, column 1") && unknown.contains("unknown field `actor`, expected one"),
            "{unknown}"
        );
        let host = fault("\n[[hosts]]\non = \"node2\"\n");
        assert!(host.contains("line 2") && host.contains("`node2` is not a valid host; use `local`"), "{host}");
        assert!(fault("[[hosts]]\nactors = 2\n").contains("the key `on` says which host it is"));
        assert!(fault("[[hosts]]\non = \"local\"\nactors = 0\n").contains("`actors` is at least 1"));
        assert!(fault("[[hosts]]\non = \"ssh:a\"\ncpus = 2\n").contains("are for Slurm, and this is `ssh:a`"));
        assert!(fault("[[hosts]]\non = \"slurm\"\ncpus = 0\n").contains("line 3"));
        assert!(fault("hosts = 3\n").contains("expected tables `[[hosts]]`, or text like"));
        assert!(fault("codec = \"json\"\n").contains("unknown field `codec`"));
        assert!(
            Hosts::load("/nowhere/hosts.toml").unwrap_err().to_string().contains("/nowhere/hosts.toml: No such file")
        );
    }
}
