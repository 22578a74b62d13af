//! Processes of trees whose root has gone.
//!
//! All that descends from an actor carries the mark of its tree, and the root shows a sign of life as long as there may
//! be such processes. A tree without it counts as alive all the same if one of its processes holds on to a parent
//! outside: actors do, to the process that has started them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Kept, Leftover, What};
use crate::os::about::{self, About};
use crate::os::mark::TreeMark;
use crate::os::marked::Marked;
use crate::os::{life_sign, ties};

/// Finds them, whatever user they belong to.
pub(super) fn find() -> Vec<Leftover> {
    let mut trees: BTreeMap<TreeMark, Vec<Marked>> = BTreeMap::new();
    for (tree, process) in Marked::of_all_trees() {
        trees.entry(tree).or_default().push(process);
    }
    // Only now: invariant 1 of `life_sign`.
    let parents = trees.values().flatten().map(|process| process.parent);
    let living = life_sign::shown_to(&parents.chain([std::process::id()]).collect());
    let ancestry: BTreeSet<u32> = about::ancestry().collect();
    let dead = trees
        .into_iter()
        .filter(|(tree, processes)| !living.contains(&tree.to_string()) && !is_held_from_outside(processes));
    let of_tree = |(tree, processes): (TreeMark, Vec<Marked>)| {
        processes.into_iter().filter_map(|process| leftover(tree, process, &ancestry)).collect::<Vec<_>>()
    };
    dead.flat_map(of_tree).collect()
}

/// Whether one of the processes of a tree holds on to a parent that is not one of them, or that can't be seen. An actor
/// that this user may not look at counts as one that does.
fn is_held_from_outside(processes: &[Marked]) -> bool {
    let members: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
    let mut outermost = processes.iter().filter(|process| !members.contains(&process.parent));
    let is_held = |process: &Marked| {
        let is_actor = || About::of(process.pid).is_some_and(|about| actor(&about.arguments).is_some());
        process.parent == 0 || about::holds(process.pid, process.parent).unwrap_or_else(is_actor)
    };
    outermost.any(is_held)
}

/// Describes a process, unless it has ended meanwhile.
fn leftover(tree: TreeMark, process: Marked, ancestry: &BTreeSet<u32>) -> Option<Leftover> {
    let about = About::of(process.pid)?;
    if process.has_ended(Duration::ZERO) {
        return None; // that may have been another process
    }
    let own = rustix::process::geteuid().as_raw();
    let kept = match about.users.into_iter().find(|user| *user != own) {
        Some(other) => Some(Kept::OtherUser(other)),
        None if ancestry.contains(&process.pid) => Some(Kept::Ancestor),
        None => about.tracer.map(Kept::Debugged),
    };
    let what = What::Process {
        pid: process.pid,
        actor: actor(&about.arguments).map(String::from),
        command: about.arguments.join(" "),
        tree: tree.to_string(),
    };
    Some(Leftover { what, age: Some(about.age), kept, process: Some(process) })
}

/// The name of an actor, from the arguments of its process.
fn actor(arguments: &[String]) -> Option<&str> {
    match arguments {
        [name, mark, ..] if ties::is_mark(mark.as_bytes()) => Some(name.strip_suffix(ties::SHOWN_AS).unwrap_or(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use super::*;

    /// Starts a process of a tree, which holds on to this one as its parent if it is `tied`.
    #[allow(unsafe_code, reason = "no safe code runs between fork and exec")]
    fn member(tree: TreeMark, tied: bool) -> Child {
        let mut command = Command::new("sleep");
        let before_exec = move || {
            tree.put_on()?;
            if tied && let Some(parent) = rustix::process::getppid() {
                let held = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty())?;
                std::mem::forget(rustix::io::dup(&held)?); // that one stays open
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls only; it neither allocates nor locks.
        unsafe { command.arg("1000").pre_exec(before_exec).spawn().unwrap() }
    }

    #[test]
    fn a_tree_is_left_alone_while_its_root_shows_itself_or_is_held_on_to() {
        let trees = [(); 3].map(|()| TreeMark::fresh().unwrap());
        let _sign = life_sign::LifeSign::show(trees[1]).unwrap();
        let mut members =
            [(trees[0], false), (trees[1], false), (trees[2], true)].map(|(tree, tied)| member(tree, tied));
        let pid_of = |leftover: &Leftover| match leftover.what() {
            What::Process { pid, tree, command, .. } => Some((*pid, tree.clone(), command.clone())),
            _ => None,
        };
        let found: Vec<_> = find().iter().filter_map(pid_of).collect();
        let is_found = members.each_ref().map(|member| found.iter().any(|(pid, ..)| *pid == member.id()));
        for member in &mut members {
            member.kill().unwrap();
            member.wait().unwrap();
        }
        assert_eq!(is_found, [true, false, false], "{found:?}");
        assert!(found.contains(&(members[0].id(), trees[0].to_string(), "sleep 1000".into())), "{found:?}");
    }

    #[test]
    fn an_actor_is_told_from_what_it_has_started() {
        let words = |line: &str| line.split(',').map(String::from).collect::<Vec<_>>();
        assert_eq!(actor(&words("worker 1 [pleach],--pleach-actor")), Some("worker 1"));
        assert_eq!(actor(&words("sleep,1000")), None);
        assert_eq!(actor(&words("")), None);
    }
}
