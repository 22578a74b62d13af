//! Actors with state, as their callers see them.
//!
//! | file | station |
//! |---|---|
//! | this one | the trait that `#[pleach::actor]` implements, and finding actors of a type by name |
//! | [`new`] | a state that is not made yet, and the actor that is started with it |
//! | [`handle`] | the typed handle, also as a value in a message |
//! | [`route`] | the way to the actor: one process, or the one that has its place now |
//! | [`kept`] | which process is a supervised child now, for those that a handle was sent to |
//! | [`call`] | the calls of a handle's methods |
//!
//! The actor's side is [`crate::rpc::method`].

pub(crate) mod call;
pub(crate) mod handle;
mod kept;
pub(crate) mod new;
pub(crate) mod route;

use self::handle::Handle;
use self::route::Route;
use crate::decode::Decoder;
use crate::error::{Error, Refusal, Result};
use crate::find::find_actor;
use crate::rpc::call::RemoteCall;
use crate::rpc::export::Export;
use crate::rpc::method::OnlyCallers;
use crate::rpc::method::cell::State;

/// A type whose values are the state of an actor, with the methods of its handles. `#[pleach::actor]` implements it.
pub trait ActorState: State {
    /// The methods that a [`Handle`] has.
    type Methods: From<Route<Self>> + AsRef<Route<Self>> + Send + Sync;

    /// A call that each actor of this type answers.
    #[doc(hidden)]
    fn is() -> IsCall;
}

/// A call that each actor of a type answers.
pub struct IsCall(RemoteCall<()>);

/// Prepares that call; the macro's code calls this.
pub fn is_call(export: &'static Export) -> IsCall {
    IsCall(RemoteCall::new(export, OnlyCallers::default(), Decoder::new()))
}

/// Looks up an actor of a type by its name, as [`find_actor`] does for any.
///
/// It is found once its state is made.
///
/// # Errors
/// [`Error::Usage`] when the newest actor of this name is not an `A`; [`Error::Closed`] when its state could not be made;
/// as [`find_actor`] and [`Portal::run`](crate::Portal::run) for the rest.
///
/// # Cancel safety
/// As [`find_actor`].
///
/// # Examples
/// ```
/// use pleach::prelude::*;
///
/// struct Total(i64);
///
/// #[pleach::actor]
/// impl Total {
///     pub async fn new(from: i64) -> Result<Self> {
///         Ok(Self(from))
///     }
///
///     pub async fn value(&self) -> Result<i64> {
///         Ok(self.0)
///     }
/// }
///
/// #[pleach::rpc]
/// async fn look() -> Result<i64> {
///     let total = pleach::find::<Total>("sum").await?.expect("it was started before");
///     total.value().await
/// }
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     let total = n.start(Total::new(5)).name("sum").await?;
///     assert_eq!(n.run_in_actor(look()).await?.result().await?, 5);
///     pleach::Handle::stop(&total).await
/// })
/// .await
/// # }
/// ```
pub async fn find<A: ActorState>(name: &str) -> Result<Option<Handle<A>>> {
    let Some(portal) = find_actor(name).await? else { return Ok(None) };
    let is = A::is().0;
    is.note_callers();
    match portal.run_method(is).await {
        Ok(()) => Ok(Some(Route::to(portal).into())),
        Err(Error::Refused { why: Refusal::ModuleNotExposed { .. } | Refusal::UnknownFunction { .. }, .. }) => {
            Err(Error::Usage(format!("{} is not a `{}`", portal.id(), A::NAME)))
        }
        Err(other) => Err(other),
    }
}
