//! Metrics for Prometheus: one endpoint at the root, for all processes of its tree.
//!
//! ```text
//! PLEACH_PROMETHEUS=127.0.0.1:9464 program        # or `prometheus = "127.0.0.1:9464"` in pleach.toml
//! curl http://127.0.0.1:9464/metrics
//! ```
//! ```yaml
//! scrape_configs: [{ job_name: program, static_configs: [{ targets: ["127.0.0.1:9464"] }] }]
//! ```
//! So there is one target for a tree, whatever actors come and go. Each process of the tree records for itself, with a
//! recorder that is installed for it; at a request, the root asks them all over the sockets of [`inspect`](crate::inspect).
//! That finds those on other hosts, too. A value has the labels `actor`, `pid` and `host` of its process. The values of a
//! process that has ended are gone; Prometheus keeps what it has read. What the program itself records with the macros of
//! the `metrics` crate is there, too; with a recorder of its own it can't have this endpoint.
//!
//! Histograms whose names end in `_seconds` have buckets from 10 µs to a minute, and can be summed over processes.
//! `pleach_silent_processes` says how many processes with actors of this user, in this tree or others, did not answer
//! in time, and how many hosts; their values are missing. A scrape takes two seconds then, and some more for each host that
//! is out of reach: leave Prometheus its time-out of ten.
//!
//! There is **no authentication and no encryption**: all who reach the address read what the program is called, its
//! functions and its actors. Keep it on the loopback interface, or behind a proxy.
//!
//! | file | station |
//! |---|---|
//! | this one | the recorder of each process, and the start of the endpoint |
//! | `merge` | one text out of those of several processes |
//! | `server` | requests and answers |
//!
//! # Invariants
//! 1. The endpoint has a thread and an async runtime of its own, so that an actor whose tasks never yield is seen, too. The
//!    root waits for its end.

mod merge;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::actor::ActorId;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::inspect::listener::answer_metrics_with;
use crate::runtime::Runtime;
use crate::sync::lock;

/// Returns where the latest root of this process serves its metrics, with the real port, while it does.
pub fn address() -> Option<SocketAddr> {
    *lock(&ADDRESS)
}

/// Has this process record, if the settings of its tree ask for that; the first actor gives it its name.
///
/// # Errors
/// When the program has a recorder of its own.
pub(crate) fn record(actor: &ActorId, config: &Config) -> Result<()> {
    if config.prometheus.is_none() {
        return Ok(());
    }
    answer_metrics_with(render);
    match HANDLE.get_or_init(|| install(actor)) {
        Ok(_) => Ok(()),
        Err(why) => Err(Error::Config(format!("prometheus: {why}"))),
    }
}

/// The endpoint of a root, before it serves.
pub(crate) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Binds that of a root, if its settings ask for one; and has its process record.
    ///
    /// # Errors
    /// When the address can't be bound, or the program has a recorder of its own.
    pub(crate) fn bind(config: &Config) -> Result<Option<Self>> {
        record(&ActorId::new(&config.root_name), config)?;
        let Some(at) = config.prometheus else { return Ok(None) };
        let bound = TcpListener::bind(at).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Self { address: listener.local_addr()?, listener })
        });
        bound.map(Some).map_err(|error| {
            Error::Config(format!(
                "prometheus: can't listen on {at}: {error}; choose another address, or port 0 for a free one"
            ))
        })
    }

    /// Serves the metrics of the root's tree until that listens no more.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(crate) fn serve(self, runtime: &Arc<Runtime>) -> Result<()> {
        let Self { listener, address } = self;
        let (ended, has_ended) = oneshot::channel::<()>();
        let (stop, tree, root) = (CancellationToken::new(), runtime.identity.tree(), runtime.clone());
        let stopped = stop.clone();
        let serve = move || {
            server::run(listener, tree, &stopped);
            drop(ended);
        };
        let thread = thread::Builder::new().name("pleach-scrapes".into()).spawn(serve);
        thread.map_err(|error| Error::Config(format!("prometheus: no thread for it: {error}")))?;
        *lock(&ADDRESS) = Some(address);
        info!(target: "pleach::runtime", %address, "serves metrics");
        runtime.keep(async move {
            root.tasks.until_listeners_end().await;
            stop.cancel();
            let _ = has_ended.await; // invariant 1: nothing is sent, but it ends
            lock(&ADDRESS).take_if(|served| *served == address);
        });
        Ok(())
    }
}

/// Makes room for the times that are recorded next: the recorder keeps each of them until then.
pub(super) fn keep_up() {
    if let Some(handle) = handle() {
        handle.run_upkeep();
    }
}

/// Returns what this process has recorded.
fn render() -> String {
    super::sample();
    handle().map(PrometheusHandle::render).unwrap_or_default()
}

/// Installs the recorder of this process.
///
/// # Errors
/// Says why that is not possible.
fn install(actor: &ActorId) -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS);
    let builder = builder.map_err(|error| error.to_string())?;
    let pid = std::process::id().to_string();
    let builder = builder.add_global_label("actor", actor.name()).add_global_label("pid", pid);
    let recorder = builder.add_global_label("host", actor.host()).build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| OWN_RECORDER.to_owned())?;
    Ok(handle)
}

fn handle() -> Option<&'static PrometheusHandle> {
    HANDLE.get()?.as_ref().ok()
}

/// That of this process, or why there is none.
static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
static ADDRESS: Mutex<Option<SocketAddr>> = Mutex::new(None);

const OWN_RECORDER: &str = "this program has installed a recorder of the `metrics` crate itself; leave that out, or serve \
                            what it has recorded yourself, without this setting";

/// The upper bounds of buckets, in seconds: from a call within a host to one that does real work.
const BUCKETS: &[f64] =
    &[0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];
