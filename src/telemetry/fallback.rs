//! This library's records on standard error, while a program has neither a subscriber nor a logger.
//!
//! `#[pleach::main]` installs no subscriber: a program that sets its own in its body would find the place taken, and
//! panic. It has those records shown that otherwise nothing would take. They look as those of actors do.
//!
//! What is shown is said by `PLEACH_LOG`, else by the `log_level` of the latest root, else it is warnings and errors.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::Registry;

use super::{LogFormat, filter, last_words, lines, wanted_format, wanted_level};

/// Has them shown from now on.
pub(crate) fn install() {
    last_words::wait_at_exit();
    SHOWN.store(true, Ordering::Relaxed);
    show(wanted_level().as_deref(), LogFormat::default());
}

/// Has those shown that a root's settings ask for, if any are, and the environment does not say otherwise.
pub(crate) fn configure(level: Option<&str>, format: LogFormat) {
    let wanted = wanted_level();
    let is_other = (wanted.is_none() && level.is_some()) || format != LogFormat::default();
    if SHOWN.load(Ordering::Relaxed) && is_other {
        show(wanted.as_deref().or(level), format);
    }
}

fn show(level: Option<&str>, format: LogFormat) {
    let format = wanted_format().unwrap_or(format);
    pleach_wire::log::set_fallback(lines(Registry::default(), filter(level.unwrap_or("warn")), format));
}

static SHOWN: AtomicBool = AtomicBool::new(false);
