//! Looking actors up by name.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::here;
use super::reach::{Reached, reach};
use crate::error::{Error, Result};
use crate::portal::Portal;
use crate::registry::{Registered, Registry};
use crate::runtime::Runtime;
use crate::scope;

/// Looks up an actor by its name, anywhere in the tree, and in the trees that have joined the same registrar.
///
/// Await the returned [`FindActor`], after saying more if need be. Names may repeat: the newest actor that is
/// alive is found. A connection that is there is used (to a child, to the parent, that of another portal);
/// otherwise one is opened, over the nearest address, and ends with the last portal: see
/// [`Portal::close`]. Looking up oneself gives a portal to oneself.
///
/// An actor is found from the moment at which [`Nursery::start_actor`](crate::Nursery::start_actor) has returned
/// it. Its functions can be called if it exposes them, as with any portal.
///
/// ```
/// # use pleach::prelude::*;
/// #[pleach::rpc]
/// async fn greet(name: String) -> Result<String> {
///     Ok(format!("hello, {name}"))
/// }
///
/// #[pleach::rpc]
/// async fn asks_its_sibling() -> Result<String> {
///     pleach::find_actor("greeter").required().await?.run(greet("sibling".into())).await
/// }
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     let greeter = n.start_actor("greeter").enable(module_path!()).await?;
///     let asker = n.run_in_actor(asks_its_sibling()).await?;
///     assert_eq!(asker.result().await?, "hello, sibling");
///     assert!(pleach::find_actor("missing").await?.is_none());
///     greeter.cancel_actor().await
/// })
/// .await
/// # }
/// ```
pub fn find_actor(name: impl Into<String>) -> FindActor {
    FindActor { name: name.into() }
}

/// A lookup that has not been made yet: say more about it, then await it.
///
/// Dropping it does nothing.
///
/// # Errors
/// Awaiting it fails with [`Error::Usage`] outside of an actor; with the registry's error when it does not answer in
/// time; with that of the last one tried when there are actors of this name, but none can be reached; with
/// [`Error::Cancelled`].
///
/// # Cancel safety
/// If dropped while it is awaited, a connection that was just being opened is closed.
#[must_use = "nothing is looked up until this is awaited"]
pub struct FindActor {
    name: String,
}

impl FindActor {
    /// Returns portals to all actors of this name that can be reached, the newest first; there may be none.
    ///
    /// # Errors
    /// As [`FindActor`].
    ///
    /// # Cancel safety
    /// As [`FindActor`].
    pub async fn all(self) -> Result<Vec<Portal>> {
        scope::wait(self.everyone()).await?
    }

    async fn everyone(self) -> Result<Vec<Portal>> {
        let runtime = here()?;
        let registry = registry_of(&runtime)?;
        let found = registry.find(&self.name).await?;
        let (mut portals, mut fault) = (Vec::new(), None);
        for some in found.chunks(AT_ONCE) {
            for reached in join_all(some.iter().map(|actor| reach(&runtime, &*registry, actor))).await {
                match reached {
                    Reached::Portal(portal) => portals.push(portal),
                    Reached::Stale => {}
                    Reached::No(error) => fault = Some(error),
                }
            }
        }
        match fault {
            Some(fault) if portals.is_empty() => Err(fault),
            _ => Ok(portals),
        }
    }

    /// Returns a portal to the newest, or an error if there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else as [`FindActor`].
    ///
    /// # Cancel safety
    /// As [`FindActor`].
    pub async fn required(self) -> Result<Portal> {
        let name = self.name.clone();
        self.await?.ok_or(Error::NotFound { name })
    }

    async fn newest(self) -> Result<Option<Portal>> {
        let runtime = here()?;
        let registry = registry_of(&runtime)?;
        let found = registry.find(&self.name).await?;
        first_reached(&runtime, &*registry, &found).await
    }
}

impl IntoFuture for FindActor {
    type Output = Result<Option<Portal>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { scope::wait(self.newest()).await? })
    }
}

impl fmt::Debug for FindActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FindActor({})", self.name)
    }
}

/// Waits until there is an actor of this name that can be reached, and returns a portal to the newest.
///
/// It waits as long as it takes; [`fail_after`](crate::fail_after) sets a bound.
///
/// # Errors
/// As [`FindActor`].
///
/// # Cancel safety
/// As [`FindActor`].
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     let (waited, started) = tokio::join!(pleach::wait_for_actor("late"), n.start_actor("late").into_future());
///     assert_eq!(waited?.id(), started?.id());
///     n.cancel().await;
///     Ok(())
/// })
/// .await
/// # }
/// # use std::future::IntoFuture as _;
/// ```
pub async fn wait_for_actor(name: impl Into<String>) -> Result<Portal> {
    scope::wait(awaited(name.into())).await?
}

async fn awaited(name: String) -> Result<Portal> {
    let runtime = here()?;
    let registry = registry_of(&runtime)?;
    loop {
        let found = registry.wait_for(&name).await?;
        // All that were stale have been taken out: wait for the next one.
        if let Some(portal) = first_reached(&runtime, &*registry, &found).await? {
            return Ok(portal);
        }
    }
}

/// Returns the registry's entry of the newest actor of this name, without connecting to it.
///
/// It may have ended since, without the registry having noticed yet; [`find_actor`] finds out.
///
/// # Errors
/// [`Error::Usage`] outside of an actor; the registry's error; [`Error::Cancelled`].
///
/// # Cancel safety
/// Nothing is lost.
pub async fn query_actor(name: impl Into<String>) -> Result<Option<Registered>> {
    let registry = registry_of(&*here()?)?;
    Ok(scope::wait(registry.find(&name.into())).await??.into_iter().next())
}

/// The first of these that can be reached. None, if each of them is gone.
async fn first_reached(
    runtime: &Arc<Runtime>,
    registry: &dyn Registry,
    found: &[Registered],
) -> Result<Option<Portal>> {
    let mut fault = None;
    for actor in found {
        match reach(runtime, registry, actor).await {
            Reached::Portal(portal) => return Ok(Some(portal)),
            Reached::Stale => {}
            Reached::No(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(None), Err)
}

fn registry_of(runtime: &Runtime) -> Result<Arc<dyn Registry>> {
    let names = runtime.names().map(|names| names.registry());
    names.ok_or_else(|| Error::Usage(format!("{} is still starting: it knows no registry yet", runtime.id())))
}

/// How many are dialled together.
const AT_ONCE: usize = 16;
