//! What the beginning of an executable file tells: which build it is, and where its code is in memory.
//!
//! It knows 64-bit files of this machine's byte order: those that this process may execute.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The beginning of an ELF file.
pub(crate) struct Elf(Vec<u8>);

/// One of the parts that the system loads or reads.
struct Segment {
    kind: usize,
    flags: usize,
    offset: usize,
    address: usize,
    length: usize,
}

impl Elf {
    /// Reads a file; one of another kind has nothing in it.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        File::open(path)?.take(MAX_START).read_to_end(&mut start)?;
        Ok(Self(start))
    }

    /// Returns the number that the linker has given this build, in hexadecimal digits, if it has.
    pub(crate) fn build_id(&self) -> Option<String> {
        let notes = self.segments().filter(|segment| segment.kind == PT_NOTE);
        let mut ids =
            notes.filter_map(|notes| build_id_in(self.0.get(notes.offset..notes.offset.checked_add(notes.length)?)?));
        Some(ids.next()?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Returns the address, as the file has it, of code at a place in the file; the page that it begins in counts too.
    pub(crate) fn address_at(&self, offset: u64) -> Option<u64> {
        let offset = usize::try_from(offset).ok()?;
        let is_there = |code: &Segment| {
            let first_page = code.offset - code.offset % rustix::param::page_size();
            code.kind == PT_LOAD
                && code.flags & PF_X != 0
                && (first_page..code.offset.saturating_add(code.length)).contains(&offset)
        };
        let code = self.segments().find(is_there)?;
        Some(code.address.wrapping_sub(code.offset).wrapping_add(offset) as u64)
    }

    fn segments(&self) -> impl Iterator<Item = Segment> {
        let file = &self.0[..];
        let is_known = file.starts_with(b"\x7fELF\x02") && file.get(5) == Some(&OWN_BYTE_ORDER);
        let headers = number::<8>(file, 32).filter(|_| is_known);
        let (size, count) = (number::<2>(file, 54).unwrap_or(0), number::<2>(file, 56).unwrap_or(0));
        let places =
            headers.into_iter().flat_map(move |first| (0..count).filter_map(move |at| first.checked_add(at * size)));
        places.filter_map(|at| {
            let [kind, flags] = [0, 4].map(|field| number::<4>(file, at.checked_add(field)?));
            let [offset, address, length] = [8, 16, 32].map(|field| number::<8>(file, at.checked_add(field)?));
            Some(Segment { kind: kind?, flags: flags?, offset: offset?, address: address?, length: length? })
        })
    }
}

fn build_id_in(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (name, length, kind) = (number::<4>(notes, 0)?, number::<4>(notes, 4)?, number::<4>(notes, 8)?);
        let contents = 12 + name.next_multiple_of(4);
        let note = notes.get(contents..contents.checked_add(length)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16)? == b"GNU\0" {
            return Some(note);
        }
        notes = notes.get(contents + length.next_multiple_of(4)..)?;
    }
}

fn number<const BYTES: usize>(file: &[u8], at: usize) -> Option<usize> {
    let mut bytes = [0; 8];
    let found = file.get(at..at.checked_add(BYTES)?)?;
    let place = if cfg!(target_endian = "big") { 8 - BYTES } else { 0 };
    bytes[place..place + BYTES].copy_from_slice(found);
    usize::try_from(u64::from_ne_bytes(bytes)).ok()
}

/// As much of a file is read: the headers and notes are at its beginning.
const MAX_START: u64 = 64 << 10;

const OWN_BYTE_ORDER: u8 = if cfg!(target_endian = "big") { 2 } else { 1 };
const PT_LOAD: usize = 1;
const PT_NOTE: usize = 4;
const PF_X: usize = 1;
const NT_GNU_BUILD_ID: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_behind_others_and_nothing_in_nonsense() {
        let note = |name: &[u8; 4], kind: u32, contents: &[u8]| {
            let numbers = [4, contents.len() as u32, kind].map(u32::to_ne_bytes).concat();
            let mut note = [&numbers, &name[..], contents].concat();
            note.resize(note.len().next_multiple_of(4), 0);
            note
        };
        let notes = [note(b"GNU\0", 1, &[1, 2, 3]), note(b"abc\0", 3, &[4]), note(b"GNU\0", 3, &[5, 6])].concat();
        assert_eq!(build_id_in(&notes), Some(&[5, 6][..]));
        assert_eq!(build_id_in(&notes[..30]), None);
        for nonsense in [b"\x7fELF".to_vec(), vec![0xff; 200], [&b"\x7fELF\x02\x01"[..], &[0xff; 200]].concat()] {
            let nonsense = Elf(nonsense);
            assert_eq!((nonsense.build_id(), nonsense.address_at(0)), (None, None));
        }
    }

    #[test]
    fn this_program_knows_itself() {
        let own = Elf::read(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(own.build_id(), Elf::read(&std::env::current_exe().unwrap()).unwrap().build_id());
        let code = own.segments().find(|segment| segment.kind == PT_LOAD && segment.flags & PF_X != 0).unwrap();
        assert_eq!(own.address_at(code.offset as u64), Some(code.address as u64));
        assert_eq!(own.address_at((code.offset + code.length) as u64), None);
        assert!(Elf::read(Path::new("/no/such/file")).is_err());
    }
}
