//! Several like actors at once, on this host and on others, for as long as a block of code.
//!
//! A nursery could do the same by hand; this adds the names, the concurrent starts, and the end of all of them when the
//! block is left.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture as _};
use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::future::try_join_all;

use crate::config::{Host, Hosts};
use crate::error::{Error, Result, ScopeError};
use crate::nursery::{Nursery, open_nursery};
use crate::portal::Portal;
use crate::runtime::handle::current_actor;

/// Starts the actors of a cluster, all at once, runs `body` with their portals by name, and ends them.
///
/// Outside an actor, it first boots the root of a tree with [`Config::load`](crate::Config::load).
///
/// When `body` returns a value, the actors are cancelled, as by [`Nursery::cancel`]; when it fails, or one of
/// them does, so are all the others. None is alive when this returns.
///
/// ```
/// use pleach::prelude::*;
/// use pleach::trionics::{Cluster, open_actor_cluster};
///
/// #[pleach::rpc]
/// async fn square(n: u64) -> Result<u64> {
///     Ok(n * n)
/// }
///
/// #[pleach::main]
/// async fn main() -> Result<()> {
///     let cluster = Cluster::new().enable(module_path!()).count(3);
///     let squares = open_actor_cluster(cluster, async |portals| {
///         let mut squares = Vec::new();
///         for (portal, n) in portals.values().zip(1..) {
///             squares.push(portal.run(square(n)).await?);
///         }
///         assert!(portals["root.worker_0"].id().name() == "root.worker_0");
///         Ok::<_, Error>(squares)
///     })
///     .await?;
///     assert_eq!(squares, [1, 4, 9]);
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`open_nursery`]. [`Error::Usage`], before anything is started, when the numbers of names and actors differ, a
/// name is duplicate, or the cluster is empty. The error of [`Start`](crate::Start) when one of them can't be started;
/// then the others are ended, and `body` does not begin.
///
/// # Cancel safety
/// As [`open_nursery`]: if dropped, the actors are brought to their end in the background.
pub async fn open_actor_cluster<T, E, F, Fut>(cluster: Cluster, body: F) -> Result<T, E>
where
    E: ScopeError,
    F: FnOnce(BTreeMap<String, Portal>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let hard_kill = cluster.hard_kill;
    open_nursery(async |n| {
        let value = body(cluster.start(&n).await?).await?;
        match hard_kill {
            true => n.kill().await,
            false => n.cancel().await,
        }
        Ok(value)
    })
    .await
}

/// Which actors [`open_actor_cluster`] starts. Dropping it starts nothing.
///
/// Where it says neither [`count`](Self::count) nor [`on`](Self::on), they are those that
/// [`Config::hosts`](crate::Config::hosts) asks for; without any, one for each processor of this machine.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    modules: Vec<String>,
    places: Vec<(Host, usize)>,
    names: Option<Vec<String>>,
    hard_kill: bool,
}

impl Cluster {
    /// A cluster of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the actors' callers run the functions of a module; `module_path!()` is this one.
    pub fn enable(mut self, module: impl Into<String>) -> Self {
        self.modules.push(module.into());
        self
    }

    /// Adds this many actors on this machine.
    pub fn count(self, actors: usize) -> Self {
        self.on(Host::local(), actors)
    }

    /// Adds this many actors on a host.
    pub fn on(mut self, host: Host, actors: usize) -> Self {
        self.places.push((host, actors));
        self
    }

    /// Adds the actors of several hosts, as many on each as it says.
    pub fn on_all(mut self, hosts: &Hosts) -> Self {
        self.places.extend(hosts.iter().map(|entry| (entry.host.clone(), entry.actors)));
        self
    }

    /// Names the actors, in the order in which they were added. Without it, they are called `NAME.worker_0`,
    /// `NAME.worker_1` and so on, after the actor that starts them.
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Ends the actors by signals, without asking, when the body has returned.
    pub fn hard_kill(mut self, hard: bool) -> Self {
        self.hard_kill = hard;
        self
    }

    /// Starts the actors, and waits until all are there.
    async fn start(self, nursery: &Nursery) -> Result<BTreeMap<String, Portal>> {
        let actor = current_actor().ok_or_else(|| Error::Usage("a cluster is started by an actor".into()))?;
        let planned = self.plan(actor.id().name(), &actor.config().hosts)?;
        let starts = planned.into_iter().map(|(name, host)| async {
            let start = nursery.start_actor(&name).on(host);
            let portal = self.modules.iter().fold(start, |start, module| start.enable(module)).into_future().await?;
            Ok::<_, Error>((name, portal))
        });
        Ok(try_join_all(starts).await?.into_iter().collect())
    }

    /// The name and the host of each actor.
    fn plan(&self, own_name: &str, configured: &Hosts) -> Result<BTreeMap<String, Host>> {
        let places = match (self.places.is_empty(), configured.is_empty()) {
            (false, _) => self.places.clone(),
            (true, false) => self.clone().on_all(configured).places,
            (true, true) => vec![(Host::local(), available_parallelism().map_or(1, NonZero::get))],
        };
        let hosts: Vec<_> = places.into_iter().flat_map(|(host, actors)| vec![host; actors]).collect();
        if hosts.is_empty() {
            return Err(Error::Usage("a cluster has at least one actor: `count` or `on` say how many".into()));
        }
        let default_names = || (0..hosts.len()).map(|number| format!("{own_name}.worker_{number}")).collect();
        let names: Vec<String> = self.names.clone().unwrap_or_else(default_names);
        let (named, wanted) = (names.len(), hosts.len());
        if named != wanted {
            return Err(Error::Usage(format!("{named} names are given for the {wanted} actors of a cluster")));
        }
        let planned: BTreeMap<_, _> = names.into_iter().zip(hosts).collect();
        match planned.len() == wanted {
            true => Ok(planned),
            false => Err(Error::Usage("a name is given to two actors of a cluster".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cluster: Cluster, configured: &str) -> Result<Vec<String>> {
        let planned = cluster.plan("me", &configured.parse().unwrap())?;
        Ok(planned.iter().map(|(name, host)| format!("{name} {host}")).collect())
    }

    #[test]
    fn actors_are_named_in_the_order_in_which_they_were_added() {
        let cluster = Cluster::new().count(1).on(Host::ssh("a"), 2);
        assert_eq!(
            plan(cluster.clone(), "ssh:b").unwrap(),
            ["me.worker_0 local", "me.worker_1 ssh:a", "me.worker_2 ssh:a"]
        );
        assert_eq!(plan(cluster.names(["z", "y", "x"]), "").unwrap(), ["x ssh:a", "y ssh:a", "z local"]);
    }

    #[test]
    fn unless_told_it_goes_where_the_configuration_says() {
        assert_eq!(plan(Cluster::new(), "ssh:b*2").unwrap(), ["me.worker_0 ssh:b", "me.worker_1 ssh:b"]);
        let here = plan(Cluster::new(), "").unwrap();
        assert_eq!(here.len(), available_parallelism().unwrap().get());
        assert_eq!(here[0], "me.worker_0 local");
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let fault = |cluster| plan(cluster, "").unwrap_err().to_string();
        let three = Cluster::new().count(3);
        assert_eq!(fault(three.clone().names(["a"; 2])), "2 names are given for the 3 actors of a cluster");
        assert_eq!(fault(three.names(["a", "b", "a"])), "a name is given to two actors of a cluster");
        assert!(fault(Cluster::new().count(0)).contains("at least one actor"));
    }
}
