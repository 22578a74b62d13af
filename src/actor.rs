//! The identity of an actor.
//!
//! Only identity lives here; the running actor is [`crate::runtime::Runtime`].
//!
//! A host's name does not tell where an actor runs: hosts may share a name, and containers share a host without seeing
//! each other's processes or networks. So each actor also has a [`Place`].

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::random;

/// The identity of one actor: a name for humans, a uuid for everything else.
///
/// Names may repeat; two ids are equal when their uuids are. Cloning is cheap.
#[derive(Clone, Serialize, Deserialize)]
pub struct ActorId {
    name: Arc<str>,
    uuid: Uuid,
    pid: u32,
    host: Arc<str>,
    /// Unknown for an actor that has not announced it.
    #[serde(default)]
    place: Place,
}

/// Where processes see each other, and one network of this host's own: a boot of a kernel, with namespaces in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place(u64);

impl ActorId {
    /// A fresh identity in this process.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_uuid(name, random::unique())
    }

    /// The identity that a parent has given to this process.
    pub(crate) fn with_uuid(name: &str, uuid: Uuid) -> Self {
        Self { name: name.into(), uuid, pid: std::process::id(), host: this_host().into(), place: Place::here() }
    }

    /// The same identity in another process: what a parent knows about a child before it connects.
    pub(crate) fn in_process(self, pid: u32) -> Self {
        Self { pid, ..self }
    }

    /// The same identity on another host: what a parent knows about a remote child before it connects.
    pub(crate) fn on(self, host: &str) -> Self {
        Self { pid: 0, host: host.into(), place: Place::default(), ..self }
    }

    /// Returns the name that it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id that is unique even after a restart under the same name.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Returns its process id on its host.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether a user means this actor: by its name, its process id, both as in `worker@4711`, or its uuid, of which
    /// the first 8 characters are enough.
    ///
    /// ```
    /// # #[pleach::main]
    /// # async fn main() -> pleach::Result<()> {
    /// pleach::open_root(pleach::Config::default(), async |root| {
    ///     let actor = root.id();
    ///     assert!(actor.is_meant_by("root") && actor.is_meant_by(&actor.pid().to_string()));
    ///     assert!(actor.is_meant_by(&actor.uuid().to_string()[..8]) && !actor.is_meant_by("another"));
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn is_meant_by(&self, text: &str) -> bool {
        let is_pid = |text: &str| text.parse() == Ok(self.pid);
        let is_both = |(name, pid): (&str, &str)| name == &*self.name && is_pid(pid);
        let uuid = self.uuid.to_string();
        let is_uuid = || text.len() >= SHORTEST_UUID && uuid.starts_with(text);
        text == &*self.name || is_pid(text) || text.rsplit_once('@').is_some_and(is_both) || is_uuid()
    }

    /// Returns whether both are on one host, and in the same namespaces there: the system tells each of the end of the
    /// other's process, and local addresses lead from one to the other.
    pub(crate) fn is_at_place_of(&self, other: &Self) -> bool {
        self.place == other.place && self.place != Place::default()
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Returns the name of the host on which it runs.
    pub fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
impl ActorId {
    pub(crate) fn at_place(self, number: u64) -> Self {
        Self { place: Place(number), ..self }
    }

    pub(crate) fn renamed(self, host: &str) -> Self {
        Self { host: host.into(), ..self }
    }
}

impl Place {
    /// The place of this process, without the parts that the system does not report. Read once.
    pub(crate) fn here() -> Self {
        static HERE: OnceLock<Place> = OnceLock::new();
        *HERE.get_or_init(|| {
            let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| this_host().into_bytes());
            let mut hash = Context::new(&SHA256);
            hash.update(&boot);
            for namespace in ["pid", "net"] {
                let link = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap_or_default();
                hash.update(link.as_os_str().as_encoded_bytes());
                hash.update(&[0]);
            }
            let hash = hash.finish();
            let first: [u8; 8] = std::array::from_fn(|at| hash.as_ref()[at]);
            // Never the unknown place.
            Self(u64::from_le_bytes(first).max(1))
        })
    }
}

impl PartialEq for ActorId {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl Eq for ActorId {}

impl std::hash::Hash for ActorId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor `{}` (", shown(&self.name))?;
        match (self.pid, self.place == Place::here()) {
            (pid, true) => write!(f, "pid {pid})"),
            (0, false) => write!(f, "{})", self.host),
            (pid, false) => write!(f, "pid {pid} at {})", self.host),
        }
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}:{}", shown(&self.name), self.host, self.pid, self.uuid)
    }
}

/// Returns a name that is safe in a line of a log: line ends and terminal control characters are escaped.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    let is_plain = |c: &char| !c.is_control() && !DIRECTIONS.contains(c);
    if name.chars().all(|c| is_plain(&c)) {
        return Cow::Borrowed(name);
    }
    let escaped = |c: char| if is_plain(&c) { c.to_string() } else { c.escape_default().to_string() };
    Cow::Owned(name.chars().map(escaped).collect())
}

/// They have no width, and change the direction of the text that follows, or end a line.
const DIRECTIONS: [char; 13] = [
    '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2028}', '\u{2029}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// Fewer characters of a uuid might be a name.
const SHORTEST_UUID: usize = 8;

/// The name that this machine gives itself.
fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // S45
    #[test]
    fn an_id_that_was_sent_is_the_same_key() {
        let id = ActorId::new("w");
        let mut came = Vec::new();
        for text in [serde_json::to_value(&id).unwrap(), serde_json::to_value(id.clone().in_process(7)).unwrap()] {
            came.push(serde_json::from_value::<ActorId>(text).unwrap());
        }
        let known: std::collections::HashMap<_, _> = [(id, "w")].into();
        // Whatever else is known of it there.
        assert!(came.iter().all(|id| known.get(id) == Some(&"w")), "{came:?}");
        assert_eq!(known.get(&ActorId::new("w")), None);
    }

    #[test]
    fn a_name_stays_in_its_line() {
        assert_eq!(shown("worker 1, it's `größer`"), "worker 1, it's `größer`");
        assert_eq!(shown("a\nERROR forged\u{1b}[2J\u{202e}b"), "a\\nERROR forged\\u{1b}[2J\\u{202e}b");
        let id = ActorId::new("a\nb");
        assert!(id.to_string().starts_with("actor `a\\nb` (") && format!("{id:?}").starts_with("a\\nb@"));
    }

    #[test]
    fn an_actor_is_meant_by_its_name_its_process_or_its_uuid() {
        let id = ActorId::new("a@b").in_process(4711);
        let uuid = id.uuid().to_string();
        for text in ["a@b", "4711", "a@b@4711", &uuid, &uuid[..8]] {
            assert!(id.is_meant_by(text), "{text}");
        }
        for text in ["a", "b", "a@b@4712", "a@4711", "471", "", "@", &uuid[..7], &uuid[1..]] {
            assert!(!id.is_meant_by(text), "{text}");
        }
    }

    #[test]
    fn an_actor_elsewhere_is_shown_with_its_host() {
        let id = ActorId::new("w");
        assert_eq!(id.to_string(), format!("actor `w` (pid {})", std::process::id()));
        let elsewhere = id.on("ssh:node2");
        assert_eq!(elsewhere.to_string(), "actor `w` (ssh:node2)");
        assert_eq!(elsewhere.in_process(7).to_string(), "actor `w` (pid 7 at ssh:node2)");
    }
}
