//! The error types that come back from other actors as themselves: a table made at link time.
//!
//! [`register_error!`](crate::register_error) adds a type to it. As actors are processes of one program,
//! both sides of a connection have the same table.

use std::any::type_name;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::{Decoded, Encoded, EncodedError};
use super::{Error, Result};
use crate::fidelity;
use crate::log::Limit;

/// Lets errors of these types come back from other actors as themselves.
///
/// Each type implements `std::error::Error`, `Serialize` and `Deserialize`, and is `Send + Sync`. Write
/// it once, anywhere in the program. An error that reaches the caller inside another one (`anyhow`, a
/// `Box<dyn Error>`, a cause of a type that is not registered) is found too.
///
/// ```
/// use pleach::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, thiserror::Error, Serialize, Deserialize)]
/// #[error("{0} is too big")]
/// struct TooBig(u64);
///
/// pleach::register_error!(TooBig);
///
/// #[pleach::rpc]
/// async fn store(n: u64) -> Result<(), TooBig> {
///     Err(TooBig(n))
/// }
///
/// #[pleach::main]
/// async fn main() -> Result<()> {
///     pleach::open_nursery(async |n| {
///         let portal = n.start_actor("store").enable(module_path!()).await?;
///         let error = portal.run(store(7)).await.unwrap_err();
///         assert_eq!(error.downcast_ref::<TooBig>().unwrap().0, 7);
///         portal.cancel_actor().await
///     })
///     .await
/// }
/// ```
#[macro_export]
macro_rules! register_error {
    ($($error:ty),+ $(,)?) => {$(
        const _: () = {
            #[$crate::__private::linkme::distributed_slice($crate::__private::ERRORS)]
            #[linkme(crate = $crate::__private::linkme)]
            static __PLEACH_ERROR: $crate::__private::RegisteredError =
                $crate::__private::RegisteredError::new::<$error>();
        };
    )+};
}

/// One registered type, as [`register_error!`](crate::register_error) describes it.
#[derive(Debug)]
pub struct RegisteredError {
    name: fn() -> &'static str,
    /// `None` for errors of other types.
    encode: fn(&(dyn StdError + 'static)) -> Option<Result<EncodedError, String>>,
    decode: fn(&EncodedError) -> Result<Decoded, String>,
}

impl RegisteredError {
    /// Describes a type; [`register_error!`](crate::register_error) calls this.
    pub const fn new<E: StdError + Serialize + DeserializeOwned + Send + Sync + 'static>() -> Self {
        Self {
            name: type_name::<E>,
            encode: |error| {
                let error = error.downcast_ref::<E>()?;
                fidelity::check(error);
                Some(EncodedError::of(Encoded::Registered, error))
            },
            decode: |payload| payload.decode::<E>().map(|error| Arc::new(error) as Decoded),
        }
    }
}

/// All registered types of this program.
#[linkme::distributed_slice]
pub static ERRORS: [RegisteredError];

type Table = BTreeMap<&'static str, &'static RegisteredError>;

/// The table of all registered types by name, made once.
///
/// # Errors
/// Two types of one name: the program can't tell which one a peer means.
pub(crate) fn table() -> Result<&'static Table> {
    static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
    TABLE.get_or_init(|| make_table(&ERRORS)).as_ref().map_err(|why| Error::Usage(why.clone()))
}

fn make_table(errors: &'static [RegisteredError]) -> Result<Table, String> {
    let mut table = Table::new();
    for registered in errors {
        let name = (registered.name)();
        if table.insert(name, registered).is_some() {
            return Err(format!("two error types are registered as `{name}`; rename one, or register it only once"));
        }
    }
    Ok(table)
}

/// Encodes an error if its type is registered, and names the type.
pub(super) fn encode(error: &(dyn StdError + 'static)) -> Option<(&'static str, EncodedError)> {
    let (registered, encoded) = ERRORS.iter().find_map(|one| (one.encode)(error).map(|encoded| (one, encoded)))?;
    let name = (registered.name)();
    match encoded {
        Ok(payload) => Some((name, payload)),
        Err(why) => {
            static LIMIT: Limit = Limit::new();
            if let Some(count) = LIMIT.count() {
                warn!(target: "pleach::runtime", name, why, count, "a registered error can't be sent as itself");
            }
            None
        }
    }
}

/// Decodes an error of the type of that name, if there is such a type here.
pub(super) fn decode(type_name: &str, payload: &EncodedError) -> Option<Result<Decoded, String>> {
    let registered = *table().ok()?.get(type_name)?;
    Some((registered.decode)(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_types_of_one_name_are_an_error() {
        static TWICE: [RegisteredError; 2] =
            [RegisteredError::new::<crate::error::ActorDied>(), RegisteredError::new::<crate::error::ActorDied>()];
        let refused = make_table(&TWICE).unwrap_err();
        assert!(refused.contains("ActorDied") && refused.contains("rename one"), "{refused}");
    }
}
