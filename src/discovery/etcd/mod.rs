//! The registry in an etcd, for trees whose names must outlive any of their processes.
//!
//! An actor's entry lives as long as its lease, which a task in the actor's process renews. When the process dies, the
//! lease expires, and the entry with it, by itself. Waiting for an actor is a watch. This module only keeps names; it
//! connects no actors.
//!
//! | file | station |
//! |---|---|
//! | this one | [`Etcd`], the registry |
//! | `address` | `etcd://…` |
//! | `entries` | keys and values |
//! | `endpoint` | the address of etcd, its timeout and its errors |
//! | `requests` | the requests to it |
//! | `lease` | keeping one actor registered |
//!
//! # What must stay true
//! 1. An entry is changed in transactions that fail if another program has changed it meanwhile.
//! 2. No request waits longer than `patience`; only a watch may, and its connection is pinged.

mod address;
mod endpoint;
mod entries;
mod lease;
mod requests;

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::address::EtcdAddress;
use self::endpoint::{EtcdEndpoint, Fault};
use self::entries::{Entry, Keys};
use self::lease::{ATTEMPTS, BackOff, Kept, LeaseKeeper};
use self::requests::Requests;
use super::{Registered, Registration, Registry};
use crate::error::{Error, Result};

/// A registry in an etcd.
///
/// Dropping it closes its connections once the last of its registrations has gone, too.
///
/// ```no_run
/// # async fn example(actor: pleach::discovery::Registered) -> pleach::Result<()> {
/// use std::time::Duration;
///
/// use pleach::discovery::Registry;
/// use pleach::discovery::etcd::Etcd;
/// use tokio_util::task::TaskTracker;
///
/// let (lease, patience, tasks) = (Duration::from_secs(10), Duration::from_secs(3), TaskTracker::new());
/// let registry = Etcd::connect("etcd://127.0.0.1:2379/trees", lease, patience, &tasks).await?;
/// let registration = registry.register(actor).await?;
/// println!("{:?}", registry.find("worker").await?);
/// registration.leave().await
/// # }
/// ```
pub struct Etcd {
    requests: Requests,
    /// The length of a lease in seconds.
    seconds: i64,
    tasks: TaskTracker,
}

impl Etcd {
    /// Connects to an etcd, and asks it one question.
    ///
    /// The address is `etcd://host:port[,host:port…]/prefix`: the members of the cluster, and the prefix of all keys
    /// (default: `pleach`). `user:password@` may precede the hosts, with `%2F` and the like for characters that an
    /// address can't have. `tls+etcd://` uses TLS; etcd's certificate is checked against the system's authorities, or
    /// with `?certificates=FOLDER` behind the prefix against `FOLDER`'s `authority.pem`, and `certificate.pem` with
    /// `key.pem` there authenticate this client.
    ///
    /// `lease` is how long the entry of an actor stays that died without a goodbye, in whole seconds, rounded up, and
    /// at least two, etcd's minimum. `patience` is how long each request may take. `tasks` keeps the tasks that renew
    /// entries: its owner waits for them, after it has dropped the registrations.
    ///
    /// # Errors
    /// [`Error::Config`] when the address or the certificates can't be read; [`Error::Registry`] when etcd does not
    /// answer in time, or refuses access.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed.
    pub async fn connect(address: &str, lease: Duration, patience: Duration, tasks: &TaskTracker) -> Result<Self> {
        let address: EtcdAddress = address.parse()?;
        let endpoint = EtcdEndpoint { address: address.to_string().into(), patience };
        let options = Some(options(&address, patience)?);
        let client = endpoint.bounded("connect", Client::connect(urls(&address), options)).await?;
        let requests = Requests { client, keys: Keys::new(&address.prefix), endpoint };
        requests.value(requests.keys.all()).await?;
        let seconds = lease.as_secs() + u64::from(lease.subsec_nanos() > 0);
        let seconds = seconds.clamp(SHORTEST_LEASE, LONGEST_LEASE);
        Ok(Self { requests, seconds: seconds as i64, tasks: tasks.clone() })
    }

    /// Returns once there is an actor of this name, or this attempt has failed.
    async fn appeared(&self, name: &str, back_off: &mut BackOff) -> Result<Vec<Registered>, Fault> {
        let prefix = self.requests.keys.named(name);
        loop {
            let (revision, entries) = self.requests.entries(&prefix).await?;
            *back_off = BackOff::default();
            if !entries.is_empty() {
                return Ok(newest_first(entries));
            }
            self.requests.put_after(&prefix, revision).await?;
        }
    }
}

#[async_trait::async_trait]
impl Registry for Etcd {
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>> {
        let (left, who) = (CancellationToken::new(), actor.who.clone());
        let (entered, first) = oneshot::channel();
        let keeper = LeaseKeeper::new(self.requests.clone(), actor, self.seconds).run(left.clone(), entered);
        let kept = Kept { who, left: left.drop_guard(), keeper: self.tasks.spawn(keeper) };
        match first.await {
            Ok(entered) => entered.map(|()| -> Box<dyn Registration> { Box::new(kept) }),
            // It ended without a goodbye; leaving reports why.
            Err(_) => Box::new(kept).leave().await.and(Err(Error::Closed("the registration has ended".into()))),
        }
    }

    async fn find(&self, name: &str) -> Result<Vec<Registered>> {
        let (_revision, entries) = self.requests.entries(&self.requests.keys.named(name)).await?;
        Ok(newest_first(entries))
    }

    /// Waits on while etcd is away.
    async fn wait_for(&self, name: &str) -> Result<Vec<Registered>> {
        let mut back_off = BackOff::default();
        loop {
            match self.appeared(name, &mut back_off).await {
                Ok(found) => return Ok(found),
                Err(Fault::Refused(error)) => return Err(error),
                Err(Fault::Away(error)) => sleep(back_off.after(&error, &format!("waiting for `{name}`"))).await,
            }
        }
    }

    async fn list(&self) -> Result<Vec<Registered>> {
        let (_revision, mut entries) = self.requests.entries(self.requests.keys.all()).await?;
        entries.sort_by_key(|entry| entry.created);
        Ok(entries.into_iter().map(|entry| entry.actor).collect())
    }

    async fn remove(&self, stale: &Registered) -> Result<()> {
        let key = self.requests.keys.of(&stale.who);
        for _ in 0..ATTEMPTS {
            let Some(found) = self.requests.value(&key).await? else { return Ok(()) };
            let is_newer = |entry: &Entry| entry.actor.incarnation > stale.incarnation;
            if found.entry.as_ref().is_some_and(is_newer) || self.requests.delete(&key, found.changed).await? {
                return Ok(());
            }
        }
        Err(self.requests.endpoint.away("take out an entry", "another program keeps changing it").into())
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("address", &self.requests.endpoint.address).finish_non_exhaustive()
    }
}

fn newest_first(mut entries: Vec<Entry>) -> Vec<Registered> {
    entries.sort_by_key(|entry| Reverse((entry.created, entry.changed)));
    entries.into_iter().map(|entry| entry.actor).collect()
}

fn urls(address: &EtcdAddress) -> Vec<String> {
    let scheme = if address.tls { "https" } else { "http" };
    address.members.iter().map(|member| format!("{scheme}://{member}")).collect()
}

/// # Errors
/// When a certificate can't be read.
fn options(address: &EtcdAddress, patience: Duration) -> Result<ConnectOptions> {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(patience)
        .with_require_leader(true)
        // While a request is open, that is: etcd drops clients that ping without one.
        .with_keep_alive(PING, patience)
        .with_keep_alive_while_idle(false);
    if let Some((name, password)) = &address.user {
        options = options.with_user(name, password).with_auto_token_refresh(true);
    }
    if address.tls {
        options = options.with_tls(tls(address.certificates.as_deref())?);
    }
    Ok(options)
}

fn tls(certificates: Option<&Path>) -> Result<TlsOptions> {
    let Some(folder) = certificates else { return Ok(TlsOptions::new().with_native_roots()) };
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error| {
            Error::Config(format!("can't read {}, which is to be spoken to etcd with: {error}", path.display()))
        })
    };
    let trusting = TlsOptions::new().ca_certificate(Certificate::from_pem(read("authority.pem")?));
    match folder.join("certificate.pem").exists() {
        true => Ok(trusting.identity(Identity::from_pem(read("certificate.pem")?, read("key.pem")?))),
        false => Ok(trusting),
    }
}

/// In seconds. etcd makes a shorter one longer.
const SHORTEST_LEASE: u64 = 2;

/// In seconds. etcd takes up to 285 years.
const LONGEST_LEASE: u64 = 365 * 24 * 3600;

/// How often a connection is pinged on which something waits. etcd takes offence at less than 5 s.
const PING: Duration = Duration::from_secs(10);
