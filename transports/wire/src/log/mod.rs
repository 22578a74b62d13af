//! Log records that can't harm the code that writes them.
//!
//! A record goes to a subscriber of the user's own, which may panic, or block for ever. So its values are copied, and
//! a thread named `pleach-log` hands it over:
//!
//! ```text
//! record! ─► may any subscriber want it? ─► values, dispatcher, span ─► queue ─► thread ─► subscriber
//! ```
//!
//! | file | station |
//! |---|---|
//! | `site` | a call site, and whether a subscriber may want its records |
//! | `record` | one record: its values as owned ones, and how it is handed over |
//! | `facade` | the `log` crate, for programs without a `tracing` subscriber |
//! | `fallback` | what takes them while a program has neither |
//! | `queue` | the queue of records, and its thread |
//! | `origin` | the actor whose records they are |
//! | `bounded` | such queues in general: items that find no room are dropped and counted |
//!
//! # Invariants
//! 1. On the thread that makes a record, a subscriber is asked for two things at most: its current span, and whether
//!    it wants the record, and the latter only if its answer may differ from time to time (`Interest::sometimes`).
//! 2. A panic of a subscriber ends here; the panic hook reports it.
//! 3. The records of one thread keep their order.
//! 4. A subscriber that makes records of this library while it takes one does not get those.

mod bounded;
mod facade;
mod fallback;
mod origin;
mod queue;
mod record;
mod site;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use tracing_core::field::{Value, debug, display};
#[doc(hidden)]
pub use tracing_core::{self, Level};

pub use self::bounded::{Backlog, BoundedQueue};
pub use self::fallback::set_fallback;
pub use self::origin::{origin, replace_thread_origin, set_process_origin, set_thread_origin, thread_origin};
pub use self::queue::backlog;
pub use self::record::MAX_FIELDS;
pub use self::site::Site;

/// Makes a log record: a level, a target, any number of fields, a message.
///
/// It is written as those of `tracing` are. The message may name variables, but takes no further arguments. If no
/// subscriber wants it, nothing of it is evaluated; only the first record of a call site is made in any case, since
/// subscribers are asked when that one is handed over.
///
/// ```
/// # let (peer, error, count) = ("peer", std::fmt::Error, 3_u64);
/// pleach_wire::record!(WARN, target: "pleach::transport", peer, %error, limit = ?Some(7), count, "closed them");
/// ```
#[macro_export]
macro_rules! record {
    ($level:ident, target: $target:literal, $($rest:tt)+) => {
        $crate::record!(@ $level $target [] $($rest)+)
    };
    (@ $level:ident $target:literal [$(($name:ident $value:expr))*] $message:literal) => {{
        static SITE: $crate::log::Site = $crate::site!($level, $target, $($name)*);
        if SITE.may_be_wanted($crate::log::Level::$level) {
            // Also the values are a user's, an error's text for instance.
            $crate::log::guarded(|| SITE.say(&[&format_args!($message), $(&$value),*]));
        }
    }};
    (@ $level:ident $target:literal [$($said:tt)*] $name:ident = % $value:expr, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $crate::log::display(&$value))] $($rest)+)
    };
    (@ $level:ident $target:literal [$($said:tt)*] $name:ident = ? $value:expr, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $crate::log::debug(&$value))] $($rest)+)
    };
    (@ $level:ident $target:literal [$($said:tt)*] $name:ident = $value:expr, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $value)] $($rest)+)
    };
    (@ $level:ident $target:literal [$($said:tt)*] % $name:ident, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $crate::log::display(&$name))] $($rest)+)
    };
    (@ $level:ident $target:literal [$($said:tt)*] ? $name:ident, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $crate::log::debug(&$name))] $($rest)+)
    };
    (@ $level:ident $target:literal [$($said:tt)*] $name:ident, $($rest:tt)+) => {
        $crate::record!(@ $level $target [$($said)* ($name $name)] $($rest)+)
    };
}

/// The [`Site`] of a record: its level, its target, and the names of its fields beside the message.
#[doc(hidden)]
#[macro_export]
macro_rules! site {
    ($level:ident, $target:literal, $($name:ident)*) => {{
        use $crate::log::tracing_core::callsite::DefaultCallsite;
        use $crate::log::tracing_core::metadata::{Kind, Metadata};
        const FIELDS: &[&str] = &["message", $(stringify!($name)),*];
        const { assert!(FIELDS.len() <= $crate::log::MAX_FIELDS) };
        static METADATA: Metadata<'static> = $crate::log::tracing_core::metadata! {
            name: concat!("event ", file!(), ":", line!()),
            target: $target,
            level: $crate::log::Level::$level,
            fields: FIELDS,
            callsite: &CALLSITE,
            kind: Kind::EVENT,
        };
        static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
        $crate::log::Site::new(&CALLSITE)
    }};
}

/// Runs code of a user's that may panic; returns whether it ran to its end.
#[doc(hidden)]
pub fn guarded(code: impl FnOnce()) -> bool {
    let ended = catch_unwind(AssertUnwindSafe(code));
    ended
        .map_err(|panic| {
            // The hook has reported it. What it carries is a user's too, and may panic where it is dropped.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            std::mem::forget(dropped);
        })
        .is_ok()
}

#[cfg(test)]
mod tests;
