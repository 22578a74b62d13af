//! Whether a program catches a panic itself, before the task that it happens in would end with it.
//!
//! That is what the unwinder asks in its first phase: each frame has a table of its calls, with what is to be done when
//! one of them unwinds. Here the tables are only read. Their format is that of the [Itanium C++ ABI], with the pointer
//! encodings of the [LSB]; names are not needed, so this also works in a stripped release.
//!
//! [Itanium C++ ABI]: https://itanium-cxx-abi.github.io/cxx-abi/exceptions.pdf
//! [LSB]: https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/dwarfext.html
#![allow(unsafe_code, reason = "the unwinder has a C interface, and its tables are read by address")]

use std::ffi::{c_int, c_void};

use crate::crash::StackAddress;
use crate::frames::{_Unwind_Backtrace, GO_ON, STOP};

/// Returns whether a frame of this thread's stack, between here and that address, catches panics.
pub(super) fn before(task: StackAddress) -> bool {
    let mut search = Search { task, found: false };
    // SAFETY: `look` has the type that is expected, and gets the `Search`, which lives until the call returns.
    unsafe { _Unwind_Backtrace(look, (&raw mut search).cast()) };
    search.found
}

struct Search {
    task: StackAddress,
    found: bool,
}

extern "C" fn look(context: *mut c_void, search: *mut c_void) -> c_int {
    // SAFETY: the unwinder passes its own context, and what `before` has given it, which nothing else uses meanwhile.
    // The table of a frame is part of the program's file, and is complete if it is there.
    unsafe {
        let search = &mut *search.cast::<Search>();
        if _Unwind_GetCFA(context) >= search.task {
            return STOP;
        }
        let table = _Unwind_GetLanguageSpecificData(context);
        // A return address may belong to the next call already.
        let call = _Unwind_GetIP(context).wrapping_sub(1).wrapping_sub(_Unwind_GetRegionStart(context));
        search.found |= !table.is_null() && catches(Reader(table), call) == Some(true);
        if search.found { STOP } else { GO_ON }
    }
}

/// Reads a frame's table: whether the call at that offset is caught. `None`: it has an encoding that is not known.
///
/// # Safety
/// The table must be complete.
unsafe fn catches(mut table: Reader, call: usize) -> Option<bool> {
    // SAFETY: as the caller promises; the sizes of all parts are in the table.
    unsafe {
        let landing_base = table.byte();
        if landing_base != OMITTED {
            return None; // Rust's begin with the function
        }
        if table.byte() != OMITTED {
            table.leb128(); // where the types are: a catch of Rust's has none
        }
        let encoding = table.byte();
        let length = table.leb128() as usize;
        let actions = Reader(table.0.add(length));
        while table.0 < actions.0 {
            let (start, size) = (table.number(encoding)?, table.number(encoding)?);
            let (landing, action) = (table.number(encoding)?, table.leb128() as usize);
            if (start..start + size).contains(&call) {
                // Without an action it is clean-up; so is one whose type is 0.
                return Some(landing != 0 && action != 0 && Reader(actions.0.add(action - 1)).signed_leb128() > 0);
            }
        }
        Some(false)
    }
}

/// A place in a table.
struct Reader(*const u8);

impl Reader {
    /// # Safety
    /// There must be a byte, here and wherever this is used below.
    unsafe fn byte(&mut self) -> u8 {
        // SAFETY: as the caller promises.
        unsafe {
            let byte = *self.0;
            self.0 = self.0.add(1);
            byte
        }
    }

    unsafe fn leb128(&mut self) -> u64 {
        // SAFETY: as the caller promises.
        unsafe { self.leb128_with_sign().0 }
    }

    unsafe fn signed_leb128(&mut self) -> i64 {
        // SAFETY: as the caller promises.
        let (value, bits, is_negative) = unsafe { self.leb128_with_sign() };
        if is_negative && bits < 64 { (value as i64) - (1 << bits) } else { value as i64 }
    }

    /// Returns the value, how many bits it has, and whether the highest is set.
    unsafe fn leb128_with_sign(&mut self) -> (u64, u32, bool) {
        let (mut value, mut bits) = (0, 0);
        loop {
            // SAFETY: as the caller promises.
            let byte = unsafe { self.byte() };
            if bits < 64 {
                value |= u64::from(byte & 0x7f) << bits;
            }
            bits += 7;
            if byte & 0x80 == 0 {
                return (value, bits, byte & 0x40 != 0);
            }
        }
    }

    /// Reads a number in one of the encodings that compilers use for offsets.
    unsafe fn number(&mut self, encoding: u8) -> Option<usize> {
        // SAFETY: as the caller promises.
        unsafe {
            let size = match encoding {
                ULEB128 => return Some(self.leb128() as usize),
                UDATA2 => 2,
                UDATA4 => 4,
                UDATA8 => 8,
                _ => return None,
            };
            let mut bytes = [0; 8];
            bytes[..size].fill_with(|| self.byte());
            Some(u64::from_le_bytes(bytes) as usize)
        }
    }
}

unsafe extern "C" {
    fn _Unwind_GetCFA(context: *mut c_void) -> usize;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_GetRegionStart(context: *mut c_void) -> usize;
    fn _Unwind_GetLanguageSpecificData(context: *mut c_void) -> *const u8;
}

const OMITTED: u8 = 0xff;
const ULEB128: u8 = 0x01;
const UDATA2: u8 = 0x02;
const UDATA4: u8 = 0x03;
const UDATA8: u8 = 0x04;

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Has clean-up, which does not count as a catch.
    #[inline(never)]
    fn ask(task: StackAddress) -> bool {
        let cleaned_up = black_box(vec![1]);
        let found = before(task);
        drop(black_box(cleaned_up));
        found
    }

    #[test]
    fn a_catch_of_the_programs_own_is_found_and_clean_up_is_not_one() {
        let task = black_box(0_usize);
        let address = &raw const task as StackAddress;
        assert!(!black_box(ask)(address));
        assert!(catch_unwind(AssertUnwindSafe(|| black_box(ask)(address))).unwrap());
        assert!(!black_box(ask)(address));
        assert!(ask(StackAddress::MAX), "the thread's own");
    }

    #[test]
    fn numbers_of_the_table_are_read() {
        let bytes = [0xe5, 0x8e, 0x26, 0x7f, 0x02, 0x01];
        let mut reader = Reader(bytes.as_ptr());
        // SAFETY: these are the bytes that there are.
        unsafe {
            assert_eq!((reader.leb128(), reader.signed_leb128(), reader.number(UDATA2)), (624_485, -1, Some(0x0102)));
        }
    }
}
