//! Which functions peers may call here: those of the modules that were enabled for this actor.

use std::collections::{BTreeMap, BTreeSet};

use pleach_wire::ByteStr;

use super::export::{Export, table};
use crate::error::Refusal;

/// The modules whose functions peers may call here.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList {
    modules: BTreeSet<String>,
    /// Those of their functions that peers have called, by schema: the next call finds them by a number.
    called: BTreeMap<u64, &'static Export>,
}

impl AllowList {
    pub(crate) fn new(modules: impl IntoIterator<Item = String>) -> Self {
        Self { modules: modules.into_iter().collect(), called: BTreeMap::new() }
    }

    pub(crate) fn enable(&mut self, module: String) {
        self.modules.insert(module);
    }

    /// Returns a function that may be called, if peers have called it before, with this schema.
    pub(crate) fn called(&self, path: &ByteStr, schema: u64) -> Option<&'static Export> {
        self.called.get(&schema).copied().filter(|export| export.path.as_bytes() == path.as_bytes())
    }

    /// Notes a function that [`find`](Self::find) has found: there are as many at most as this program has.
    pub(crate) fn note_called(&mut self, export: &'static Export) {
        self.called.insert(export.schema(), export);
    }

    /// Looks up the function of a peer's request.
    ///
    /// # Errors
    /// Why it may not be called, or that it does not exist.
    pub(crate) fn find(&self, path: &str) -> Result<&'static Export, Refusal> {
        let table =
            table().map_err(|error| Refusal::BadArguments { expected: path.to_owned(), why: error.to_string() })?;
        match table.get(path) {
            Some(export) if self.modules.contains(export.module()) => Ok(export),
            Some(export) => Err(Refusal::ModuleNotExposed { module: export.module().to_owned() }),
            None => {
                let name = path.rsplit("::").next().unwrap_or(path);
                let like = table.iter().find(|(_, export)| export.name == name).map(|(path, _)| (*path).to_owned());
                Err(Refusal::UnknownFunction { like })
            }
        }
    }
}
