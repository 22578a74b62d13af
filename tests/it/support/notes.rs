//! Short texts that other processes send to a test.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pleach_patience::patience;
use tempfile::TempDir;

/// Where other processes send short texts to a test.
pub(crate) struct Notes {
    socket: UnixDatagram,
    path: PathBuf,
    /// None in the process of an actor that may end without removing anything.
    _dir: Option<TempDir>,
}

impl Notes {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self::at(dir.path().join("notes"), Some(dir))
    }

    /// Where other processes send texts to this actor of a test: in the directory of the test, which removes it.
    pub(crate) fn beside(address: &str) -> Self {
        Self::at(format!("{address}-{}", std::process::id()).into(), None)
    }

    fn at(path: PathBuf, _dir: Option<TempDir>) -> Self {
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _dir }
    }

    /// What to hand to [`note`] in the other process.
    pub(crate) fn address(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// The directory of this test; it goes with this value.
    pub(crate) fn dir(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// Waits for the next note.
    pub(crate) fn next(&self) -> String {
        self.next_within(patience()).expect("no note came")
    }

    /// Waits for the next note, but not longer than this.
    pub(crate) fn next_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut text = [0; 8192];
        let len = loop {
            match self.socket.recv(&mut text) {
                // The end of a child process, of any test, is a signal.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => break received.ok()?,
            }
        };
        Some(String::from_utf8_lossy(&text[..len]).into_owned())
    }

    /// Waits for the next note, which has to begin with `what`, and returns the rest.
    pub(crate) fn expect(&self, what: &str) -> String {
        let note = self.next();
        let rest = note.strip_prefix(what).unwrap_or_else(|| panic!("expected `{what}…`, got `{note}`"));
        rest.trim().to_owned()
    }

    /// As [`expect`](Self::expect), for use in async code.
    pub(crate) async fn expect_async(self: &std::sync::Arc<Self>, what: &'static str) -> String {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || notes.expect(what)).await.unwrap()
    }
}

/// Sends a note to the test at `address`.
pub(crate) fn note(address: &str, text: impl AsRef<str>) {
    let socket = UnixDatagram::unbound().unwrap();
    let _ = socket.send_to(text.as_ref().as_bytes(), address); // a test that failed does not listen any more
}

/// Sends a note when it is dropped: where to, and which.
pub(crate) struct NoteOnDrop(pub(crate) String, pub(crate) &'static str);

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        note(&self.0, self.1);
    }
}
