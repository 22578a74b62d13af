//! The workers: where they are, and how a chunk gets to them.
//!
//! Those on this machine read the files themselves: paths go out, counts come back. On other hosts the files need not
//! exist, so what is in them goes out.
//!
//! # Invariant
//! No more than [`LANES`] chunks for each worker are in flight, so this much of all files is in memory at most.

use std::collections::BTreeMap;
use std::num::NonZero;

use pleach::prelude::*;
use pleach::{Host, Hosts, Pool};

use crate::count::{self, Reply};
use crate::plan::Chunk;

/// How many chunks a worker has: one in hand and one waiting.
pub(crate) const LANES: usize = 2;

/// One worker for each place.
pub(crate) struct Places(Vec<Host>);

/// Actors that count.
pub(crate) struct Workers {
    pool: Pool,
    read_files: bool,
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
    pub(crate) async fn start(&self, n: &Nursery) -> Result<Workers> {
        let pool = n.start_actor("counter").enable(count::MODULE).pool(self.len()).hosts(self.0.iter().cloned());
        Ok(Workers { pool: pool.in_flight(LANES).await?, read_files: self.0.iter().all(Host::is_local) })
    }

    /// Where the workers are, if that is not only here.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        let mut workers = BTreeMap::<_, usize>::new();
        self.0.iter().for_each(|host| *workers.entry(host.to_string()).or_default() += 1);
        let listed: Vec<_> = workers.iter().map(|(host, workers)| format!("{host} ({workers})")).collect();
        (!self.0.iter().all(Host::is_local)).then(|| listed.join(", "))
    }
}

impl Workers {
    /// Has one of them count the words of a chunk.
    pub(crate) async fn count(&self, chunk: &Chunk) -> Result<Reply> {
        let pieces = chunk.pieces.clone();
        if self.read_files {
            return self.pool.run(count::count(pieces)).await;
        }
        let read = tokio::task::spawn_blocking(move || count::read_all(&pieces)).await;
        let (text, mut reply) = read.map_err(|panicked| Error::from_boxed(panicked.into()))?;
        reply.words = self.pool.run(count::count_text(text)).await?;
        Ok(reply)
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
