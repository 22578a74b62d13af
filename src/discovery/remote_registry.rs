//! The registry as the members of a tree see it: they ask its registrars, over connections that they hold.
//!
//! A child of the registrar uses its parent's connection, and that registers it too. All other actors hold one
//! connection to each registrar ([`RegistrarLink`]). All registrars are asked at once; one that does not answer does not delay
//! the answers of others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use futures_util::future::{join_all, select_ok};
use uuid::Uuid;

use super::registrar_link::RegistrarLink;
use super::{Registered, Registration, Registry, ask, registrar};
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::registry::{RegistrarAddr, Registrars};
use crate::rpc::call::Call;
use crate::runtime::Runtime;
use crate::scope;
use crate::sync::lock;

/// The registry of an actor that is not its registrar.
#[derive(Debug)]
pub(crate) struct RemoteRegistry {
    runtime: Weak<Runtime>,
    registrars: Vec<RegistrarAddr>,
    /// The connections that register this actor itself, and over which it asks.
    own: Mutex<Arc<[RegistrarLink]>>,
}

impl RemoteRegistry {
    /// The registry kept by the registrars at these places, or by the parent if there are none.
    pub(crate) fn new(runtime: &Arc<Runtime>, registrars: Vec<RegistrarAddr>) -> Self {
        Self { runtime: Arc::downgrade(runtime), registrars, own: Mutex::new(Arc::new([])) }
    }

    fn runtime(&self) -> Result<Arc<Runtime>> {
        self.runtime.upgrade().ok_or_else(|| Error::Usage("the actor whose registry this is has ended".into()))
    }

    /// How each registrar is reached.
    fn lines(&self) -> Result<Vec<Line>> {
        if self.registrars.is_empty() {
            return Ok(vec![Line::Parent(self.runtime()?)]);
        }
        let own = self.own().clone();
        match own.is_empty() {
            true => Err(Error::Usage("this actor is not registered: it has not begun, or is ending".into())),
            false => Ok((0..own.len()).map(|at| Line::Kept(own.clone(), at)).collect()),
        }
    }

    /// Asks every registrar, and returns the answers that came in time.
    async fn ask_all<T>(&self, call: impl Fn() -> Call<T> + Sync) -> Result<Vec<T>>
    where
        T: Send,
    {
        let lines = self.lines()?;
        let asked = lines.iter().map(|line| self.within_bound(line, self.ask_one(line, &call)));
        let (mut answers, mut faults) = (Vec::new(), Vec::new());
        for answer in scope::wait(join_all(asked)).await? {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(fault) => faults.push(fault),
            }
        }
        for fault in &faults {
            debug!(target: "pleach::runtime", %fault, "a registrar did not answer");
        }
        match (answers.is_empty(), faults.into_iter().next()) {
            (true, Some(fault)) => Err(fault),
            _ => Ok(answers),
        }
    }

    /// Asks one registrar; if it is lost meanwhile, asks again if it is back in time.
    async fn ask_one<T>(&self, line: &Line, call: impl Fn() -> Call<T>) -> Result<T> {
        loop {
            let channel = self.within_bound(line, line.up()).await?;
            match ask(&channel, call()).await {
                Err(Error::Disconnected { .. }) if matches!(line, Line::Kept(..)) => channel.ended().await,
                answer => return answer,
            }
        }
    }

    async fn within_bound<T>(&self, line: &Line, work: impl Future<Output = Result<T>>) -> Result<T> {
        let bound = self.runtime()?.config().dial;
        match tokio::time::timeout(bound, work).await {
            Ok(done) => done,
            Err(_late) => {
                Err(line.fault().unwrap_or(Error::Timeout { what: "the registrar's answer".into(), after: bound }))
            }
        }
    }

    fn own(&self) -> MutexGuard<'_, Arc<[RegistrarLink]>> {
        lock(&self.own)
    }
}

#[async_trait::async_trait]
impl Registry for RemoteRegistry {
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>> {
        let runtime = self.runtime()?;
        let is_own = actor.who == *runtime.id();
        let start = |registrar: &RegistrarAddr| RegistrarLink::start(&runtime, registrar.clone(), actor.clone());
        let links: Arc<[RegistrarLink]> = self.registrars.iter().map(start).collect();
        let bound = runtime.config().dial;
        let tried = scope::wait(join_all(
            links.iter().map(|registrar_link| tokio::time::timeout(bound, registrar_link.tried())),
        ))
        .await?;
        for (registrar, tried) in self.registrars.iter().zip(tried) {
            match tried {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => {
                    warn!(target: "pleach::runtime", actor = %actor.who, %fault, "not registered yet; it is tried again");
                }
                Err(_late) => {
                    warn!(target: "pleach::runtime", actor = %actor.who, registrar = %registrar, "not registered yet: no answer");
                }
            }
        }
        if is_own {
            *self.own() = links.clone();
        }
        Ok(Box::new(Kept(links)))
    }

    async fn find(&self, name: &str) -> Result<Vec<Registered>> {
        let mut found = merged(self.ask_all(|| registrar::find(name.to_owned())).await?);
        if self.registrars.len() > 1 {
            // Each registrar's own order says nothing about the others'.
            found.sort_by_key(|actor| std::cmp::Reverse(actor.incarnation));
        }
        Ok(found)
    }

    async fn wait_for(&self, name: &str) -> Result<Vec<Registered>> {
        let lines = self.lines()?;
        let waiting = lines.iter().map(|line| Box::pin(self.ask_one(line, || registrar::wait_for(name.to_owned()))));
        scope::wait(select_ok(waiting)).await?.map(|(found, _others)| found)
    }

    async fn list(&self) -> Result<Vec<Registered>> {
        self.ask_all(registrar::list).await.map(merged)
    }

    async fn remove(&self, stale: &Registered) -> Result<()> {
        self.ask_all(|| registrar::remove(stale.clone())).await.map(drop)
    }
}

#[async_trait::async_trait]
impl Registrars for RemoteRegistry {
    async fn connected(&self) -> Result<Channel> {
        let lines = self.lines()?;
        let waiting = lines.iter().map(|line| Box::pin(self.within_bound(line, line.up())));
        select_ok(waiting).await.map(|(channel, _others)| channel)
    }
}

/// How a registrar is reached.
enum Line {
    Parent(Arc<Runtime>),
    /// One of these.
    Kept(Arc<[RegistrarLink]>, usize),
}

impl Line {
    async fn up(&self) -> Result<Channel> {
        match self {
            Self::Parent(runtime) => runtime.parent_channel().ok_or_else(|| {
                Error::Usage(
                    "the connection to the parent, which is the registrar, has ended; so does this actor".into(),
                )
            }),
            Self::Kept(links, at) => links[*at].up().await,
        }
    }

    fn fault(&self) -> Option<Error> {
        match self {
            Self::Parent(_) => None,
            Self::Kept(links, at) => links[*at].fault(),
        }
    }
}

/// One list of several registrars' lists: each actor once, as the one knows it that knows it best.
fn merged(lists: Vec<Vec<Registered>>) -> Vec<Registered> {
    let (mut at, mut merged) = (BTreeMap::<Uuid, usize>::new(), Vec::<Registered>::new());
    for actor in lists.into_iter().flatten() {
        match at.get(&actor.who.uuid()) {
            Some(at) if merged[*at].incarnation < actor.incarnation => merged[*at] = actor,
            Some(_) => {}
            None => {
                at.insert(actor.who.uuid(), merged.len());
                merged.push(actor);
            }
        }
    }
    merged
}

/// An entry that connections keep.
#[derive(Debug)]
struct Kept(Arc<[RegistrarLink]>);

#[async_trait::async_trait]
impl Registration for Kept {
    async fn leave(self: Box<Self>) -> Result<()> {
        self.0.iter().for_each(RegistrarLink::request_leave);
        join_all(self.0.iter().map(RegistrarLink::left)).await;
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.iter().for_each(RegistrarLink::request_leave);
    }
}
