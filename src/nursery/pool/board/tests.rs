//! The rules of places, without processes.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;

use super::*;

#[derive(Clone, Default)]
struct Fake(Arc<AtomicBool>);

impl Process for Fake {
    fn is_gone(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

const ANY: Want = Want { worker: None, alone: false };
const SUSPECT: Want = Want { worker: None, alone: true };

/// A board whose workers are up.
fn up(workers: usize, in_flight: usize, most_calls: u64) -> Board<Fake> {
    let board = Board::new(workers, in_flight, most_calls);
    (0..workers).for_each(|worker| board.set_up(worker, Fake::default()));
    board
}

type Now<'a> = Option<Place<'a, Fake>>;

fn now<'a>(place: Pin<&mut impl Future<Output = Result<Place<'a, Fake>>>>) -> Now<'a> {
    place.now_or_never().map(Result::unwrap)
}

#[test]
fn the_worker_with_the_fewest_calls_is_next() {
    let board = up(2, 2, u64::MAX);
    let places: Vec<_> = (0..4).map(|_| now(pin!(board.place(ANY))).unwrap()).collect();
    assert_eq!(places.iter().map(|place| place.grant.worker).collect::<Vec<_>>(), [0, 1, 0, 1]);
    let mut fifth = pin!(board.place(ANY));
    assert!(now(fifth.as_mut()).is_none());
    drop(places.into_iter().nth(2));
    assert_eq!(now(fifth).unwrap().grant.worker, 0, "the place that is free again");
}

#[test]
fn a_suspect_has_a_worker_for_itself_and_comes_first() {
    let board = up(1, 4, u64::MAX);
    let first = now(pin!(board.place(ANY))).unwrap();
    let (mut suspect, mut late) = (pin!(board.place(SUSPECT)), pin!(board.place(ANY)));
    assert!(now(suspect.as_mut()).is_none());
    assert!(now(late.as_mut()).is_none(), "it would keep the suspect waiting");
    drop(first);
    let alone = now(suspect).unwrap();
    assert!(alone.grant.alone && now(late.as_mut()).is_none());
    drop(alone);
    assert!(now(late).is_some());
}

#[test]
fn a_suspect_that_leaves_keeps_nothing_free() {
    let board = up(1, 2, u64::MAX);
    let _stays = now(pin!(board.place(ANY))).unwrap();
    let mut suspect = Box::pin(board.place(SUSPECT));
    let mut late = pin!(board.place(ANY));
    assert!(now(suspect.as_mut()).is_none() && now(late.as_mut()).is_none());
    drop(suspect);
    assert!(now(late).is_some());
}

#[test]
fn a_place_that_was_given_to_one_that_has_left_goes_to_the_next() {
    let board = up(1, 1, u64::MAX);
    let first = now(pin!(board.place(ANY))).unwrap();
    let (mut second, mut third) = (Box::pin(board.place(ANY)), pin!(board.place(ANY)));
    assert!(now(second.as_mut()).is_none() && now(third.as_mut()).is_none());
    drop(first);
    drop(second);
    assert!(now(third).is_some());
}

#[test]
fn calls_of_a_worker_wait_for_it_and_those_that_came_first_are_first() {
    let board = up(2, 1, u64::MAX);
    let places: Vec<_> = (0..2).map(|_| now(pin!(board.place(ANY))).unwrap()).collect();
    let (mut any, mut pinned) = (pin!(board.place(ANY)), pin!(board.place(Want { worker: Some(0), alone: false })));
    assert!(now(any.as_mut()).is_none() && now(pinned.as_mut()).is_none());
    let mut places = places.into_iter();
    drop(places.next()); // of worker 0
    let earlier = now(any).unwrap();
    assert!(now(pinned.as_mut()).is_none());
    drop(places.next()); // of worker 1
    assert!(now(pinned.as_mut()).is_none(), "another worker will not do");
    drop(earlier);
    assert_eq!(now(pinned).unwrap().grant.worker, 0);
}

#[test]
fn a_process_gets_no_more_calls_than_it_may_have() {
    let board = up(1, 4, 2);
    let places: Vec<_> = (0..2).map(|_| now(pin!(board.place(ANY))).unwrap()).collect();
    let mut third = pin!(board.place(ANY));
    assert!(now(third.as_mut()).is_none());
    assert!(board.until_spent(0).now_or_never().is_none());
    drop(places);
    assert!(board.until_spent(0).now_or_never().is_some() && now(third.as_mut()).is_none());
    board.set_up(0, Fake::default());
    assert!(now(third).is_some());
}

#[test]
fn a_lost_worker_takes_no_call_before_it_is_up_again() {
    let board = up(1, 2, u64::MAX);
    let place = now(pin!(board.place(ANY))).unwrap();
    board.lose(&place);
    assert!(now(pin!(board.place(ANY))).is_some(), "its process is there");
    place.grant.process.0.store(true, Ordering::SeqCst);
    board.lose(&place);
    drop(place);
    let mut next = pin!(board.place(ANY));
    assert!(now(next.as_mut()).is_none());
    board.set_up(0, Fake::default());
    assert!(now(next).is_some());
}

#[test]
fn a_closed_board_tells_all_that_wait() {
    let board = up(1, 1, u64::MAX);
    let _first = now(pin!(board.place(ANY))).unwrap();
    let mut waits = pin!(board.place(ANY));
    assert!(now(waits.as_mut()).is_none());
    board.close(Error::Closed("it is closed".into()));
    assert!(waits.now_or_never().unwrap().is_err());
    assert!(board.place(ANY).now_or_never().unwrap().is_err());
}
