//! Export of spans to a collector of OpenTelemetry, over OTLP.
//!
//! One line exports those of a whole tree, because each of its processes runs the same `main`:
//!
//! ```no_run
//! #[pleach::main(init = pleach::telemetry::otel::init)]
//! async fn main() -> pleach::Result<()> {
//!     pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await
//! }
//! ```
//! A call, context or stream is a span on both sides (see [`trace_calls`](super::trace_calls)), and the function's is a
//! child of the caller's, over any number of actors and transports. The program's own spans are exported too.
//!
//! | file | station |
//! |---|---|
//! | this one | the exporter of a process: its layer, its end |
//! | `propagation` | a span's trace in a call |
//! | `post` | a batch of spans on its way to the collector |

mod post;
mod propagation;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use self::post::Post;
pub use self::propagation::OtelPropagator;
use super::{propagate_with, stderr};

/// Has this process, and every actor that runs this `main`, export its spans over OTLP (HTTP, protobuf).
///
/// For `#[pleach::main(init = …)]`; otherwise call it before [`pleach::init`](crate::init), in each process. It installs
/// the subscriber of [`telemetry::init`](super::init) with an exporter beside it, unless the program has set one. A
/// program with a subscriber of its own adds a layer of `tracing-opentelemetry` to that itself, and calls
/// [`propagate_with`] with an [`OtelPropagator`].
///
/// The standard variables apply: `OTEL_EXPORTER_OTLP_ENDPOINT` (default: `http://localhost:4318`; encryption is left to
/// a collector on this host), `OTEL_SERVICE_NAME` (default: the name of the program's file), `OTEL_TRACES_SAMPLER`.
/// Actors on this host inherit them; give them to those on others with [`Host::env`](crate::Host::env). Exported are the
/// spans of calls, and the program's own at level `info` and above.
///
/// Batches are sent by a thread of their own, the last one at the end of the process, within half a second. An actor
/// that is killed loses the spans that it has not sent.
pub fn init() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Installs the subscriber of a program, if it is to export spans; actors have one in any case.
pub(crate) fn install() {
    if is_wanted() {
        super::init(None);
    }
}

fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Makes the layer that exports spans, if they are wanted; says so if that fails.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    if !is_wanted() {
        return None;
    }
    let provider = match provider() {
        Ok(provider) => PROVIDER.get_or_init(|| provider),
        Err(error) => {
            stderr::offer(format!("pleach: no spans are exported: {error}\n").into());
            return None;
        }
    };
    propagate_with(OtelPropagator);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("pleach"));
    Some(layer.with_filter(exported()))
}

/// Which spans are exported.
fn exported() -> Targets {
    let all = Targets::new().with_default(LevelFilter::INFO);
    all.with_target("pleach", LevelFilter::WARN).with_target("pleach::rpc", LevelFilter::DEBUG)
}

fn provider() -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_http().with_http_client(Post).build()?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none()
        && let Some(name) = std::env::current_exe().ok().and_then(|path| Some(path.file_name()?.to_owned()))
    {
        resource = resource.with_service_name(name.to_string_lossy().into_owned());
    }
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// Sends what has not been sent, at the end of the process.
///
/// On a thread of its own: the current one may be past the end of its thread-local values.
pub(super) fn flush() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let Some(provider) = PROVIDER.get() else { return };
    let flush = move || {
        let _ = provider.shutdown_with_timeout(AT_END); // the collector may be gone
        DONE.store(true, Ordering::Release);
    };
    if std::thread::Builder::new().name("pleach-spans".into()).spawn(flush).is_err() {
        return;
    }
    let begun = std::time::Instant::now();
    while !DONE.load(Ordering::Acquire) && begun.elapsed() < AT_END {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// How long the end of a process waits for the collector.
const AT_END: Duration = Duration::from_millis(500);
