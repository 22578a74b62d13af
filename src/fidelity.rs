//! Debug builds say once for each type that a value of it does not come back.
//!
//! A loss in a codec is an error at the sender. This is about losses that no codec sees: `untagged` variants that look
//! alike, a field that is left out and has no `default`, and other values that the type's own code reads differently.
//!
//! All that a declaration names is tried where it is sent: arguments, results, first values, messages in both
//! directions, registered errors. There it is only known how to write them; how they are read is handed down from where
//! the declaration is ([`Reads`]). The arguments of a call by name alone (`run_from_ns`) have no declared type.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Tries one of the first values of a type, where assertions are on.
pub(crate) fn check<T: Serialize + DeserializeOwned>(value: &T) {
    Reads::declared().check(value);
}

/// How values of a declared type are read; nothing where assertions are off.
pub(crate) struct Reads<T> {
    #[cfg(debug_assertions)]
    read: fn(&[u8]) -> Result<T, String>,
    types: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Reads<T> {
    pub(crate) fn declared() -> Self {
        Self {
            #[cfg(debug_assertions)]
            read: pleach_wire::codec::read_back,
            types: PhantomData,
        }
    }
}

impl<T: Serialize> Reads<T> {
    /// Tries one of the first values of the type, where assertions are on.
    pub(crate) fn check(self, value: &T) {
        #[cfg(debug_assertions)]
        trying::one(value, self.read);
        #[cfg(not(debug_assertions))]
        let _ = value;
    }
}

impl<T> Clone for Reads<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Reads<T> {}

#[cfg(debug_assertions)]
mod trying {
    use std::any::type_name;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;
    use crate::sync::lock;

    pub(super) fn one<T: Serialize>(value: &T, read: fn(&[u8]) -> Result<T, String>) {
        let name = type_name::<T>();
        if !is_early(name) {
            return;
        }
        // A panic of the type's own code comes once more, where the value is sent or read.
        let lost = catch_unwind(AssertUnwindSafe(|| pleach_wire::codec::lost(value, read)));
        if let Ok(Some(how)) = lost {
            *lock(&TRIED).entry(name).or_default() = ENOUGH;
            warn!(
                target: "pleach::runtime", type_name = %shown(name), how,
                "a value of this type does not come back as it was sent; see `pleach::manual::values`"
            );
        }
    }

    /// The arguments of a function have a type of their own, which its author does not know.
    fn shown(name: &str) -> String {
        match name.strip_suffix("::__PleachArguments") {
            Some(function) => format!("arguments of {function}"),
            None => name.to_owned(),
        }
    }

    /// Returns whether this is one of the first values of its type, and nothing has been said of it.
    fn is_early(name: &'static str) -> bool {
        let mut tried = lock(&TRIED);
        let count = tried.entry(name).or_default();
        *count = count.saturating_add(1).min(ENOUGH);
        *count < ENOUGH
    }

    /// After so many values nothing is expected of more.
    const ENOUGH: u8 = 32;

    static TRIED: Mutex<BTreeMap<&str, u8>> = Mutex::new(BTreeMap::new());
}
