//! The tree of scopes: who is cancelled with whom, and for which reason.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::frame;
use super::run::Run;
use crate::error::{Cancelled, Error};

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
    /// Cancelling that one cancels this one. In a shield, and outside of any scope, the new scope
    /// stands alone.
    pub fn new() -> Self {
        Self { node: Node::new(frame::current_node()) }
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
        frame::current_node().map(|node| Self { node })
    }

    /// Makes a scope that is cancelled with this one, wherever the caller is.
    pub fn child(&self) -> Self {
        Self { node: Node::new(Some(self.node.clone())) }
    }

    /// Runs `body` under this scope.
    ///
    /// The scope that the caller is in counts too: what cancels that one ends the body as well. Once
    /// the scope is cancelled the body is dropped as soon as no shield is held in it, at once if it
    /// has not begun. A body that comes to its end all the same keeps its value.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the body was dropped. Drops in the
    /// body have run by then.
    ///
    /// # Cancel safety
    /// If dropped, the body is dropped with it at once, shields or not.
    pub fn run<F: Future>(&self, body: F) -> Run<F> {
        Run::new(self.node.clone(), body)
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

    /// Returns whether this scope, or one around it, was cancelled.
    pub fn cancel_called(&self) -> bool {
        self.node.token.is_cancelled()
    }

    /// Returns whether a body of this scope was dropped because of a cancellation.
    ///
    /// A body that came to its end after the cancellation was not.
    pub fn cancelled_caught(&self) -> bool {
        self.node.caught.load(Ordering::Acquire)
    }

    /// Returns why this scope, or one around it, was cancelled, if it was.
    pub(crate) fn cause(&self) -> Option<Cancelled> {
        self.cancel_called().then(|| self.node.cause())
    }

    /// Returns the error of a body that this scope has cancelled.
    pub(super) fn error(&self) -> Error {
        Error::Cancelled(self.node.cause())
    }

    /// Returns the token that is cancelled when the scope is; cancelling it cancels the scope.
    pub fn token(&self) -> CancellationToken {
        self.node.token.clone()
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
        f.debug_struct("CancelScope").field("cancel_called", &self.cancel_called()).finish_non_exhaustive()
    }
}

/// One scope in the tree.
pub(super) struct Node {
    pub(super) token: CancellationToken,
    parent: Option<Arc<Self>>,
    /// Set if this very node was cancelled, and not only one around it.
    cause: OnceLock<Cancelled>,
    caught: AtomicBool,
}

impl Node {
    pub(super) fn new(parent: Option<Arc<Self>>) -> Arc<Self> {
        let token = parent.as_ref().map(|parent| parent.token.child_token()).unwrap_or_default();
        Arc::new(Self { token, parent, cause: OnceLock::new(), caught: AtomicBool::new(false) })
    }

    pub(super) fn cancel(&self, cause: Cancelled) {
        // The cause comes before the token, so that nobody sees one cancelled without its reason.
        // A cause that is set already is the first one and stays.
        let _ = self.cause.set(cause);
        self.token.cancel();
    }

    pub(super) fn catch(&self) {
        self.caught.store(true, Ordering::Release);
    }

    /// Returns the reason nearest to this node.
    pub(super) fn cause(&self) -> Cancelled {
        let mut node = Some(self);
        while let Some(here) = node {
            if let Some(cause) = here.cause.get() {
                return cause.clone();
            }
            node = here.parent.as_deref();
        }
        // Somebody cancelled a token by hand.
        Cancelled::Scope
    }

    pub(super) fn is_inside(&self, other: &Self) -> bool {
        let mut node = Some(self);
        while let Some(here) = node {
            if std::ptr::eq(here, other) {
                return true;
            }
            node = here.parent.as_deref();
        }
        false
    }
}
