//! The limit of open files: raised as far as this process may, and named where it is reached.

use std::io;
use std::time::{Duration, Instant};

use pleach_wire::TransportError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

/// Raises the soft limit to the hard one. The soft one is low for programs that use `select`, and each actor takes
/// some files of its parent's.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        debug!(target: "pleach::runtime", %error, ?maximum, "the limit of open files stays as it is");
    }
}

/// Explains a failure of the system where its own text does not: when files have run out, with their limit.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::MFILE) => {
            let limit = getrlimit(Resource::Nofile).current;
            let limit = limit.map_or_else(|| "any number".into(), |limit| limit.to_string());
            format!(
                "{error}: this process may have {limit} open; raise that (`ulimit -n`), or start fewer actors in one"
            )
        }
        Some(rustix::io::Errno::NFILE) => format!("{error}: the whole system has as many as it may (`fs.file-max`)"),
        _ => error.to_string(),
    }
}

/// Connections that listeners could not accept because files had run out.
#[derive(Debug, Default)]
pub(crate) struct Refused(watch::Sender<Row>);

/// Failures in a row: nothing was accepted between them.
#[derive(Debug, Default)]
struct Row {
    /// While it lasts.
    first: Option<Instant>,
    last: Option<(Instant, String)>,
}

impl Refused {
    /// Notes a failure, if files had run out. Failures caused by a peer don't count.
    pub(crate) fn note(&self, error: &TransportError) {
        if let TransportError::Listen { source, .. } = error
            && matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
        {
            let (now, why) = (Instant::now(), explain(source));
            self.0.send_modify(|row| {
                row.first.get_or_insert(now);
                row.last = Some((now, why));
            });
        }
    }

    /// Takes note that a connection was accepted: there are files again.
    pub(crate) fn note_accepted(&self) {
        self.0.send_if_modified(|row| row.first.take().is_some());
    }

    /// Returns why a connection was not accepted since then.
    pub(crate) fn since(&self, begun: Instant) -> Option<String> {
        self.0.borrow().last.as_ref().filter(|(at, _)| *at >= begun).map(|(_, why)| why.clone())
    }

    /// Waits until files have been missing for a while since then: not for a moment, as while many are opened at once.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn lasting(&self, begun: Instant) {
        let lasts = |row: &Row| match (row.first, &row.last) {
            (Some(first), Some((last, _))) => last.saturating_duration_since(first.max(begun)) >= A_WHILE,
            _ => false,
        };
        let _ = self.0.subscribe().wait_for(lasts).await; // the sender is here
    }
}

/// How long files may be exhausted before a start fails; a listener tries many times in it.
const A_WHILE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_reached_is_named() {
        let text = explain(&io::Error::from_raw_os_error(24));
        assert!(text.contains("Too many open files") && text.contains("ulimit -n"), "{text}");
        assert_eq!(explain(&io::Error::from_raw_os_error(2)), io::Error::from_raw_os_error(2).to_string());
    }
}
