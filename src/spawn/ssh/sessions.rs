//! Which actors share a login: those of one parent at one host, up to what a host allows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::login::Login;
use super::program;
use crate::runtime::Runtime;
use crate::sync::lock;

type Logins = tokio::sync::Mutex<Vec<Weak<Shared>>>;

/// Where to log in, and for which program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SshTarget {
    pub(super) destination: String,
    pub(super) config_file: Option<PathBuf>,
    pub(super) program: Option<PathBuf>,
}

/// A login, and where this program is there.
#[derive(Debug)]
struct Shared {
    login: Login,
    program: String,
    places: Arc<Semaphore>,
}

/// The right to run one actor over a login, which lasts as long as one of these exists.
pub(super) struct LoginPermit {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

/// Returns a permit for a session of a login. If there is none, logs in, and sees to the program there.
///
/// # Errors
/// Says why the login or the program is missing.
///
/// # Cancel safety
/// If dropped, a login that was just being made is ended.
pub(super) async fn obtain(runtime: &Arc<Runtime>, target: &SshTarget) -> Result<LoginPermit, String> {
    let open = logins_of(runtime.id().uuid(), target);
    let mut open = open.lock().await;
    open.retain(|shared| shared.strong_count() > 0);
    if let Some(permit) = open.iter().filter_map(Weak::upgrade).find_map(|shared| shared.permit()) {
        return Ok(permit);
    }
    let login = Login::open(runtime, &target.destination, target.config_file.as_deref()).await?;
    let program = program::provide(&login, target.program.as_deref()).await?;
    let shared = Arc::new(Shared { login, program, places: Arc::new(Semaphore::new(PLACES)) });
    open.push(Arc::downgrade(&shared));
    shared.permit().ok_or_else(|| "its ssh session has ended again".into())
}

/// The logins of an actor at a target. Entries without any are removed.
fn logins_of(actor: Uuid, target: &SshTarget) -> Arc<Logins> {
    let mut all = lock(&LOGINS);
    let is_open = |shared: &Weak<Shared>| shared.strong_count() > 0;
    // One that is being made is held by its maker.
    all.retain(|_, logins| {
        Arc::strong_count(logins) > 1 || logins.try_lock().is_ok_and(|logins| logins.iter().any(is_open))
    });
    all.entry((actor, target.clone())).or_default().clone()
}

impl Shared {
    /// Returns a permit, if one is free and the session lasts.
    fn permit(self: &Arc<Self>) -> Option<LoginPermit> {
        let permit = self.places.clone().try_acquire_owned().ok().filter(|_| self.login.is_open())?;
        Some(LoginPermit { shared: self.clone(), _permit: permit })
    }
}

impl LoginPermit {
    pub(super) fn login(&self) -> &Login {
        &self.shared.login
    }

    /// Where this program is there.
    pub(super) fn program(&self) -> &str {
        &self.shared.program
    }
}

/// By the actor that has logged in: a login ends with it. Logins to one target happen one at a time.
static LOGINS: Mutex<BTreeMap<(Uuid, SshTarget), Arc<Logins>>> = Mutex::new(BTreeMap::new());

/// Actors that share a login. A server allows ten sessions in it (`MaxSessions`) by default.
const PLACES: usize = 8;
