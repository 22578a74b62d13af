//! The tree of scopes: which scopes are cancelled together, and for which reason.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::body;
use super::ended::run_for_result;
use super::run::Run;
use crate::error::{Cancelled, Error, Result, ScopeError};
use crate::sync::lock;

/// A part of the program that can be cancelled as one.
///
/// Cloning gives another handle of the same scope. Dropping handles, even the last one, cancels
/// nothing.
#[derive(Clone)]
pub struct CancelScope {
    node: Arc<Node>,
}

impl CancelScope {
    /// Makes a scope inside the scope of the code that asks, if it is in one.
    ///
    /// Cancelling that one cancels this one. In a shield, and outside of any scope, the new scope stands alone; and
    /// code under it in a shield is protected from the cancellations that the shield keeps off:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use pleach::prelude::*;
    ///
    /// let around = CancelScope::new();
    /// let cleaned_up = async {
    ///     around.cancel();
    ///     // The scope is made out here, and cancelled already. Its body is in there.
    ///     shield(CancelScope::new().run(async { "cleaned up" })).await
    /// };
    /// assert_eq!(around.run(cleaned_up).await.unwrap().unwrap(), "cleaned up");
    /// # }
    /// ```
    ///
    /// Run code under a [`child`](Self::child) to have it cancelled with the enclosing code through a shield.
    pub fn new() -> Self {
        Self { node: Node::new(body::current_node(), Reach::UpToShields) }
    }

    /// As [`new`](Self::new), for a primitive that runs its body in a shield, and lets it be cancelled with the code
    /// around all the same.
    pub(crate) fn of_primitive() -> Self {
        Self { node: Node::new(body::current_node(), Reach::ThroughShields) }
    }

    /// As [`new`](Self::new), with a deadline: the scope is cancelled when that has passed.
    ///
    /// The bodies that run under it watch the clock; the errors that they get name the cause,
    /// [`Cancelled::Deadline`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    ///
    /// use pleach::scope::CancelScope;
    /// use tokio::time::Instant;
    ///
    /// let scope = CancelScope::with_deadline(Instant::now() + Duration::from_millis(5));
    /// let late = scope.run(std::future::pending::<()>()).await.unwrap_err();
    /// assert_eq!(late.to_string(), "cancelled: its deadline has passed");
    /// # }
    /// ```
    ///
    /// # Panics
    /// A body with a deadline panics when it is polled outside of a tokio runtime with a timer.
    pub fn with_deadline(at: Instant) -> Self {
        let scope = Self::new();
        scope.set_deadline(at);
        scope
    }

    /// Returns the scope of the code that asks; none outside of all scopes and in a shield.
    ///
    /// A task inherits nothing from the task that spawned it, unless a
    /// [`TaskNursery`](super::TaskNursery) starts it. Else give it the scope by hand:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use pleach::scope::CancelScope;
    ///
    /// CancelScope::new()
    ///     .run(async {
    ///         let scope = CancelScope::current().expect("this is inside a scope");
    ///         let task = tokio::spawn(scope.attach(async { 7 }));
    ///         assert_eq!(task.await.unwrap().unwrap(), 7);
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    pub fn current() -> Option<Self> {
        body::current_node().map(|node| Self { node })
    }

    /// Makes a scope that is cancelled with this one, wherever the caller is.
    pub fn child(&self) -> Self {
        Self { node: Node::new(Some(self.node.clone()), Reach::ThroughShields) }
    }

    pub(super) fn of(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Returns whether it is `other`, or in it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.node.is_inside(&other.node)
    }

    /// As [`child`](Self::child), with a deadline of its own.
    pub(crate) fn child_with_deadline(&self, at: Instant) -> Self {
        let scope = self.child();
        scope.set_deadline(at);
        scope
    }

    /// Sets the deadline, once and before a body is polled.
    pub(super) fn set_deadline(&self, at: Instant) {
        self.node.deadline.set(at).expect("the creator of a scope sets its deadline once");
    }

    /// Returns the deadline: the nearest of this scope's own and of those around it.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    /// Runs `body` under this scope.
    ///
    /// The caller's scope counts too: its cancellation ends the body as well. Once the scope is cancelled the body is
    /// dropped as soon as no shield is held in it, at once if it has not begun. A body that ends all the same keeps its
    /// value, unless it got the cancellation as an error of a primitive; [`try_run`](Self::try_run) then keeps a
    /// failure.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the body was dropped, or got the cancellation as an error. Drops in the body have run
    /// by then.
    ///
    /// # Cancel safety
    /// If dropped, the body is dropped with it at once, shields or not.
    pub fn run<F: Future>(&self, body: F) -> Run<F> {
        Run::new(self.node.clone(), body)
    }

    /// As [`run`](Self::run), for a body that may fail: its error is kept, also after it has seen its cancellation,
    /// unless it is only the echo of that.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use pleach::prelude::*;
    ///
    /// let scope = CancelScope::new();
    /// let ended = scope.try_run(async {
    ///     scope.cancel();
    ///     match pleach::scope::checkpoint() {
    ///         Err(_told) => Err(Error::Usage("the clean-up failed".into())),
    ///         Ok(()) => Ok(()),
    ///     }
    /// });
    /// assert_eq!(ended.await.unwrap_err().to_string(), "the clean-up failed");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `body`, unchanged if the scope is not cancelled, else through `From<Error>`; [`Error::Cancelled`]
    /// when the body was dropped, or saw its cancellation and returned nothing worse.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn try_run<T, E: ScopeError>(&self, body: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        run_for_result(self, body).await.unwrap_or_else(|cancelled| Err(cancelled.into()))
    }

    /// Lets a task that is to be spawned run under this scope; the same as [`run`](Self::run).
    pub fn attach<F: Future>(&self, body: F) -> Run<F> {
        self.run(body)
    }

    /// Cancels the scope and all scopes inside it. Returns at once; doing it again does nothing.
    pub fn cancel(&self) {
        self.cancel_because(Cancelled::Scope);
    }

    /// Cancels the scope for a reason that the errors of its bodies will name.
    ///
    /// The first reason stays. A scope inside that is not cancelled by itself takes the reason of the
    /// nearest one around it.
    pub fn cancel_because(&self, cause: Cancelled) {
        self.node.cancel(cause);
    }

    /// Returns whether this scope, or one around it, was cancelled, or has passed its deadline.
    pub fn cancel_called(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Returns why this scope is cancelled, if it is.
    pub(crate) fn cause(&self) -> Option<Cancelled> {
        self.cancel_called().then(|| self.node.cause())
    }

    /// Returns when this scope was first cancelled, or the nearest one around it that was. One that was cancelled by
    /// its token has no such time.
    pub(crate) fn cancelled_since(&self) -> Option<Instant> {
        self.node.ancestry().find_map(|node| node.since.get().copied())
    }

    /// Returns whether a body of this scope was dropped because of a cancellation.
    ///
    /// A body that came to its end after the cancellation was not.
    pub fn cancelled_caught(&self) -> bool {
        self.node.caught.load(Ordering::Acquire)
    }

    /// Returns the error of a body that this scope has cancelled.
    pub(super) fn error(&self) -> Error {
        Error::Cancelled(self.node.cause())
    }

    /// Returns the token that is cancelled when the scope is; cancelling it cancels the scope.
    pub fn token(&self) -> CancellationToken {
        self.node.token().clone()
    }
}

impl Default for CancelScope {
    /// The same as [`CancelScope::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope")
            .field("cancel_called", &self.cancel_called())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

/// One scope in the tree.
pub(super) struct Node {
    /// Made when the first code waits for it, or cancels: most calls end without either. See [`Node::token`].
    token: OnceLock<CancellationToken>,
    parent: Option<Arc<Self>>,
    reach: Reach,
    own: Mutex<Own>,
    /// Its own; see [`Node::deadline`].
    deadline: OnceLock<Instant>,
    /// When it was cancelled, and not only one around it.
    since: OnceLock<Instant>,
    caught: AtomicBool,
}

/// How far a cancellation from around a scope reaches into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Not to bodies that run in a shield.
    UpToShields,
    /// To all of its bodies.
    ThroughShields,
}

/// The cancellation of one very scope, and not only of one around it.
#[derive(Default)]
struct Own {
    /// Set when it was cancelled.
    cause: Option<Cancelled>,
    /// Cancelled with the scope; created on first use.
    token: Option<CancellationToken>,
}

impl Node {
    pub(super) fn new(parent: Option<Arc<Self>>, reach: Reach) -> Arc<Self> {
        let (token, own) = (OnceLock::new(), Mutex::default());
        let (deadline, since) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { token, parent, reach, own, deadline, since, caught: AtomicBool::new(false) })
    }

    /// Makes a scope for a body that is limited to a time from now on.
    pub(super) fn with_deadline(parent: Option<Arc<Self>>, at: Option<Instant>) -> Arc<Self> {
        let node = Self::new(parent, Reach::UpToShields);
        if let Some(at) = at {
            node.deadline.set(at).expect("it is new");
        }
        node
    }

    /// Returns the token that is cancelled when this scope is. It descends from those of the scopes around, so one that
    /// is made in a cancelled scope is cancelled.
    pub(super) fn token(&self) -> &CancellationToken {
        self.token.get_or_init(|| self.parent.as_ref().map(|around| around.token().child_token()).unwrap_or_default())
    }

    /// Returns whether the token is cancelled, or would be if there were one. It does not look at the clock.
    pub(super) fn is_token_cancelled(&self) -> bool {
        let nearest = self.ancestry().find_map(|node| node.token.get());
        nearest.is_some_and(CancellationToken::is_cancelled)
    }

    /// Returns whether this very scope, and not only one around it, was cancelled.
    pub(super) fn is_itself_cancelled(&self) -> bool {
        self.own().cause.is_some()
    }

    /// Returns whether a shielded body of this scope is out of reach of the enclosing scopes.
    pub(super) fn stops_at_shields(&self) -> bool {
        self.reach == Reach::UpToShields && self.parent.is_some()
    }

    /// Returns the deadline of this very scope.
    pub(super) fn own_deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// Returns the token that is cancelled when this very scope is.
    pub(super) fn own_token(&self) -> CancellationToken {
        let mut own = self.own();
        let token = own.token.get_or_insert_default().clone();
        let is_cancelled = own.cause.is_some();
        drop(own);
        if is_cancelled {
            token.cancel();
        }
        token
    }

    /// Returns whether this very scope, and not only one around it, was cancelled by its deadline.
    pub(super) fn has_expired(&self) -> bool {
        self.own().cause == Some(Cancelled::Deadline)
    }

    /// Returns the nearest deadline of this scope and of those around it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ancestry().filter_map(|node| node.deadline.get().copied()).min()
    }

    /// Returns whether this scope is cancelled; code that never waits does not see the timer, so the clock is read.
    pub(super) fn is_cancelled(&self) -> bool {
        if !self.is_token_cancelled() && self.deadline().is_some() {
            self.expire(Instant::now());
        }
        self.is_token_cancelled()
    }

    /// Cancels this scope, and those around it, whose own deadline has passed.
    pub(super) fn expire(&self, now: Instant) {
        let passed = |node: &&Self| node.deadline.get().is_some_and(|at| *at <= now);
        self.ancestry().filter(passed).for_each(|node| node.cancel(Cancelled::Deadline));
    }

    pub(super) fn cancel(&self, cause: Cancelled) {
        // The cause comes before the token, so that no scope is seen cancelled without its reason. One that is
        // there already is the first and stays.
        self.since.get_or_init(Instant::now);
        let mut own = self.own();
        own.cause.get_or_insert(cause);
        let token = own.token.clone();
        drop(own);
        self.token().cancel();
        if let Some(token) = token {
            token.cancel();
        }
    }

    pub(super) fn catch(&self) {
        self.caught.store(true, Ordering::Release);
    }

    /// Returns the reason nearest to this node.
    pub(super) fn cause(&self) -> Cancelled {
        let nearest = self.ancestry().find_map(|node| node.own().cause.clone());
        nearest.unwrap_or(Cancelled::Scope) // a token was cancelled directly
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        lock(&self.own)
    }

    pub(super) fn is_inside(&self, other: &Self) -> bool {
        self.ancestry().any(|node| std::ptr::eq(node, other))
    }

    /// This scope, and those around it, from the inside out.
    fn ancestry(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }
}
