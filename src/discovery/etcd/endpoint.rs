//! The address of an etcd, the timeout of its answers, and the errors of missing ones.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

/// An etcd, as errors name it.
#[derive(Clone)]
pub(super) struct EtcdEndpoint {
    /// Without a password.
    pub(super) address: Arc<str>,
    /// How long one request may take.
    pub(super) patience: Duration,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may work later: etcd does not answer, or is busy with itself.
    Away(Error),
    /// It will not work later either: etcd does not let us.
    Refused(Error),
}

impl EtcdEndpoint {
    /// Waits for the answer to a request; `what` describes it, as in "can't `what`".
    pub(super) async fn bounded<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.patience, request).await {
            Ok(answer) => answer.map_err(|error| self.fault(what, &error)),
            Err(_late) => Err(self.away(what, &format!("no answer within {:?}", self.patience))),
        }
    }

    pub(super) fn fault(&self, what: &str, error: &etcd_client::Error) -> Fault {
        let etcd_client::Error::GRpcStatus(status) = error else { return self.away(what, &error.to_string()) };
        let causes = std::iter::successors(status.source(), |error: &&(dyn StdError + 'static)| (*error).source());
        let first = causes.last().map(|first| first.to_string());
        let why = match first {
            Some(first) if !status.message().ends_with(&first) => format!("{}: {first}", status.message()),
            _ => status.message().to_owned(),
        };
        match REFUSALS.contains(&(status.code() as i32)) {
            true => {
                Fault::Refused(self.error(what, &why, "check the user in the address, and its permissions in etcd"))
            }
            false => self.away(what, &why),
        }
    }

    pub(super) fn away(&self, what: &str, why: &str) -> Fault {
        Fault::Away(self.error(what, why, "check that etcd runs there, and that the address is right"))
    }

    fn error(&self, what: &str, why: &str, hint: &str) -> Error {
        Error::Registry { address: self.address.to_string(), why: format!("can't {what}: {why}; {hint}") }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(error) | Fault::Refused(error) => error,
        }
    }
}

/// The gRPC codes that no repetition changes: invalid argument (a wrong password among them), permission
/// denied, unimplemented, unauthenticated.
const REFUSALS: [i32; 4] = [3, 7, 12, 16];
