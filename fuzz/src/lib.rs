//! What the targets share.

pub mod values;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which notes how much was in use at most.
#[derive(Debug)]
pub struct Counting {
    now: AtomicUsize,
    before: AtomicUsize,
    most: AtomicUsize,
}

impl Counting {
    /// Nothing is counted yet.
    pub const fn new() -> Self {
        Self { now: AtomicUsize::new(0), before: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// Starts over: memory in use now does not count.
    pub fn start(&self) {
        self.before.store(self.now.load(Relaxed), Relaxed);
        self.most.store(self.now.load(Relaxed), Relaxed);
    }

    /// Returns how many bytes more than at the start were in use at most.
    pub fn most(&self) -> usize {
        self.most.load(Relaxed) - self.before.load(Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.most.fetch_max(self.now.fetch_add(bytes, Relaxed) + bytes, Relaxed);
    }
}

impl Default for Counting {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: the caller's promises are this call's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are this call's.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.add(size);
        self.now.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are this call's.
        unsafe { System.realloc(place, layout, size) }
    }
}
