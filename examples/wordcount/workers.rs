//! The workers: where they are, and how a chunk gets to them.
//!
//! One on this machine reads the files itself: paths go out, counts come back. On another host the files need
//! not exist, so what is in them goes out.
//!
//! # Invariant
//! A worker has no more than [`LANES`] chunks in flight, so this much of all files is in memory at most.

use std::collections::BTreeMap;
use std::num::NonZero;

use futures_util::future::try_join_all;
use pleach::prelude::*;
use pleach::{Host, Hosts};

use crate::count::{self, Reply};
use crate::plan::Chunk;

/// How many chunks a worker has: one in hand and one waiting.
pub(crate) const LANES: usize = 2;

/// One worker for each place.
pub(crate) struct Places(Vec<Host>);

/// An actor that counts.
pub(crate) struct Worker {
    portal: Portal,
    reads_files: bool,
}

impl Places {
    /// On each host as many workers as it says; without hosts, one for each core of this machine.
    pub(crate) fn new(hosts: &Hosts) -> Self {
        match hosts.is_empty() {
            true => Self::here(std::thread::available_parallelism().map_or(1, NonZero::get)),
            false => Self(hosts.iter().flat_map(|entry| vec![entry.host.clone(); entry.actors]).collect()),
        }
    }

    /// This many workers on this machine.
    pub(crate) fn here(workers: usize) -> Self {
        Self(vec![Host::local(); workers])
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Leaves out the last ones, if there is not so much to do.
    pub(crate) fn at_most(mut self, workers: usize) -> Self {
        self.0.truncate(workers);
        self
    }

    /// Starts the workers.
    pub(crate) async fn start(&self, n: &Nursery) -> Result<Vec<Worker>> {
        let start = async |(number, host): (usize, &Host)| {
            let start = n.start_actor(format!("counter-{}", number + 1)).enable(count::MODULE);
            pleach::Ok(Worker { portal: start.on(host.clone()).await?, reads_files: host.is_local() })
        };
        try_join_all(self.0.iter().enumerate().map(start)).await
    }

    /// Where the workers are, if that is not only here.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        let mut workers = BTreeMap::<_, usize>::new();
        self.0.iter().for_each(|host| *workers.entry(host.to_string()).or_default() += 1);
        let listed: Vec<_> = workers.iter().map(|(host, workers)| format!("{host} ({workers})")).collect();
        (!self.0.iter().all(Host::is_local)).then(|| listed.join(", "))
    }
}

impl Worker {
    /// Has it count the words of a chunk.
    pub(crate) async fn count(&self, chunk: &Chunk) -> Result<Reply> {
        let pieces = chunk.pieces.clone();
        if self.reads_files {
            return self.portal.run(count::count(pieces)).await;
        }
        let read = tokio::task::spawn_blocking(move || count::read_all(&pieces)).await;
        let (text, mut reply) = read.map_err(|panicked| Error::from_boxed(panicked.into()))?;
        reply.words = self.portal.run(count::count_text(text)).await?;
        Ok(reply)
    }

    /// Ends it.
    pub(crate) async fn cancel(&self) -> Result<()> {
        self.portal.cancel_actor().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_are_named_with_their_workers() {
        let places = Places::new(&"ssh:b*2, local, ssh:a".parse().unwrap());
        assert_eq!((places.len(), places.elsewhere().unwrap()), (4, "local (1), ssh:a (1), ssh:b (2)".into()));
        assert_eq!(places.at_most(1).elsewhere().unwrap(), "ssh:b (1)");
        assert_eq!(Places::new(&"local*3".parse().unwrap()).elsewhere(), None);
    }
}
