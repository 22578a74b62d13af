//! Sending a batch: one HTTP request over a connection of its own, from the exporter's thread.
//!
//! A batch is sent every few seconds to a collector nearby, which needs no pool, no redirects and no async runtime. The
//! runtimes of actors come and go, and the exporter must outlive them.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use opentelemetry_http::{HttpClient, HttpError};

/// A client of HTTP/1.1 that blocks.
#[derive(Debug)]
pub(super) struct Post;

#[async_trait::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let status = post(&request)?;
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

fn post(request: &Request<Bytes>) -> Result<StatusCode, HttpError> {
    let uri = request.uri();
    if uri.scheme_str().is_some_and(|scheme| !scheme.eq_ignore_ascii_case("http")) {
        return Err(format!("{uri}: only `http` is spoken here; put a collector on this host in between").into());
    }
    let host = uri.host().ok_or("the endpoint has no host")?;
    let mut stream = connect(host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let mut head = format!("{} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n", request.method());
    for (name, value) in request.headers() {
        write!(head, "{name}: {}\r\n", value.to_str()?)?;
    }
    write!(head, "content-length: {}\r\n\r\n", request.body().len())?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body())?;
    read_status(stream)
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Reads how the collector has taken it. What else it says is not needed.
fn read_status(stream: TcpStream) -> Result<StatusCode, HttpError> {
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer);
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\n').next().unwrap_or_default());
    match line.split(' ').nth(1).map(str::parse::<StatusCode>) {
        Some(Ok(status)) => Ok(status),
        _ => Err(read.err().map_or_else(|| "the collector does not speak HTTP".into(), Into::into)),
    }
}

/// How long the collector may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of an answer is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;
