//! The requests to etcd.
//!
//! Nothing here repeats a request: the caller knows whether to, and for how long.

use etcd_client::{Client, Compare, CompareOp, GetOptions, LeaseGrantOptions, PutOptions, Txn, TxnOp};
use etcd_client::{WatchFilterType, WatchOptions};

use super::endpoint::{EtcdEndpoint, Fault};
use super::entries::{Entry, Keys, end_of};

/// A connection to an etcd. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) client: Client,
    pub(super) keys: Keys,
    pub(super) endpoint: EtcdEndpoint,
}

impl Requests {
    /// Returns all entries whose keys begin with `prefix`, and the revision that they were read at.
    pub(super) async fn entries(&self, prefix: &str) -> Result<(i64, Vec<Entry>), Fault> {
        let (mut revision, mut entries, mut from) = (0, Vec::new(), prefix.as_bytes().to_vec());
        loop {
            let options = GetOptions::new().with_range(end_of(prefix)).with_limit(PAGE).with_revision(revision);
            let page =
                self.endpoint.bounded("look up actors", self.client.kv_client().get(from, Some(options))).await?;
            // All pages are of one revision, so that no actor is missed or seen twice.
            revision = page.header().map_or(revision, |header| revision.max(header.revision()));
            entries.extend(page.kvs().iter().filter_map(|found| self.keys.read(found)));
            match page.kvs().last() {
                Some(last) if page.more() => from = [last.key(), &[0]].concat(),
                _ => return Ok((revision, entries)),
            }
        }
    }

    /// Returns once something was put below `prefix` after `revision`, or may have been.
    pub(super) async fn put_after(&self, prefix: &str, revision: i64) -> Result<(), Fault> {
        let options = WatchOptions::new().with_range(end_of(prefix)).with_start_revision(revision + 1);
        let options = options.with_filters([WatchFilterType::NoDelete]);
        let mut client = self.client.watch_client();
        let mut watch = self.endpoint.bounded("watch for actors", client.watch(prefix, Some(options))).await?;
        loop {
            // Without a bound, but not for ever: the connection is pinged while it waits.
            match watch.message().await.map_err(|error| self.endpoint.fault("watch for actors", &error))? {
                // The changes since were compacted: the current entries have to be read again.
                Some(told) if told.compact_revision() > 0 => return Ok(()),
                Some(told) if told.canceled() => {
                    return Err(self.endpoint.away("watch for actors", told.cancel_reason()));
                }
                Some(told) if !told.events().is_empty() => return Ok(()),
                Some(_) => {}
                None => return Err(self.endpoint.away("watch for actors", "it ended the watch")),
            }
        }
    }

    /// Returns a value with its revision and its lease.
    pub(super) async fn value(&self, key: &str) -> Result<Option<Value>, Fault> {
        let found = self.endpoint.bounded("look up an entry", self.client.kv_client().get(key, None)).await?;
        Ok(found.kvs().first().map(|found| Value {
            lease: found.lease(),
            changed: found.mod_revision(),
            entry: self.keys.read(found),
        }))
    }

    /// Puts a value under a lease, if the last change of the key was at `changed` (0: it is not there).
    pub(super) async fn put(&self, key: &str, changed: i64, value: &[u8], lease: i64) -> Result<bool, Fault> {
        let put = TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease)));
        self.change("enter an actor", key, changed, put).await
    }

    /// Deletes a value, if its last change was at `changed`.
    pub(super) async fn delete(&self, key: &str, changed: i64) -> Result<bool, Fault> {
        self.change("take out an entry", key, changed, TxnOp::delete(key, None)).await
    }

    async fn change(&self, what: &str, key: &str, changed: i64, change: TxnOp) -> Result<bool, Fault> {
        let unchanged = Compare::mod_revision(key, CompareOp::Equal, changed);
        let change = Txn::new().when([unchanged]).and_then([change]);
        Ok(self.endpoint.bounded(what, self.client.kv_client().txn(change)).await?.succeeded())
    }

    /// Returns a new lease of at least `seconds`.
    pub(super) async fn grant(&self, seconds: i64) -> Result<i64, Fault> {
        let options = Some(LeaseGrantOptions::new());
        Ok(self.endpoint.bounded("get a lease", self.client.lease_client().grant(seconds, options)).await?.id())
    }

    /// Renews a lease; `false` if the lease no longer exists.
    pub(super) async fn renew(&self, lease: i64) -> Result<bool, Fault> {
        let renewed = async {
            match self.client.lease_client().keep_alive(lease).await {
                Ok(_renewed) => Ok(true),
                Err(etcd_client::Error::LeaseKeepAliveError(_unknown)) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.endpoint.bounded("renew a lease", renewed).await
    }

    /// Ends a lease, and with it all entries under it.
    pub(super) async fn revoke(&self, lease: i64) -> Result<(), Fault> {
        match self.endpoint.bounded("take out an entry", self.client.lease_client().revoke(lease)).await {
            Ok(_) => Ok(()),
            Err(Fault::Away(_)) if !self.renew(lease).await? => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// The value under a key.
pub(super) struct Value {
    pub(super) lease: i64,
    pub(super) changed: i64,
    /// Missing if it is not one of ours.
    pub(super) entry: Option<Entry>,
}

/// Entries that are read at once: some hundred KiB.
const PAGE: i64 = 500;
