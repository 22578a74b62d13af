//! Entries as etcd holds them: `prefix/actors/NAME/UUID` = a [`Registered`] as JSON.
//!
//! Other programs may write there too, so entries are checked: a value that can't be read, or that is about another
//! actor than its key, is skipped with a warning.

use etcd_client::KeyValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::actor::ActorId;
use crate::discovery::Registered;

/// The common part of the keys of one registry.
#[derive(Clone)]
pub(super) struct Keys {
    root: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { root: format!("{prefix}/actors/") }
    }

    /// The prefix of all keys. This and [`named`](Self::named) end with a slash.
    pub(super) fn all(&self) -> &str {
        &self.root
    }

    /// The prefix of the keys of all actors of a name.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}{}/", self.root, utf8_percent_encode(name, ESCAPED))
    }

    /// The key of one actor, over all its incarnations.
    pub(super) fn of(&self, who: &ActorId) -> String {
        format!("{}{}", self.named(who.name()), who.uuid())
    }

    /// Reads an entry, if it is one of ours.
    pub(super) fn read(&self, found: &KeyValue) -> Option<Entry> {
        let wrong = match serde_json::from_slice::<Registered>(found.value()) {
            Ok(actor) if self.of(&actor.who).as_bytes() == found.key() => {
                return Some(Entry { actor, created: found.create_revision(), changed: found.mod_revision() });
            }
            Ok(actor) => format!("it is about {:?}", actor.who),
            Err(error) => error.to_string(),
        };
        let key = String::from_utf8_lossy(found.key());
        warn!(target: "pleach::runtime", %key, wrong, "skipped an invalid entry of the registry");
        None
    }
}

/// An entry, and when it came about, in etcd's own count of all changes.
pub(super) struct Entry {
    pub(super) actor: Registered,
    pub(super) created: i64,
    pub(super) changed: i64,
}

/// The end of the range of all keys that begin with `prefix`, which has to end with a slash.
pub(super) fn end_of(prefix: &str) -> String {
    let stem = prefix.strip_suffix('/').expect("the prefixes of `Keys` end with a slash");
    // The byte that follows the slash.
    format!("{stem}0")
}

/// Characters that could leave the name's part of the key, or that etcd's own tools can't show.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_place() {
        let keys = Keys::new("p/q");
        assert_eq!(keys.all(), "p/q/actors/");
        assert_eq!(keys.named("worker-1_a.b"), "p/q/actors/worker-1_a.b/");
        assert_eq!(keys.named("a/b"), "p/q/actors/a%2Fb/");
        assert_eq!(keys.named("../a%2Fb\0"), "p/q/actors/..%2Fa%252Fb%00/");
        assert_eq!(keys.named("größe"), "p/q/actors/gr%C3%B6%C3%9Fe/");
        assert_eq!(keys.named(""), "p/q/actors//");
    }

    #[test]
    fn a_range_ends_behind_the_last_key_of_its_prefix() {
        let (from, to) = ("p/actors/a/".to_owned(), end_of("p/actors/a/"));
        for inside in ["p/actors/a/0", "p/actors/a/\u{10ffff}", "p/actors/a/a/b"] {
            assert!(*from <= *inside && *inside < *to);
        }
        for outside in ["p/actors/a", "p/actors/aa/", "p/actors/a%2F/", "p/actors/b/"] {
            assert!(*outside < *from || *to <= *outside, "{outside}");
        }
    }
}
