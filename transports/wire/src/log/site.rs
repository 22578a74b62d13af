//! A call site, and whether a subscriber may want its records.
//!
//! It differs from one of `tracing` in one thing: only the thread that hands records over registers it, because that
//! calls every subscriber. Until then its records are queued, wanted or not.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::callsite::DefaultCallsite;
use tracing_core::dispatcher::{Dispatch, get_default};
use tracing_core::field::Value;
use tracing_core::metadata::LevelFilter;
use tracing_core::subscriber::{Interest, NoSubscriber};
use tracing_core::{Callsite as _, Level, Metadata};

use super::record::{self, Record};
use super::{facade, fallback, queue};

/// A call site of [`record!`](crate::record).
#[derive(Debug)]
pub struct Site {
    callsite: &'static DefaultCallsite,
    registered: AtomicBool,
}

impl Site {
    #[doc(hidden)]
    pub const fn new(callsite: &'static DefaultCallsite) -> Self {
        Self { callsite, registered: AtomicBool::new(false) }
    }

    /// Returns whether a record from here may be wanted. Calls no subscriber.
    #[inline]
    pub fn may_be_wanted(&'static self, level: Level) -> bool {
        let by_tracing = level <= tracing::level_filters::STATIC_MAX_LEVEL
            && level <= LevelFilter::current()
            && !(self.registered.load(Ordering::Acquire) && self.callsite.interest().is_never());
        by_tracing || facade::may_want(level) || fallback::may_want(level)
    }

    /// Queues a record with these values, the message first.
    #[cold]
    pub fn say(&'static self, values: &[&dyn Value]) {
        if record::is_being_handed_over() {
            return; // Invariant 4 of the module above
        }
        let dispatch = get_default(Dispatch::clone);
        let wanted = self.is_wanted_by(&dispatch);
        if wanted != Some(false) {
            queue::offer(|| Record::new(self, values, dispatch, wanted.is_some()));
        }
    }

    /// Returns whether a subscriber wants a record; `None` if only its registration can tell.
    fn is_wanted_by(&'static self, dispatch: &Dispatch) -> Option<bool> {
        if dispatch.is::<NoSubscriber>() {
            let level = *self.metadata().level();
            return Some(facade::may_want(level) || fallback::may_want(level));
        }
        if !self.registered.load(Ordering::Acquire) {
            return None;
        }
        let interest = self.callsite.interest();
        Some(interest.is_always() || (interest.is_sometimes() && dispatch.enabled(self.metadata())))
    }

    /// Returns what subscribers think of records from here in general. Calls each of them the first time.
    pub(super) fn register(&'static self) -> Interest {
        let interest = self.callsite.interest();
        self.registered.store(true, Ordering::Release);
        interest
    }

    pub(super) fn metadata(&self) -> &'static Metadata<'static> {
        self.callsite.metadata()
    }
}
