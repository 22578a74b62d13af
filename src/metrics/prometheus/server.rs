//! Requests and answers of the endpoint.
//!
//! # Invariants
//! 1. At most [`MAX_CONNECTIONS`] are open, each for one request and no longer than [`PATIENCE`]; further ones wait.
//! 2. The processes are asked for one request at a time.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::merge::merge;
use crate::inspect;

/// An answer.
type Answer = Response<Full<Bytes>>;

/// Serves the metrics of a tree until it is stopped.
pub(super) fn run(listener: StdListener, tree: Uuid, stop: &CancellationToken) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    if let Err(error) = runtime.block_on(serve(listener, tree, stop)) {
        warn!(target: "pleach::runtime", %error, "metrics are not served");
    }
    runtime.shutdown_background(); // a process that does not answer is waited for at most two seconds more
}

async fn serve(listener: StdListener, tree: Uuid, stop: &CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let (slots, asking) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(Mutex::new(tree)));
    let connections = TaskTracker::new();
    while let Some(stream) = stop.run_until_cancelled(accept(&listener)).await {
        let Some(Ok(slot)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await else { break };
        let (stop, asking) = (stop.clone(), asking.clone());
        connections.spawn(async move {
            let answered = timeout(PATIENCE, answer_one(stream, asking));
            let _ = stop.run_until_cancelled(answered).await; // a reader that is too slow, or has left
            drop(slot);
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

/// Accepts the next connection; waits a moment when files have run out.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Answers one request.
async fn answer_one(stream: TcpStream, asking: Arc<Mutex<Uuid>>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let asking = asking.clone();
        async move { Ok::<_, Infallible>(answer(&request, &asking).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(TO_ASK).keep_alive(false).max_buf_size(MAX_HEAD);
    http.serve_connection(TokioIo::new(stream), service).await
}

async fn answer(request: &Request<Incoming>, asking: &Mutex<Uuid>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, PATH) => {
            let tree = asking.lock().await; // invariant 2
            match collect(*tree).await {
                Ok(text) => with(StatusCode::OK, text),
                Err(error) => {
                    with(StatusCode::INTERNAL_SERVER_ERROR, format!("the processes were not asked: {error}\n"))
                }
            }
        }
        (_, PATH) => {
            let mut refused = with(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".into());
            refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
            refused
        }
        _ => with(StatusCode::NOT_FOUND, format!("the metrics are at {PATH}\n")),
    }
}

/// Asks all processes of the tree.
async fn collect(tree: Uuid) -> std::io::Result<String> {
    let (texts, silent) = spawn_blocking(move || inspect::metrics_of(tree)).await??;
    let silent = format!(
        "# HELP {SILENT} processes with actors that did not answer\n# TYPE {SILENT} gauge\n{SILENT} {silent}\n"
    );
    Ok(merge(&texts) + &silent)
}

fn with(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(TEXT));
    answer
}

/// Where the metrics are.
const PATH: &str = "/metrics";

/// The type of the text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metric of the endpoint itself.
const SILENT: &str = "pleach_silent_processes";

/// How many connections are open at once.
const MAX_CONNECTIONS: usize = 16;

/// How long one may take to ask, and how long all of it.
const TO_ASK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes; hyper takes no smaller one.
const MAX_HEAD: usize = 8192;

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);
