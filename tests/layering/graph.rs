//! The graph of modules: which folder or file at the top of `src` names which other one.
//!
//! An arrow is a path of code that starts with `crate::`, with `pleach::`, by which the crate knows itself, too, or with
//! as many `super::` as lead to its root.
//! What a macro expands to is not seen: its paths go through `__private`, which re-exports what it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// The modules and their arrows, each with the line that it was first seen in.
#[derive(Default)]
pub(crate) struct Graph {
    modules: BTreeSet<String>,
    arrows: BTreeMap<(String, String), String>,
}

impl Graph {
    /// Adds a file below `src`: its path there, and its numbered lines of code.
    pub(crate) fn add(&mut self, file: &Path, lines: &[(usize, String)]) {
        let path = module_path(file);
        let from = path.first().cloned().unwrap_or_else(|| LIB.to_owned());
        self.modules.insert(from.clone());
        for (number, to) in modules_named(path.len(), lines) {
            if to != from && to != FOR_MACROS {
                let seen = format!("src/{}:{number}", file.display());
                self.arrows.entry((from.clone(), to)).or_insert(seen);
            }
        }
    }

    /// Makes an arrow to what is not a module one to the root of the crate, which re-exports it.
    pub(crate) fn finish(mut self) -> Self {
        let arrows = std::mem::take(&mut self.arrows);
        let known = |(from, to): (String, String)| match self.modules.contains(&to) {
            true => (from, to),
            false => (from, LIB.to_owned()),
        };
        let arrows = arrows.into_iter().map(|(arrow, seen)| (known(arrow), seen));
        self.arrows = arrows.filter(|((from, to), _)| from != to).collect();
        self
    }

    /// The modules that are missing in `order`, and its entries that are not modules.
    pub(crate) fn strangers(&self, order: &[&str]) -> Vec<String> {
        let missing = self.modules.iter().filter(|module| !order.contains(&module.as_str())).cloned();
        let gone = order.iter().filter(|entry| !self.modules.contains(**entry)).map(ToString::to_string);
        missing.chain(gone).collect()
    }

    /// The arrows that lead to a later entry of `order`, with the line of each.
    pub(crate) fn upward(&self, order: &[&str]) -> Vec<String> {
        let height = |module: &str| order.iter().position(|entry| *entry == module);
        let leads_up = |(from, to): &(String, String)| height(to) > height(from);
        let up = self.arrows.iter().filter(|(arrow, _)| leads_up(arrow));
        up.map(|((from, to), seen)| format!("{seen}: `{from}` must not use `{to}`, which is above it")).collect()
    }

    /// The sets of modules that use each other, directly or not.
    pub(crate) fn cycles(&self) -> BTreeSet<BTreeSet<&str>> {
        let mut cycles = BTreeSet::new();
        for module in &self.modules {
            let returns = |other: &&str| self.below(other).contains(module.as_str());
            let cycle: BTreeSet<_> = self.below(module).into_iter().filter(returns).collect();
            cycles.extend((!cycle.is_empty()).then_some(cycle));
        }
        cycles
    }

    /// The modules that one leads to.
    fn below(&self, module: &str) -> BTreeSet<&str> {
        let (mut found, mut open) = (BTreeSet::new(), vec![module]);
        while let Some(at) = open.pop() {
            let next = self.arrows.keys().filter(|(from, _)| from == at).map(|(_, to)| to.as_str());
            open.extend(next.filter(|to| found.insert(*to)).collect::<Vec<_>>());
        }
        found
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} modules, {} arrows, {} cycles", self.modules.len(), self.arrows.len(), self.cycles().len())
    }
}

/// The path of a file's module; that of `lib.rs` is empty.
fn module_path(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") || parts == [LIB] {
        parts.pop();
    }
    parts
}

/// The modules at the root of the crate that code names, each with its line. `depth` is how far its module is below
/// the root.
pub(crate) fn modules_named(depth: usize, lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let (mut found, mut inline, mut code) = (Vec::new(), Vec::new(), String::new());
    let mut starts = Vec::new();
    for (number, line) in lines {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with('}') {
            inline.retain(|outer| *outer < indent);
        }
        starts.push((code.len(), *number, depth + inline.len()));
        code.extend([&without_texts(line), "\n"]);
        if line.trim_start().trim_start_matches("pub ").starts_with("mod ") && line.ends_with('{') {
            inline.push(indent);
        }
    }
    for (start, number, depth) in starts {
        let line = &code[start..start + code[start..].find('\n').unwrap_or(0)];
        for (up, word) in [(0, "crate::"), (0, "pleach::"), (depth, "super::")] {
            let at = line.match_indices(word).map(|(at, _)| start + at).filter(|at| is_start(&code[..*at]));
            let tails = at.map(|at| if up == 0 { &code[at + word.len()..] } else { &code[at..] });
            found.extend(tails.flat_map(|tail| heads(tail, up)).map(|head| (number, head)));
        }
        // By another name, the root could lead anywhere.
        found.extend(line.contains("use crate as ").then(|| (number, LIB.to_owned())));
    }
    found
}

/// A line without its string literals, if they begin and end in it.
fn without_texts(line: &str) -> String {
    let parts: Vec<_> = line.split('"').collect();
    let is_whole = parts.len() % 2 == 1;
    parts.iter().step_by(if is_whole { 2 } else { 1 }).copied().collect()
}

/// Whether a path may begin behind this code: not within another path, nor in an attribute, which names macros, nor in prose.
fn is_start(before: &str) -> bool {
    let before = before.strip_suffix("::").filter(|rest| rest.ends_with(' ')).unwrap_or(before);
    !before.ends_with(|last: char| last.is_alphanumeric() || ['_', ':', '[', '`'].contains(&last))
}

/// The first names of a path or group, `up` modules above where it stands.
fn heads(path: &str, up: usize) -> Vec<String> {
    let path = path.trim_start();
    if let Some(group) = path.strip_prefix('{') {
        return branches(group).into_iter().flat_map(|branch| heads(branch, up)).collect();
    }
    match path.strip_prefix("super::") {
        Some(rest) if up > 0 => heads(rest, up - 1),
        _ if up > 0 => Vec::new(),
        // All of it, or it by another name.
        _ if path.starts_with('*') => vec![LIB.to_owned()],
        _ => match path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>() {
            head if head.is_empty() => Vec::new(),
            head if head == "self" => vec![LIB.to_owned()],
            head => vec![head],
        },
    }
}

/// The parts of a group, up to its closing brace.
fn branches(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    parts
}

/// The root of the crate.
const LIB: &str = "lib";

/// What the expansions of macros call; they are code of other crates.
const FOR_MACROS: &str = "__private";
