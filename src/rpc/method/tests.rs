//! What keeps a call away from the state.

use std::sync::Arc;

use super::cell::{Owner, State, StateCell};
use super::turn::Exclusive;
use super::{Access, Entry, Way};
use crate::actor::ActorId;
use crate::callers::{CallId, Callers};
use crate::error::Error;
use crate::scope::CancelScope;

struct Number;

impl State for Number {
    const PATH: &'static str = "tests::Number";
    const NAME: &'static str = "Number";
}

/// An actor that is its own parent.
struct Actor(ActorId);

impl Owner for Actor {
    fn id(&self) -> &ActorId {
        &self.0
    }

    fn parent(&self) -> Option<&ActorId> {
        Some(&self.0)
    }

    fn fail(&self, failure: Error) {
        panic!("{failure}");
    }
}

fn entry(cell: &StateCell) -> Entry<Exclusive<Number>> {
    let slot = cell.slot().unwrap();
    let turn = Exclusive::queue(&slot);
    Entry { call: CallId::next(), method: "add", way: Ok((slot, Way::Placed(turn))) }
}

#[tokio::test]
async fn a_call_whose_turn_comes_after_its_cancellation_does_not_get_at_the_state() {
    let actor = Arc::new(Actor(ActorId::new("number")));
    let owner: Arc<dyn Owner> = actor.clone();
    let cell = StateCell::new(Some(Number::PATH.into()));
    cell.belongs_to(Arc::downgrade(&owner));
    let maker = cell.maker::<Number>(actor.id()).unwrap();
    maker.make(async { Ok(Number) }).await.unwrap();

    let callers = Callers::default();
    let before = entry(&cell).entered(&callers).await.unwrap();
    let waits = entry(&cell);
    let scope = CancelScope::new();
    // Within one poll, so that the scope can't drop the body in between.
    let entered = scope.run(async {
        scope.cancel();
        drop(before);
        waits.entered(&callers).await.map(drop)
    });
    assert!(matches!(entered.await, Err(Error::Cancelled(_))));
    assert!(entry(&cell).entered(&callers).await.is_ok(), "it has let go of the state");
}
