//! Hosts for a test: namespaces of this machine, with a network between them that can be cut, each with an sshd.
//!
//! Test programs include this file; `tests/servers/hosts` does the work. Only root can make such hosts: for other users,
//! a test says so and tries nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The hosts `host-1`, `host-2` and so on; ended with this value.
pub(crate) struct Hosts(TempDir);

impl Hosts {
    /// Starts so many; `None` if this user can't.
    pub(crate) fn start(count: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can make hosts of namespaces: this is not tried");
            return None;
        }
        let hosts = Self(TempDir::with_prefix("pleach-hosts-").unwrap());
        let started = hosts.script("start").arg(count.to_string()).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Some(hosts)
    }

    /// The command that does something with them.
    pub(crate) fn script(&self, what: &str) -> Command {
        let mut script = Command::new(script());
        script.arg(what).arg(self.0.path());
        script
    }

    /// The command that runs another one at a host.
    pub(crate) fn run_at(&self, host: &str) -> Command {
        let mut run = self.script("run");
        run.arg(host);
        run
    }

    /// Runs a command at a host, to its end.
    pub(crate) fn at(&self, host: &str, command: &[&str]) -> Output {
        self.run_at(host).args(command).output().unwrap()
    }

    /// A directory that goes with them; all hosts see it.
    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn ssh_config(&self) -> String {
        self.dir().join("ssh/ssh_config").display().to_string()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = self.script("stop").status(); // its output goes to the terminal, its only reader
    }
}

/// This file is included by packages in several places.
fn script() -> PathBuf {
    let places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("tests/servers/hosts"));
    places.into_iter().find(|script| script.is_file()).unwrap()
}
