//! An allocator that counts: how often memory was asked for, and how many bytes are held.
//!
//! A bench that wants to know makes it its `#[global_allocator]`. Its own cost is two atomic additions for each
//! allocation.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counted.
pub(crate) struct Counting;

/// Returns how many allocations this process has made; moving a block to a larger one is an allocation too.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.load(Relaxed)
}

/// Returns how many bytes this process holds.
pub(crate) fn held() -> usize {
    HELD.load(Relaxed)
}

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    HELD.fetch_add(bytes, Relaxed);
}

// SAFETY: every request reaches the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the promises of this function, which are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}
