//! Actors of several processes, put together to trees: each names its parent.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{ActorReport, PeerReport, ProcessReport};

/// Actors of several processes, as trees.
///
/// ```
/// # #[pleach::main]
/// # async fn main() -> anyhow::Result<()> {
/// use pleach::inspect::{self, Forest};
///
/// pleach::open_nursery(async |n| {
///     n.start_actor("worker").await?;
///     let found = tokio::task::spawn_blocking(inspect::processes).await??;
///     let reports: Vec<_> = found.into_iter().filter_map(|process| process.report.ok()).collect();
///     let mut text = String::new();
///     let this = pleach::current_actor().expect("in an actor").id().uuid();
///     let tree = Forest::of(&reports).0.into_iter().find(|root| root.actor.who.uuid() == this).expect("it has answered");
///     tree.draw(&mut |node, branch, _below| text += &format!("{branch}{}\n", node.actor.who.name()));
///     assert_eq!(text, "root\n└─ worker\n");
///     n.cancel().await;
///     Ok::<_, anyhow::Error>(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug)]
pub struct Forest<'a>(
    /// The roots, the oldest first. An actor whose parent is not among the actors is one, too.
    pub Vec<ActorNode<'a>>,
);

/// An actor, and those below it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ActorNode<'a> {
    /// Its process.
    pub process: &'a ProcessReport,
    /// The actor.
    pub actor: &'a ActorReport,
    /// Its children, the oldest first.
    pub children: Vec<Self>,
}

impl<'a> Forest<'a> {
    /// Puts the actors of these processes together.
    pub fn of(processes: &'a [ProcessReport]) -> Self {
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

    /// Returns the tree whose root is called that, or has this process id or uuid, of which the beginning is enough.
    ///
    /// # Errors
    /// In words: which there are, if it is none or several of them.
    pub fn tree_of(&self, root: &str) -> Result<&ActorNode<'a>, String> {
        let is_meant = |node: &&ActorNode<'_>| {
            let who = &node.actor.who;
            let uuid = who.uuid().to_string();
            who.is_meant_by(root) || uuid.starts_with(root)
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

impl ActorNode<'_> {
    /// Returns the actors of this tree.
    pub fn members(&self) -> BTreeSet<Uuid> {
        let below = self.children.iter().flat_map(ActorNode::members);
        below.chain([self.actor.who.uuid()]).collect()
    }

    /// Returns its connection to its parent.
    pub fn line_to_parent(&self) -> Option<&PeerReport> {
        let parent = self.actor.parent.as_ref()?;
        self.actor.peers.as_ref()?.iter().find(|peer| peer.who == *parent)
    }

    /// Visits this actor and then those below it, in the order of a drawing, each with the branches in front of its own
    /// line, and of further lines about it.
    pub fn draw(&self, visit: &mut impl FnMut(&Self, &str, &str)) {
        self.draw_behind("", "", visit);
    }

    fn draw_behind(&self, branch: &str, indent: &str, visit: &mut impl FnMut(&Self, &str, &str)) {
        let bar = if self.children.is_empty() { "   " } else { "│  " };
        visit(self, branch, &format!("{indent}{bar}"));
        let last = self.children.len().saturating_sub(1);
        for (at, child) in self.children.iter().enumerate() {
            let (branch, below) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.draw_behind(&format!("{indent}{branch}"), &format!("{indent}{below}"), visit);
        }
    }
}

fn nodes_below<'a>(
    parent: Option<Uuid>,
    by_parent: &mut BTreeMap<Option<Uuid>, Vec<(&'a ProcessReport, &'a ActorReport)>>,
) -> Vec<ActorNode<'a>> {
    let here = by_parent.remove(&parent).unwrap_or_default();
    here.into_iter()
        .map(|(process, actor)| ActorNode { process, actor, children: nodes_below(Some(actor.who.uuid()), by_parent) })
        .collect()
}

fn listed<'a>(roots: impl Iterator<Item = &'a ActorNode<'a>>) -> String {
    roots
        .map(|node| format!("{} (process {})", node.actor.who.name(), node.actor.who.pid()))
        .collect::<Vec<_>>()
        .join(", ")
}
