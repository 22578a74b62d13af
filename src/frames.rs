//! The stack of the running thread, as addresses of code: they are given names elsewhere, by another process.
//!
//! # Invariants
//! 1. A walk neither allocates nor logs, and takes no lock of this library: it may run in a signal handler. The unwinder
//!    of the system takes none either, with glibc from 2.35 on and GCC from 12 on.

use std::ffi::{c_int, c_void};

/// How many frames of a stack are kept, from the innermost one on.
pub(crate) const MAX_FRAMES: usize = 128;

/// Fills in the addresses of the running thread's stack, the innermost frame first; returns how many there are.
///
/// In the handler of a signal, that is the frame which was interrupted. Each address lies inside of the instruction that
/// is being executed there, also where that is a call.
#[expect(unsafe_code, reason = "the unwinder has a C interface")]
pub(crate) fn walk(into: &mut [usize]) -> usize {
    let mut walk = Walk { into, count: 0 };
    // SAFETY: `note` matches the type that is expected, and gets the `Walk`, which lives until the call returns.
    unsafe { _Unwind_Backtrace(note, (&raw mut walk).cast()) };
    walk.count
}

/// Returns the stack of the running thread.
pub(crate) fn here() -> Vec<u64> {
    let mut frames = [0; MAX_FRAMES];
    let count = walk(&mut frames);
    frames[..count].iter().map(|frame| *frame as u64).collect()
}

struct Walk<'a> {
    into: &'a mut [usize],
    count: usize,
}

#[expect(unsafe_code, reason = "see `walk`")]
extern "C" fn note(context: *mut c_void, walk: *mut c_void) -> c_int {
    let mut is_before = 0;
    // SAFETY: the unwinder passes its own context, and what `walk` has given it, which nothing else uses meanwhile.
    let (ip, walk) = unsafe { (_Unwind_GetIPInfo(context, &raw mut is_before), &mut *walk.cast::<Walk<'_>>()) };
    if is_before != 0 {
        walk.count = 0; // what was interrupted: the frames so far are those of the handler
    }
    let Some(place) = walk.into.get_mut(walk.count).filter(|_| ip != 0) else { return STOP };
    // A return address may belong to the next function already.
    *place = if is_before == 0 { ip - 1 } else { ip };
    walk.count += 1;
    GO_ON
}

// Of the library that the standard library unwinds with.
#[expect(unsafe_code, reason = "see `walk`")]
unsafe extern "C" {
    pub(crate) fn _Unwind_Backtrace(note: extern "C" fn(*mut c_void, *mut c_void) -> c_int, with: *mut c_void)
    -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, is_before: *mut c_int) -> usize;
}

/// As `_URC_NO_REASON`: the next frame is wanted, too.
pub(crate) const GO_ON: c_int = 0;
/// As `_URC_END_OF_STACK`.
pub(crate) const STOP: c_int = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deeper(levels: usize) -> Vec<u64> {
        let stack = if levels == 0 { here() } else { deeper(levels - 1) };
        std::hint::black_box(stack)
    }

    #[test]
    fn a_stack_has_a_frame_for_each_call_and_a_bound() {
        assert_eq!(deeper(20).len(), deeper(0).len() + 20);
        assert_eq!(deeper(MAX_FRAMES).len(), MAX_FRAMES);
    }
}
