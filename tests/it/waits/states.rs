//! The waits of actors with state, waiting for what does not come.

use std::future::{IntoFuture as _, pending};

use pleach::prelude::*;
use pleach::{Handle, Me};

use super::{When, told};

struct Waits;

#[pleach::actor]
impl Waits {
    pub(crate) async fn new(name: String) -> Result<Self> {
        if !name.is_empty() {
            pleach::wait_for_actor(name).await?;
        }
        Ok(Self)
    }

    /// Has the state for ever.
    pub(crate) async fn stay(&mut self) -> Result<()> {
        pending().await
    }

    /// Waits for the state, and fails with what that failed with.
    pub(crate) async fn wait(me: Me<Self>, when: When, by: String) -> Result<()> {
        let failed = match &*by {
            "Me::read" => told(when, me.read()).await,
            _ => told(when, me.write()).await,
        };
        match failed {
            Some(error) if error.is_cancelled() => Err(Error::Usage("cancelled, as it should be".into())),
            other => Err(Error::Usage(format!("{other:?}"))),
        }
    }

    pub(crate) async fn tell(_me: Me<Self>, out: &mut StreamSender<u64>) -> Result<()> {
        let _out = out;
        pending().await
    }

    pub(crate) async fn talk(_me: Me<Self>, ctx: &mut Context<(), u64, u64>) -> Result<()> {
        ctx.started(()).await?;
        pending().await
    }
}

/// Runs a case; returns what the function failed with, if it did.
pub(super) async fn run(name: &str, when: When, n: &Nursery) -> Result<Option<Option<Error>>> {
    let is_of_states = ["Me::", "Handle::", "Method", "New", "stateful::"].iter().any(|of| name.contains(of));
    if !is_of_states {
        return Ok(None);
    }
    let actor = n.start(Waits::new(String::new())).await?;
    Ok(Some(match name {
        "Me::read" | "Me::write" => {
            let waited = tokio::select! {
                biased; // the first one has the state
                stayed = actor.stay() => stayed,
                waited = actor.wait(when, name.to_owned()) => waited,
            };
            let as_it_should = waited.as_ref().is_err_and(|error| error.to_string().contains("as it should be"));
            if as_it_should { Some(Error::Cancelled(pleach::error::Cancelled::Scope)) } else { waited.err() }
        }
        "Handle::portal" => told(when, Handle::portal(&actor)).await,
        "Handle::stop" => told(when, Handle::stop(&actor)).await,
        "Future for MethodCall" => told(when, actor.stay()).await,
        "MethodStream::open" => told(when, actor.tell().open(async |_| pending::<Result<()>>().await)).await,
        "MethodContext::open" => told(when, actor.talk().open(async |_, ()| pending::<Result<()>>().await)).await,
        "IntoFuture for New" => told(when, Waits::new("missing".into()).into_future()).await,
        "stateful::find" => told(when, pleach::find::<Waits>("missing")).await,
        _ => return Ok(None),
    }))
}
