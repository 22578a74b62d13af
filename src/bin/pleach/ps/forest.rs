//! Actors of several processes, put together to trees: each names its parent.

use std::collections::{BTreeMap, BTreeSet};

use pleach::inspect::{ActorReport, PeerReport, ProcessReport};
use uuid::Uuid;

/// All actors that were found, as trees, the oldest root first.
pub(crate) struct Forest<'a>(pub(crate) Vec<Node<'a>>);

/// An actor, and those below it.
pub(crate) struct Node<'a> {
    pub(crate) process: &'a ProcessReport,
    pub(crate) actor: &'a ActorReport,
    /// The oldest first.
    pub(crate) children: Vec<Self>,
}

impl<'a> Forest<'a> {
    pub(crate) fn of(processes: &'a [ProcessReport]) -> Self {
        let mut actors: Vec<_> =
            processes.iter().flat_map(|process| process.actors.iter().map(move |actor| (process, actor))).collect();
        actors.sort_by_key(|(_, actor)| (actor.began_ms, actor.who.uuid()));
        let known: BTreeSet<Uuid> = actors.iter().map(|(_, actor)| actor.who.uuid()).collect();
        let mut by_parent: BTreeMap<Option<Uuid>, Vec<(&ProcessReport, &ActorReport)>> = BTreeMap::new();
        for (process, actor) in actors {
            // The parent of an actor may be on another host, or may not have answered: it is a root here.
            let parent = actor.parent.as_ref().map(|parent| parent.uuid()).filter(|parent| known.contains(parent));
            by_parent.entry(parent).or_default().push((process, actor));
        }
        Self(nodes_below(None, &mut by_parent))
    }

    /// Returns the tree whose root is called that, or has this process id or uuid.
    ///
    /// # Errors
    /// Which there are, if it is none or several of them.
    pub(crate) fn tree_of(&self, root: &str) -> Result<&Node<'a>, String> {
        let is_meant = |node: &&Node<'_>| {
            let who = &node.actor.who;
            let uuid = who.uuid().to_string();
            who.name() == root || root.parse() == Ok(who.pid()) || uuid.starts_with(root)
        };
        let meant: Vec<_> = self.0.iter().filter(is_meant).collect();
        match meant[..] {
            [tree] => Ok(tree),
            [] if self.0.is_empty() => Err("no tree of this user runs here".into()),
            [] => Err(format!("the root of no tree is `{root}`; there are: {}", listed(self.0.iter()))),
            _ => Err(format!("several roots are `{root}`: {}; choose by process id", listed(meant.into_iter()))),
        }
    }
}

impl Node<'_> {
    /// Returns the actors of this tree.
    pub(crate) fn members(&self) -> BTreeSet<Uuid> {
        let below = self.children.iter().flat_map(Node::members);
        below.chain([self.actor.who.uuid()]).collect()
    }

    /// Returns its connection to its parent.
    pub(crate) fn line_to_parent(&self) -> Option<&PeerReport> {
        let parent = self.actor.parent.as_ref()?;
        self.actor.peers.as_ref()?.iter().find(|peer| peer.who == *parent)
    }
}

fn nodes_below<'a>(
    parent: Option<Uuid>,
    by_parent: &mut BTreeMap<Option<Uuid>, Vec<(&'a ProcessReport, &'a ActorReport)>>,
) -> Vec<Node<'a>> {
    let here = by_parent.remove(&parent).unwrap_or_default();
    here.into_iter()
        .map(|(process, actor)| Node { process, actor, children: nodes_below(Some(actor.who.uuid()), by_parent) })
        .collect()
}

fn listed<'a>(roots: impl Iterator<Item = &'a Node<'a>>) -> String {
    roots
        .map(|node| format!("{} (process {})", node.actor.who.name(), node.actor.who.pid()))
        .collect::<Vec<_>>()
        .join(", ")
}
