//! Sockets in Linux's abstract namespace, as the kernel lists them for all processes of a network namespace.

/// The list, for this process; `/proc/PID/net/unix` is that of another.
pub(crate) const LIST: &str = "/proc/net/unix";

/// Returns the names in a list that begin with `prefix`, without it. The path of a file is never among them, whatever it
/// contains.
pub(crate) fn names<'a>(list: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    // `Num RefCount Protocol Flags Type St Inode Path`, and an abstract name has an `@` in front.
    let paths = list.lines().filter_map(|line| line.split_whitespace().nth(7));
    paths.filter_map(move |path| path.strip_prefix('@')?.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_paths_and_nameless_sockets() {
        let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 8713 @pleach-inspect/12/00c0ffee\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 8714 /run/user/0/@pleach-inspect/13\n\
            0000000000000000: 00000002 00000000 00000000 0001 01 8716 @pleach-tree-0000300004-815\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 8715\n";
        assert_eq!(names(list, "pleach-inspect/").collect::<Vec<_>>(), ["12/00c0ffee"]);
        assert_eq!(names(list, "pleach-tree-").collect::<Vec<_>>(), ["0000300004-815"]);
    }
}
