//! Where a process was when a signal killed it: it says so itself, and its parent finds the names.
//!
//! A process that has just written where it must not is in no state to read debug information, or to allocate. So it
//! writes one line of numbers, and another process of the same program makes functions and source lines of them:
//!
//! ```text
//! pleach: killed by signal 11 at 0x0, thread 4711; program /opt/count; stack: /opt/count+0x4c0de +0x4d000
//! ```
//! `+0x4d000` is a place in the file that was named last: what `addr2line` takes, less what the file's headers move it by.
//!
//! | file | station |
//! |---|---|
//! | this one | reading the line |
//! | [`handler`] | writing it, in the handler of the signal |
//! | [`names`] | from places in files to functions |

pub(crate) mod handler;
pub(crate) mod names;

/// A place in the code: a file as it is mapped, and how far into it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CodePlace {
    /// `None` for the program itself.
    file: Option<String>,
    offset: u64,
}

/// Takes what is said of a crash out of the last lines of a process; returns the places in it, the innermost first.
pub(crate) fn take_from(lines: &mut Vec<String>) -> Vec<CodePlace> {
    // The process may have left a line of its own unfinished.
    let line_of_crash = |(at, line): (usize, &String)| Some((at, line.find(handler::START)?));
    let Some((at, from)) = lines.iter().enumerate().rev().find_map(line_of_crash) else { return Vec::new() };
    let Some(places) = places(&lines[at][from..]) else { return Vec::new() };
    lines[at].truncate(from);
    if from == 0 {
        lines.remove(at);
    }
    places
}

/// Reads what is said; `None` if it is something else.
fn places(line: &str) -> Option<Vec<CodePlace>> {
    let (head, stack) = line.split_once(handler::STACK)?;
    let (_, program) = head.split_once(handler::PROGRAM)?;
    let mut file = None;
    let mut place = |word: &str| {
        let (named, offset) = word.rsplit_once("+0x")?;
        if !named.is_empty() {
            file = Some(named.to_owned()).filter(|named| named != program);
        }
        Some(CodePlace { file: file.clone(), offset: u64::from_str_radix(offset, 16).ok()? })
    };
    stack.split_whitespace().take(crate::frames::MAX_FRAMES).map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_their_line_is_taken_away() {
        let line = "pleach: killed by signal 11 at 0x0, thread 7; program /a b; stack: /a?b+0x1f +0x2 /c+1.so+0x3 +0x4";
        let mut lines = ["before", &format!("half {line}"), "after"].map(str::to_owned).to_vec();
        let other = |offset| CodePlace { file: Some("/c+1.so".into()), offset };
        let first = |offset| CodePlace { file: Some("/a?b".into()), offset };
        assert_eq!(take_from(&mut lines), [first(0x1f), first(2), other(3), other(4)]);
        assert_eq!(lines, ["before", "half ", "after"]);
        let mut lines = vec![line.to_owned()];
        assert_eq!((take_from(&mut lines).len(), lines.len()), (4, 0));
        let own = "pleach: killed by signal 6 at 0x1, thread 7; program /a; stack: /a+0x1f +0x2";
        let own = places(own).unwrap();
        assert_eq!(own, [0x1f, 2].map(|offset| CodePlace { file: None, offset }));
    }

    #[test]
    fn what_only_looks_like_one_stays_where_it_is() {
        for line in ["pleach: killed by signal 9", "pleach: killed by signal 1; program /a; stack: b", "; stack: +0x1"]
        {
            let mut lines = vec![line.to_owned()];
            assert_eq!(take_from(&mut lines), []);
            assert_eq!(lines, [line]);
        }
    }
}
