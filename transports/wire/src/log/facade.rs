//! The `log` crate, for programs that have no `tracing` subscriber.
//!
//! Its logger gets what one of `tracing` would get, fields behind the message, as `tracing` itself passes it on.

use std::fmt;

use log::{Level as LogLevel, Metadata, STATIC_MAX_LEVEL, logger, max_level};
use tracing_core::Level;

use super::record::Record;

/// Returns whether the logger may want a record. Two loads tell.
#[inline]
pub(super) fn may_want(level: Level) -> bool {
    let level = level_of(level);
    level <= STATIC_MAX_LEVEL && level <= max_level()
}

/// Gives a record to the logger.
pub(super) fn write(record: &Record) {
    let origin = record.metadata();
    let metadata = Metadata::builder().level(level_of(*origin.level())).target(origin.target()).build();
    if !logger().enabled(&metadata) {
        return;
    }
    let mut written = log::Record::builder();
    written.metadata(metadata).module_path(origin.module_path()).file(origin.file()).line(origin.line());
    logger().log(&written.args(format_args!("{}", Text(record))).build());
}

#[inline]
fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// The message and the fields as one text.
struct Text<'a>(&'a Record);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, value) in self.0.values() {
            match field.index() {
                0 => write!(f, "{:?}", value.as_value())?,
                _ => write!(f, " {}={:?}", field.name(), value.as_value())?,
            }
        }
        Ok(())
    }
}
