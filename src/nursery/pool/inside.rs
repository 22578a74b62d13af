//! Functions that a pool runs in its workers.

#![expect(unsafe_code, reason = "the entries in the table of exposed functions have a section of their own")]

use crate::error::{Error, Result};

/// The module to enable in a worker.
pub(super) const MODULE: &str = module_path!();

/// Answers.
#[pleach::rpc]
pub(super) async fn answers() -> Result<()> {
    Ok(())
}

/// Returns the resident memory of the process, in bytes.
#[pleach::rpc]
pub(super) async fn resident_memory() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(|error| Error::from_boxed(error.into()))?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| Error::Usage("/proc/self/statm has an unknown format".into()))?;
    Ok(pages * rustix::param::page_size() as u64)
}
