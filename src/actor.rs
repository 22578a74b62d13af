//! Who an actor is.
//!
//! Only identity lives here; the running actor is [`crate::runtime::Runtime`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of one actor: a name for humans, a uuid for everything else.
///
/// Names may repeat; two ids are equal when their uuids are. Cloning is cheap.
#[derive(Clone, Serialize, Deserialize)]
pub struct ActorId {
    name: Arc<str>,
    uuid: Uuid,
    pid: u32,
    host: Arc<str>,
}

impl ActorId {
    /// A fresh identity in this process.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_uuid(name, Uuid::new_v4())
    }

    /// The identity that a parent has given to this process.
    pub(crate) fn with_uuid(name: &str, uuid: Uuid) -> Self {
        Self { name: name.into(), uuid, pid: std::process::id(), host: this_host().into() }
    }

    /// The same identity in another process: what a parent knows of a child before it connects.
    pub(crate) fn in_process(self, pid: u32) -> Self {
        Self { pid, ..self }
    }

    /// The same identity on another host: what a parent knows of a child there before it connects.
    pub(crate) fn on(self, host: &str) -> Self {
        Self { pid: 0, host: host.into(), ..self }
    }

    /// Returns the name that it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what makes it unique, also after a restart under the same name.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Returns its process id on its host.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the name of the host on which it runs.
    pub fn host(&self) -> &str {
        &self.host
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
        match (self.pid, *self.host == this_host()) {
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

/// Returns a name as it may stand in a line of a log: what would end the line, or move on the terminal, is escaped.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    let is_plain = |c: &char| !c.is_control() && !DIRECTIONS.contains(c);
    if name.chars().all(|c| is_plain(&c)) {
        return Cow::Borrowed(name);
    }
    let escaped = |c: char| if is_plain(&c) { c.to_string() } else { c.escape_default().to_string() };
    Cow::Owned(name.chars().map(escaped).collect())
}

/// They have no width, and have what follows read in another direction, or end a line.
const DIRECTIONS: [char; 13] = [
    '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2028}', '\u{2029}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

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
    fn an_actor_elsewhere_is_shown_with_its_host() {
        let id = ActorId::new("w");
        assert_eq!(id.to_string(), format!("actor `w` (pid {})", std::process::id()));
        let elsewhere = id.on("ssh:node2");
        assert_eq!(elsewhere.to_string(), "actor `w` (ssh:node2)");
        assert_eq!(elsewhere.in_process(7).to_string(), "actor `w` (pid 7 at ssh:node2)");
    }
}
