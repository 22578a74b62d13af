//! The first actor of a tree: booting it, and bringing it to its end.

use std::any::{Any, type_name};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;

use crate::channel::handshake::fresh_nonce;
use crate::config::Config;
use crate::crash::{self, Failed};
use crate::discovery;
use crate::error::{BoxError, Cancelled, Error, Result, ScopeError};
use crate::events::{self, ActorEventKind};
use crate::inspect;
use crate::key_file;
use crate::os::files;
use crate::proto::membership::TreeKey;
use crate::runtime::handle::Actor;
use crate::runtime::{Runtime, claim_process, current_task, leave_to_reaper, within};
use crate::scope::{self, CancelScope, Erased, OnDrop, shield};
use crate::telemetry::{self, fallback, last_words};
#[cfg(feature = "testing")]
use crate::testing;

/// Boots the root of a tree with `config`, runs `body` in it, and shuts it down.
///
/// The first [`open_nursery`](crate::open_nursery) of a program does this by itself, with
/// [`Config::load`]. When this returns, no process and no task of the tree is left.
///
/// # Errors
/// The error of `body`; [`Error::Cancelled`] when the root was asked to end, by a peer or with [`Actor::cancel_soon`];
/// [`Error::Panicked`] when its runtime failed; [`Error::Usage`] when this code runs in an actor already;
/// [`Error::Transport`] when a transport is not known; [`Error::Config`] when the [key file](crate::key_file) can't be
/// used, or no socket fits into [`Config::socket_dir`]; errors of [`Config::registry`]: [`Error::Config`] without a key
/// file, [`Error::Registry`] when an address is taken by another program.
///
/// # Cancel safety
/// If dropped, `body` is dropped, and the tree is brought to its end in the background; a program
/// under `#[pleach::main]` waits for that before it exits.
///
/// # Examples
/// ```
/// # #[pleach::main]
/// # async fn main() -> pleach::Result<()> {
/// use pleach::Config;
///
/// let config = Config { transport: "mem".into(), ..Config::default() };
/// let name = pleach::open_root(config, async |actor| Ok::<_, pleach::Error>(actor.id().name().to_owned())).await?;
/// assert_eq!(name, "root");
/// # Ok(())
/// # }
/// ```
#[expect(unsafe_code, reason = "see `Erased`")]
pub fn open_root<'a, T, E, F, Fut>(
    config: Config,
    body: F,
) -> impl Future<Output = Result<T, E>> + use<'a, T, E, F, Fut>
where
    T: 'a,
    E: ScopeError,
    F: FnOnce(Actor) -> Fut + 'a,
    Fut: Future<Output = Result<T, E>> + 'a,
{
    // SAFETY: that is what `is_send` checks.
    unsafe { Erased::<Result<T, E>, F, Fut>::new(open_exposing(config, Vec::new(), body)) }
}

#[expect(dead_code, reason = "the compiler has it")]
fn is_send<T, E, F, Fut>(config: Config, body: F) -> impl Send
where
    T: Send,
    E: ScopeError,
    F: FnOnce(Actor) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
{
    open_exposing(config, Vec::new(), body)
}

/// Shows the failure of a root's body to the debugger; the type of an error decides whether its text is known.
fn show_failure<E: ScopeError>(error: &E) {
    let any: &dyn Any = error;
    let known = any.downcast_ref::<Error>().map(|error| error as &(dyn StdError + 'static));
    let known = known.or_else(|| any.downcast_ref::<anyhow::Error>().map(|error| error.as_ref()));
    let known = known.or_else(|| any.downcast_ref::<BoxError>().map(|error| &**error as _));
    let is_cancelled =
        |error: &(dyn StdError + 'static)| error.downcast_ref::<Error>().is_some_and(Error::is_cancelled);
    if !known.is_some_and(is_cancelled) {
        crash::failed(|| Failed { type_name: type_name::<E>(), error: known });
    }
}

/// As [`open_root`], with modules that are exposed before this root can be found.
pub(super) async fn open_exposing<T, E, F, Fut>(config: Config, modules: Vec<String>, body: F) -> Result<T, E>
where
    E: ScopeError,
    F: FnOnce(Actor) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    scope::checkpoint()?;
    if let Some(runtime) = current_task() {
        return Err(Error::Usage(format!("this code runs in {} already: open a nursery instead", runtime.id())).into());
    }
    let runtime = boot(config)?;
    modules.into_iter().for_each(|module| runtime.expose(module));
    let dropped = runtime.clone();
    let guard = OnDrop::new(move || {
        dropped.lifecycle.leave();
        leave_to_reaper(Box::pin(async move {
            dropped.shut_down().await;
            #[cfg(feature = "testing")]
            testing::note_end(&dropped);
        }));
    });
    let scope = CancelScope::of_primitive();
    let ended = shield(async {
        let actor = Actor::new(runtime.clone());
        let joined = crash::watched(async {
            discovery::join_as_root(&runtime).await?;
            let ended = body(actor).await;
            ended.inspect_err(show_failure)
        });
        let ended = tokio::select! {
            biased;
            ended = scope.run(within(runtime.clone(), joined)) => ended,
            never = cancel_when_stopped(&runtime, &scope) => match never {},
        };
        runtime.lifecycle.end_for(runtime.id());
        runtime.shut_down().await;
        #[cfg(feature = "testing")]
        testing::note_end(&runtime);
        #[cfg(feature = "metrics")]
        crate::metrics::actor_ended();
        events::note(ActorEventKind::Ended, runtime.id(), runtime.id(), None);
        guard.disarm();
        ended
    })
    .await;
    let ended = ended.unwrap_or_else(|cancelled| {
        scope::checkpoint()?;
        Err(cancelled.into())
    });
    runtime.or_failure(ended)
}

/// Cancels the body once this actor has been asked to end. Never resolves: the body does.
async fn cancel_when_stopped(runtime: &Runtime, scope: &CancelScope) -> Infallible {
    runtime.lifecycle.until_end_requested().await;
    scope.cancel_because(Cancelled::Actor);
    if let Some(by) = runtime.lifecycle.asked_by() {
        debug!(target: "pleach::cancel", %by, "this root was asked to end: cancelled its body");
    }
    std::future::pending().await
}

fn boot(mut config: Config) -> Result<Arc<Runtime>> {
    crate::rpc::export::table()?;
    crate::error::register::table()?;
    crate::panics::install_hook();
    last_words::wait_at_exit();
    config.check_patience()?;
    config.log_level = telemetry::wanted_level().or(config.log_level);
    fallback::configure(config.log_level.as_deref(), config.log_format);
    files::raise_limit();
    let registry = crate::transports::registry(config.allow_non_loopback);
    registry.find(&pleach_wire::Key::new(&config.codec, &config.transport))?;
    let tree_key = TreeKey::new(match &config.key_file {
        Some(path) => key_file::read_or_create(path)?,
        None => fresh_nonce()?,
    });
    if let Some(certificates) = &mut config.certificates {
        // Children may work elsewhere, and read it too.
        *certificates = std::path::absolute(&certificates)
            .map_err(|error| Error::Config(format!("certificates: {}: {error}", certificates.display())))?;
        crate::transports::check_certificates(certificates)?;
    }
    #[cfg(not(feature = "prometheus"))]
    if config.prometheus.is_some() {
        return Err(Error::Config("prometheus: this program was built without pleach's feature `prometheus`".into()));
    }
    #[cfg(feature = "prometheus")]
    let endpoint = crate::metrics::prometheus::Endpoint::bind(&config)?;
    let runtime = Runtime::root(config, registry, tree_key)?;
    events::note(ActorEventKind::Started, runtime.id(), runtime.id(), None);
    claim_process(&runtime);
    inspect::listener::start();
    #[cfg(feature = "metrics")]
    crate::metrics::actor_begins();
    #[cfg(feature = "prometheus")]
    if let Some(endpoint) = endpoint {
        endpoint.serve(&runtime)?;
    }
    #[cfg(feature = "debugger")]
    crate::debug::prepare(&runtime);
    let root = runtime.clone();
    runtime.keep(async move { root.adopt_orphans().await });
    Ok(runtime)
}
