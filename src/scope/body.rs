//! One body that is being polled under a scope: its place in the tree, and its shields.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::shields::Shields;
use super::tree::Node;
use crate::task_local::look;

/// The body that some code is part of; none in a shield.
pub(super) type Around = Option<Arc<Body>>;

thread_local! {
    /// That of the running code, if it is in a body or a shield.
    pub(super) static CURRENT: Cell<Option<Around>> = const { Cell::new(None) };
}

pub(super) fn current() -> Around {
    look(&CURRENT, Clone::clone).flatten()
}

pub(super) fn current_node() -> Option<Arc<Node>> {
    look(&CURRENT, |body| body.as_ref().map(|body| body.node().clone())).flatten()
}

/// Returns whether the running code is part of a body, shielded or not.
pub(super) fn is_in_body() -> bool {
    look(&CURRENT, |_| ()).is_some()
}

/// Returns whether the running code is in a shield, and not in a scope inside that.
fn is_shielded() -> bool {
    look(&CURRENT, Option::is_none).unwrap_or(false)
}

/// Returns whether the running code is in a cancelled scope, without telling it.
pub(super) fn is_cancelled() -> bool {
    current_node().is_some_and(|node| node.is_cancelled())
}

/// Notes that the running code gets an error now, if that is because of its own cancellation.
pub(super) fn tell_if_cancelled() -> bool {
    let cancelled = is_cancelled();
    if let Some(body) = current().filter(|_| cancelled) {
        body.told.store(true, Ordering::Relaxed);
    }
    cancelled
}

/// State shared by a body and the code inside it.
pub(super) struct Body {
    /// The scope that the caller named, or the one that was made where the body is first polled.
    asked: Option<Arc<Node>>,
    /// The same, where the caller has named none.
    placed: OnceLock<Arc<Node>>,
    /// The scope that the body got, if that is another one; see [`Body::enter`].
    entered: OnceLock<Arc<Node>>,
    shields: Shields,
    /// Whether code in the body was handed the cancellation as an error.
    told: AtomicBool,
}

impl Body {
    pub(super) fn new(asked: Option<Arc<Node>>) -> Arc<Self> {
        let (placed, entered) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { asked, placed, entered, shields: Shields::default(), told: AtomicBool::new(false) })
    }

    /// Finds the body's place in the tree, when it is first polled.
    ///
    /// That is the scope that was asked for, unless it lies elsewhere than inside `around`, the scope of the body
    /// around this one, or beyond the shield around it: then it is a new scope, and the caller has to cancel it when
    /// the one asked for is cancelled. Invariants 1 and 6.
    pub(super) fn enter(&self, around: Option<Arc<Node>>) -> Placement {
        let asked = self.asked();
        let place = match around {
            Some(around) if !asked.is_inside(&around) => {
                Placement::Elsewhere(Node::with_deadline(Some(around), asked.deadline()))
            }
            None if is_shielded() && asked.stops_at_shields() => {
                Placement::Shielded(Node::with_deadline(None, asked.own_deadline()))
            }
            _ => Placement::Asked(asked.clone()),
        };
        if let Placement::Elsewhere(node) | Placement::Shielded(node) = &place {
            self.entered.get_or_init(|| node.clone());
        }
        place
    }

    /// Notes the scope that was asked for, unless one is noted.
    pub(super) fn place(&self, asked: Arc<Node>) {
        if self.asked.is_none() {
            self.placed.get_or_init(|| asked);
        }
    }

    pub(super) fn asked(&self) -> &Arc<Node> {
        self.asked.as_ref().unwrap_or_else(|| self.placed.get_or_init(|| Node::with_deadline(None, None)))
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        // Also of a body that was never polled: it is still dropped under the scope that was asked for.
        self.entered.get().unwrap_or_else(|| self.asked())
    }

    /// Returns whether the body has seen its cancellation: then its result is only an echo of it.
    pub(super) fn was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self) {
        self.shields.hold();
    }

    /// Invariant 5 of the module. Mostly the release happens while the body is polled, but a shield may
    /// also have been moved into another task.
    pub(super) fn release(&self) {
        self.shields.release();
    }

    /// Returns whether a shield is held.
    pub(super) fn is_held(&self) -> bool {
        self.shields.is_held()
    }

    /// Returns whether no shield is held; if one is, the last release will wake `waker`.
    pub(super) fn may_close(&self, waker: &Waker) -> bool {
        self.shields.all_released(waker)
    }
}

/// Where in the tree a body runs.
pub(super) enum Placement {
    /// In the scope that was asked for.
    Asked(Arc<Node>),
    /// In a scope of its own, because the one asked for is not inside the scope around the body.
    Elsewhere(Arc<Node>),
    /// In a scope of its own, because there is a shield between the one asked for and the body.
    Shielded(Arc<Node>),
}

impl Placement {
    /// Returns whether a body is cancelled here, before a [`Watch`](super::run) sees to that.
    pub(super) fn is_cancelled(&self, asked: &Node) -> bool {
        match self {
            Self::Asked(node) => node.is_token_cancelled(),
            Self::Elsewhere(node) => node.is_token_cancelled() || asked.is_token_cancelled(),
            Self::Shielded(node) => node.is_token_cancelled() || asked.is_itself_cancelled(),
        }
    }
}
