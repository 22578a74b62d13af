//! The kernel's list of what is mapped into the memory of a process, line by line: `proc_pid_maps(5)`.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A part of a process's memory.
pub(crate) struct Mapping<'a> {
    pub(crate) addresses: Range<usize>,
    pub(crate) is_code: bool,
    /// How far into its file it begins.
    pub(crate) offset: usize,
    /// The number of its file; 0 without one.
    pub(crate) inode: u64,
    /// The name of its file, or the kernel's for it, such as `[vdso]`; empty if it has neither.
    pub(crate) name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Reads a line; `None` if it is not one of the list. It neither allocates nor locks: it may run in the handler of a
    /// signal.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (range, rights, offset) = (text(words.next()?)?, words.next()?, text(words.next()?)?);
        let (_device, inode, name) = (words.next()?, text(words.next()?)?, words.next().unwrap_or_default());
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let (start, end) = range.split_once('-')?;
        Some(Self {
            addresses: number(start)?..number(end)?,
            is_code: rights.contains(&b'x'),
            offset: number(offset)?,
            inode: inode.parse().ok()?,
            name: name.trim_ascii_start(),
        })
    }

    /// The path of its file, if it has one. That of a file that was deleted or replaced ends with a mark.
    pub(crate) fn path(&self) -> Option<&'a Path> {
        self.name.starts_with(b"/").then(|| Path::new(OsStr::from_bytes(self.name)))
    }
}

fn text(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word).ok()
}

/// Where this process finds its own list.
pub(crate) const OWN: &str = "/proc/self/maps";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_far_as_it_goes() {
        let code = Mapping::parse(b"7f01-7f03 r-xp 00002000 08:01 42   /usr/lib/a b.so (deleted)").unwrap();
        assert_eq!((code.addresses, code.is_code, code.offset, code.inode), (0x7f01..0x7f03, true, 0x2000, 42));
        assert_eq!(Mapping::parse(b"1-2 r-xp 0 08:01 42 /a b ").unwrap().path(), Some(Path::new("/a b ")));
        let kernel = Mapping::parse(b"7f01-7f03 r--p 0 00:00 0 [vdso]").unwrap();
        assert_eq!((kernel.is_code, kernel.name, kernel.path()), (false, &b"[vdso]"[..], None));
        assert_eq!(Mapping::parse(b"7f01-7f03 rw-p 0 00:00 0 ").unwrap().name, b"");
        for other in ["", "x", "7f01 r-xp 0 00:00 0 /a", "7f01-g r-xp 0 00:00 0 /a"] {
            assert!(Mapping::parse(other.as_bytes()).is_none(), "{other}");
        }
    }
}
