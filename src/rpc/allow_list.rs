//! Which functions peers may call here: those of the modules that were enabled for this actor.

use std::collections::BTreeSet;

use super::export::{Export, table};
use crate::error::Refusal;

/// The modules whose functions peers may call here.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList(BTreeSet<String>);

impl AllowList {
    pub(crate) fn new(modules: impl IntoIterator<Item = String>) -> Self {
        Self(modules.into_iter().collect())
    }

    pub(crate) fn enable(&mut self, module: String) {
        self.0.insert(module);
    }

    /// Looks up the function of a peer's request.
    ///
    /// # Errors
    /// Why it may not be called, or that it does not exist.
    pub(crate) fn find(&self, path: &str) -> Result<&'static Export, Refusal> {
        let table =
            table().map_err(|error| Refusal::BadArguments { expected: path.to_owned(), why: error.to_string() })?;
        match table.get(path) {
            Some(export) if self.0.contains(export.module()) => Ok(export),
            Some(export) => Err(Refusal::ModuleNotExposed { module: export.module().to_owned() }),
            None => {
                let name = path.rsplit("::").next().unwrap_or(path);
                let like = table.iter().find(|(_, export)| export.name == name).map(|(path, _)| (*path).to_owned());
                Err(Refusal::UnknownFunction { like })
            }
        }
    }
}
