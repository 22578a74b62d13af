//! An etcd of a test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// It runs until this is dropped, on a free port of this host; then nothing of it is left.
pub(crate) struct Server {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_, _| Vec::new())
    }

    /// As [`start`](Self::start), with what `options` makes of its directory and its port.
    pub(crate) fn start_with(options: impl FnOnce(&Path, u16) -> Vec<String>) -> Self {
        let dir = TempDir::with_prefix("pleach-etcd-").unwrap();
        // Free a moment ago; etcd can't choose a port and tell it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = options(dir.path(), port);
        let server = Self { dir, port, options };
        server.restart();
        server
    }

    pub(crate) fn stop(&self) {
        run(&["stop".into(), self.directory()]);
    }

    /// Starts it again on the same port, with the data that it had.
    pub(crate) fn restart(&self) {
        let arguments = [vec!["start".into(), self.directory(), self.port.to_string()], self.options.clone()].concat();
        run(&arguments);
    }

    /// Has it forget everything, while it is stopped.
    pub(crate) fn forget(&self) {
        std::fs::remove_dir_all(self.dir.path().join("data")).unwrap();
    }

    /// Has it say nothing any more, with its connections open, until what is returned is dropped.
    pub(crate) fn pause(&self) -> Paused {
        let pid = std::fs::read_to_string(self.dir.path().join("etcd.pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let paused = Paused(pid);
        while !is_stopped(pid) {
            std::thread::yield_now();
        }
        paused
    }

    /// An address for a registry of its own.
    pub(crate) fn address(&self, prefix: &str) -> String {
        format!("etcd://127.0.0.1:{}/{prefix}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn directory(&self) -> String {
        self.dir.path().to_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An etcd that stands still. Dropping this lets it go on.
pub(crate) struct Paused(Pid);

impl Drop for Paused {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}

/// Whether all threads of a process have heard that they are to stop.
fn is_stopped(pid: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap();
    let mut states = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    states.all(|status| status.contains("State:\tT"))
}

fn run(arguments: &[String]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/etcd");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
