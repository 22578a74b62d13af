//! The server of a library: this program started again, with a connection to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::future::LocalBoxFuture;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::LIBRARIES;
use crate::load::{CONNECTIONS, Library, Peer, Protocol, READY, Work};

/// What this process has to serve, if it was started for that.
pub(crate) fn asked(arguments: &[String]) -> Option<LocalBoxFuture<'static, ()>> {
    let [mark, parent, library, protocol, path] = arguments else { return None };
    if mark != MARK {
        return None;
    }
    // The server ends with its parent, however that ends, and also if it has ended already.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a process may choose when it ends");
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().to_string() != *parent) {
        return Some(Box::pin(std::future::ready(())));
    }
    let library = LIBRARIES.iter().find(|known| known.name == library).expect("the parent knows its libraries");
    let protocol = Protocol::from_name(protocol).expect("the parent knows its protocols");
    Some((library.serve)(protocol, path.clone()))
}

/// A server, and a connection to it. Dropping it kills the server.
pub(crate) struct Server {
    library: &'static Library,
    process: Child,
    protocol: Protocol,
    address: String,
    /// Dropped before the server is killed, so that no connection breaks.
    peer: Option<Box<dyn Peer>>,
}

impl Server {
    /// Starts it, with its files in a directory, and connects to it.
    pub(crate) async fn start(library: &'static Library, protocol: Protocol, directory: &Path) -> Self {
        let path = directory.join(library.name);
        let mut command = Command::new("/proc/self/exe");
        command.args([MARK, &std::process::id().to_string(), library.name, protocol.name()]).arg(path);
        // For the sockets of which a library chooses the path.
        command.env("TMPDIR", directory).stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn().expect("this program can be started");
        let mut server = Self { library, process, protocol, address: String::new(), peer: None };
        let mut line = String::new();
        let output = server.process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the server has output");
        server.address = line.trim().strip_prefix(READY).expect("the server is ready").to_owned();
        server.peer = Some(server.connect().await);
        server
    }

    pub(crate) fn name(&self) -> &'static str {
        self.library.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Does one step.
    pub(crate) async fn step(&mut self, work: Work) {
        match &mut self.peer {
            Some(peer) if work != Work::Connection => peer.step(work).await,
            _ => {
                for _ in 0..CONNECTIONS {
                    self.connect().await.step(work).await;
                }
            }
        }
    }

    async fn connect(&self) -> Box<dyn Peer> {
        (self.library.connect)(self.protocol, self.address.clone()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.peer = None;
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const MARK: &str = "serve";
