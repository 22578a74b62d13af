//! How two declarations of one function differ, for people: the one in the caller's program, and the one in the peer's.
//!
//! A declaration is the text of [`Export::shown`](crate::rpc::export): a line such as
//! `f(Context<String, u64, u64>, limit: u64) -> u64`, and one for each leaf of its types (`order: Order.price: u32`).
//! It comes from a peer, so any text is taken.

use std::collections::{BTreeMap, BTreeSet};

/// Shows both declarations, and names each part that differs, a line each.
pub(super) fn lines(here: &str, there: &str) -> String {
    let (here, our_leaves) = here.split_once('\n').unwrap_or((here, ""));
    let (there, their_leaves) = there.split_once('\n').unwrap_or((there, ""));
    if here.is_empty() {
        return format!("; there: {there}");
    }
    let mut text = format!("\n  here:  {here}\n  there: {there}");
    let (ours, theirs) = (parts(here), parts(there));
    for at in 0..ours.len().max(theirs.len()) {
        let (one, other) = (ours.get(at), theirs.get(at));
        if one == other {
            continue;
        }
        let Some(name) = one.or(other).map(|(name, _)| name) else { continue };
        let value = |part: Option<&(String, &str)>| part.map_or("missing".into(), |(_, text)| format!("`{text}`"));
        text.push_str(&format!("\n  {name}: {} here, {} there", value(one), value(other)));
    }
    // Without the leaves of both sides, they can't be compared.
    if !our_leaves.is_empty() && !their_leaves.is_empty() {
        leaves(&mut text, our_leaves, their_leaves);
    }
    text
}

/// Names the leaves that only one side has, or that are of another type there.
fn leaves(text: &mut String, here: &str, there: &str) {
    let (ours, theirs) = (by_place(here), by_place(there));
    let places: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut differences = places.into_iter().filter(|place| ours.get(*place) != theirs.get(*place));
    let value = |types: Option<&Vec<&str>>| types.map_or("missing".into(), |types| format!("`{}`", types.join(", ")));
    for place in differences.by_ref().take(MAX_LEAVES) {
        let (one, other) = (value(ours.get(place)), value(theirs.get(place)));
        text.push_str(&format!("\n  {place}: {one} here, {other} there"));
    }
    match differences.count() {
        0 => {}
        more => text.push_str(&format!("\n  and {more} more")),
    }
}

/// The type at each place: of a variant, the place is its name.
fn by_place(leaves: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for leaf in leaves.lines() {
        let (place, what) = leaf.rsplit_once(": ").unwrap_or((leaf, "a value"));
        places.entry(place).or_default().push(what);
    }
    places
}

/// How many leaves that differ are named.
const MAX_LEAVES: usize = 12;

/// Cuts a declaration into its parts, each with a name for people: the result first, because there is always one, then
/// a context's first value, and the types it receives and sends, then the arguments.
fn parts(declaration: &str) -> Vec<(String, &str)> {
    let inside = declaration.find('(').map_or("", |at| &declaration[at + 1..]);
    let end = top_level(inside).find(|(_, byte)| *byte == b')').map_or(inside.len(), |(at, _)| at);
    let (arguments, rest) = inside.split_at(end);
    let result = rest.trim_start_matches([')', ' ']).trim_start_matches("->").trim();
    let mut parts = vec![("its result".to_owned(), result)];
    let mut arguments = list(arguments);
    let messages = arguments.first().and_then(|first| first.strip_prefix("Context<")?.strip_suffix('>'));
    let messages = messages.map(list);
    if messages.is_some() {
        arguments.remove(0);
    }
    for (name, at) in [("its first value", 0), ("what it receives", 1), ("what it sends", 2)] {
        let text = messages.as_ref().map_or("no context", |messages| messages.get(at).copied().unwrap_or(""));
        parts.push((name.to_owned(), text));
    }
    parts.extend(arguments.into_iter().enumerate().map(|(at, text)| (format!("argument {}", at + 1), text)));
    parts
}

/// Cuts a list at its commas, but not at those inside of brackets.
fn list(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut start = 0;
    for (at, _) in top_level(text).filter(|(_, byte)| *byte == b',') {
        items.push(text[start..at].trim());
        start = at + 1;
    }
    items.push(text[start..].trim());
    items.retain(|item| !item.is_empty());
    items
}

/// Returns the bytes of `text` that are outside of all brackets; a bracket that was never opened is one.
fn top_level(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    bytes.iter().enumerate().filter_map(move |(at, byte)| {
        let is_arrow = *byte == b'>' && at > 0 && bytes[at - 1] == b'-';
        match byte {
            b'(' | b'[' | b'<' => depth += 1,
            b')' | b']' | b'>' if !is_arrow && depth > 0 => depth -= 1,
            _ if depth == 0 => return Some((at, *byte)),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_differs_is_named() {
        let here = "f(Context<String, Vec<(u8, u8)>, u64>, limit: u64, by: fn(u8) -> [u8; 2]) -> u64";
        let cases = [
            (
                "f(Context<String, Vec<(u8, u16)>, u64>, limit: u64, by: fn(u8) -> [u8; 2]) -> u64",
                &["what it receives: `Vec<(u8, u8)>` here, `Vec<(u8, u16)>` there"][..],
            ),
            (
                "f(Context<(), Vec<(u8, u8)>, u32>, most: u64, by: fn(u8) -> [u8; 2]) -> ()",
                &[
                    "its result: `u64` here, `()` there",
                    "its first value: `String` here, `()` there",
                    "what it sends: `u64` here, `u32` there",
                    "argument 1: `limit: u64` here, `most: u64` there",
                ],
            ),
            (
                "f(Context<String, Vec<(u8, u8)>, u64>, limit: u64) -> u64",
                &["argument 2: `by: fn(u8) -> [u8; 2]` here, missing there"],
            ),
        ];
        for (there, differences) in cases {
            let text = lines(here, there);
            let named: Vec<_> = text.lines().skip(3).map(str::trim).collect();
            assert_eq!(named, differences);
            assert!(text.contains(here) && text.contains(there));
        }
    }

    #[test]
    fn each_leaf_that_differs_is_named() {
        let here = "f(order: Order) -> ()\nits result: ()\norder: Order.buy: u32\norder: Order.sell: u32";
        let there = "f(order: Order) -> ()\nits result: ()\norder: Order.buy: u64\norder: Order.sold: u32";
        let text = lines(here, there);
        let named: Vec<_> = text.lines().skip(3).map(str::trim).collect();
        assert_eq!(
            named,
            [
                "order: Order.buy: `u32` here, `u64` there",
                "order: Order.sell: `u32` here, missing there",
                "order: Order.sold: missing here, `u32` there",
            ]
        );
    }

    #[test]
    fn any_text_is_taken_for_a_declaration() {
        for text in ["", "f", "f(", "f)", "(>>><<<", "f(Context<", "f(Context<>) ->", "ä(ö,,ü) -> ß", ",,,"] {
            lines(text, "f(a: u8) -> u8");
            assert!(lines("f(a: u8) -> u8", text).contains("its result"), "{text}");
        }
    }
}
