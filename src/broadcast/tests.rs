//! A broadcast by hand, against a model, and with tasks that come and go.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;

/// A stream of the sent items, without an end until the sender is dropped.
fn numbers(window: usize) -> (mpsc::Sender<u64>, BroadcastReceiver<u64>) {
    let (sender, mut receiver) = mpsc::channel(10_000);
    (sender, broadcast(stream::poll_fn(move |cx| receiver.poll_recv(cx)), window))
}

fn send(sender: &mpsc::Sender<u64>, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| sender.try_send(number).unwrap());
}

/// The items that can be taken without waiting; lost items show as `Err`.
fn take_all(receiver: &mut BroadcastReceiver<u64>) -> Vec<Result<u64, u64>> {
    let mut taken = Vec::new();
    while let Some(found) = receiver.try_recv() {
        match found {
            Ok(Some(number)) => taken.push(Ok(number)),
            Ok(None) => break,
            Err(Error::Lagged { lost }) => taken.push(Err(lost)),
            Err(other) => panic!("{other}"),
        }
    }
    taken
}

fn all(numbers: impl IntoIterator<Item = u64>) -> Vec<Result<u64, u64>> {
    numbers.into_iter().map(Ok).collect()
}

/// Counts how often a waiting consumer was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Has a consumer wait for an item, and leaves it waiting.
fn wait(receiver: &mut BroadcastReceiver<u64>) -> Arc<Woken> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    woken
}

#[test]
fn each_consumer_gets_each_item_that_comes_after_it() {
    // S53, S56, S58: any stream will do; a subscription is made by another one, and begins now.
    let mut first = broadcast(stream::iter(0..5_u64), 10);
    assert_eq!(first.try_recv().unwrap().unwrap(), Some(0));
    let (mut second, mut third) = (first.subscribe().unwrap(), first.subscribe().unwrap());
    assert_eq!(take_all(&mut second), all(1..5));
    assert_eq!(take_all(&mut first), all(1..5));
    assert_eq!(take_all(&mut third), all(1..5));
    // The end is the same for all, and for good.
    for receiver in [&mut first, &mut second, &mut third] {
        assert_eq!(receiver.try_recv().unwrap().unwrap(), None);
        assert_eq!(receiver.try_recv().unwrap().unwrap(), None);
    }
    assert_eq!(first.subscribe().unwrap().try_recv().unwrap().unwrap(), None);
}

#[test]
fn a_slow_consumer_is_told_what_it_lost_and_goes_on_with_the_oldest() {
    // S52, S61.
    let (sender, mut fast) = numbers(3);
    let mut slow = fast.subscribe().unwrap();
    send(&sender, 0..10);
    assert_eq!(take_all(&mut fast), all(0..10), "the fastest never loses");
    let behind = Statistics { subscribers: 2, window: 3, kept: 3, behind: 10 };
    assert_eq!(slow.statistics(), behind);
    assert_eq!(take_all(&mut slow), [Err(7), Ok(7), Ok(8), Ok(9)]);
    // Exactly the window is not a lag; a slow consumer may be the fastest next.
    send(&sender, 10..13);
    assert_eq!(take_all(&mut slow), all(10..13));
    assert_eq!(take_all(&mut fast), all(10..13));
    send(&sender, 13..17);
    take_all(&mut slow);
    assert_eq!(take_all(&mut fast)[..2], [Err(1), Ok(14)]);
}

#[test]
fn a_closed_consumer_says_so_and_leaves_the_others_alone() {
    // S54, S62.
    let (sender, mut first) = numbers(4);
    let mut second = first.subscribe().unwrap();
    let woken = wait(&mut second);
    wait(&mut first);
    first.close();
    first.close();
    assert!(matches!(first.try_recv(), Some(Err(Error::Closed(_)))));
    assert!(matches!(first.subscribe(), Err(Error::Closed(_))));
    assert!(matches!(first.next().now_or_never(), Some(None)), "as a stream it has ended");
    send(&sender, [1]);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(take_all(&mut second), [Ok(1)]);
    assert_eq!(second.statistics().subscribers, 1);
    drop(second);
    assert!(sender.is_closed(), "the last one drops the stream");
}

#[test]
fn waiters_are_woken_whichever_was_polled_last() {
    // S62: the one that pulled last leaves; the item goes to its siblings, and nothing is lost.
    let (sender, mut first) = numbers(4);
    let mut siblings = [first.subscribe().unwrap(), first.subscribe().unwrap()];
    let woken = siblings.each_mut().map(wait);
    assert!(first.recv().now_or_never().is_none(), "dropped while it waited");
    drop(first);
    send(&sender, [1]);
    assert!(woken.iter().all(|woken| woken.0.load(Ordering::Relaxed) == 1));
    // One pulls; the other finds it.
    assert!(siblings.iter_mut().all(|sibling| take_all(sibling) == [Ok(1)]));
}

#[test]
fn a_sibling_is_woken_by_an_item_that_was_pulled_without_a_wake() {
    // A stream that was polled with success need not wake an earlier poller.
    let mut ready = false;
    let forgetful =
        stream::poll_fn(move |_| if mem::replace(&mut ready, true) { Poll::Ready(Some(1)) } else { Poll::Pending });
    let mut first = broadcast(forgetful, 4);
    let mut second = first.subscribe().unwrap();
    let woken = wait(&mut first);
    assert_eq!(second.try_recv().unwrap().unwrap(), Some(1));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

/// A waker that owns a consumer, as that of a task which is held by its wakers alone.
struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] BroadcastReceiver<u64>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_is_replaced_may_drop_a_consumer() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (sender, mut first) = numbers(2);
        let owner = Waker::from(Arc::new(Owner(first.subscribe().unwrap())));
        assert!(first.poll_recv(&mut Context::from_waker(&owner)).is_pending());
        drop(owner);
        assert!(first.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending());
        done.send(first.statistics().subscribers).unwrap();
        drop(sender);
    });
    assert_eq!(finished.recv_timeout(pleach_patience::patience()), Ok(1));
}

#[test]
fn an_item_that_only_one_will_read_is_not_kept() {
    let (sender, mut only) = numbers(4);
    send(&sender, 0..3);
    assert_eq!(take_all(&mut only), all(0..3));
    assert_eq!(only.statistics().kept, 0);
}

#[tokio::test]
async fn a_consumer_may_move_to_another_task() {
    // S59, S60.
    let (sender, mut here) = numbers(4);
    let mut there = here.subscribe().unwrap();
    let task = tokio::spawn(async move { (there.recv().await, there) });
    tokio::task::yield_now().await;
    send(&sender, [1, 2]);
    assert_eq!(here.recv().await.unwrap(), Some(1));
    let (taken, mut there) = task.await.unwrap();
    assert_eq!(taken.unwrap(), Some(1));
    assert_eq!(there.recv().await.unwrap(), Some(2));
    assert_eq!(here.recv().await.unwrap(), Some(2));
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    End,
    Subscribe(usize),
    Take(usize),
    Close(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Send),
        1 => Just(Step::End),
        2 => (0..5_usize).prop_map(Step::Subscribe),
        12 => (0..5_usize).prop_map(Step::Take),
        1 => (0..5_usize).prop_map(Step::Close),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// The order of events alone decides the items of each consumer.
    #[test]
    fn a_broadcast_does_what_its_model_does(window in 1..6_usize, steps in steps()) {
        let (sender, first) = numbers(window);
        let mut sender = Some(sender);
        // Each with the number of its next item.
        let mut consumers = vec![(first, 0)];
        let (mut sent, mut pulled) = (0, 0);
        for step in steps {
            match step {
                Step::Send => {
                    if let Some(sender) = &sender {
                        send(sender, [sent]);
                        sent += 1;
                    }
                }
                Step::End => sender = None,
                Step::Subscribe(at) => {
                    if let Some((consumer, _)) = consumers.get(at) {
                        let added = consumer.subscribe().unwrap();
                        consumers.push((added, pulled));
                    }
                }
                Step::Take(at) => {
                    let Some((consumer, next)) = consumers.get_mut(at) else { continue };
                    let behind = pulled - *next;
                    let lost = u64::saturating_sub(behind, window as u64);
                    let found = consumer.try_recv().map(|found| found.map_err(|error| error.to_string()));
                    if lost > 0 {
                        *next += lost;
                        prop_assert_eq!(found, Some(Err(Error::Lagged { lost }.to_string())));
                    } else if *next < sent {
                        prop_assert_eq!(found, Some(Ok(Some(*next))));
                        *next += 1;
                        pulled = pulled.max(*next);
                    } else {
                        prop_assert_eq!(found, if sender.is_none() { Some(Ok(None)) } else { None });
                    }
                }
                Step::Close(at) => {
                    if consumers.len() > 1 && at < consumers.len() {
                        consumers.swap_remove(at).0.close();
                    }
                }
            }
        }
    }

    /// Consumers wait, are cancelled at any await, hand over, and come to the end; none sleeps for ever.
    #[test]
    fn consumers_that_are_cancelled_at_any_point_lose_nothing(cuts in prop::collection::vec(1..20_u32, 4)) {
        const COUNT: u64 = 200;
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let all_of_it = tokio.block_on(async {
            let (sender, first) = numbers(COUNT as usize);
            let mut tasks = JoinSet::new();
            let others: Vec<_> = cuts[1..].iter().map(|_| first.subscribe().unwrap()).collect();
            for (mut receiver, cut) in [first].into_iter().chain(others).zip(cuts) {
                tasks.spawn(async move {
                    let mut taken = Vec::new();
                    loop {
                        // The receiving future is dropped after so many polls; then one goes on that waits.
                        let mut polls = 0;
                        let cut_short = {
                            let mut recv = pin!(receiver.recv());
                            poll_fn(|cx| match recv.as_mut().poll(cx) {
                                Poll::Pending if polls == cut => Poll::Ready(None),
                                Poll::Pending => {
                                    polls += 1;
                                    cx.waker().wake_by_ref();
                                    Poll::Pending
                                }
                                Poll::Ready(found) => Poll::Ready(Some(found)),
                            })
                            .await
                        };
                        let found = match cut_short {
                            Some(found) => found,
                            None => receiver.recv().await,
                        };
                        match found.unwrap() {
                            Some(number) => taken.push(number),
                            None => return taken,
                        }
                    }
                });
            }
            for number in 0..COUNT {
                sender.send(number).await.unwrap();
                if number % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            drop(sender);
            tasks.join_all().await
        });
        for taken in all_of_it {
            prop_assert!(taken.into_iter().eq(0..COUNT));
        }
    }
}
