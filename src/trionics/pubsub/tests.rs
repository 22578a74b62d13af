//! A publisher whose source lives exactly as long as it has subscribers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::error::Error;
use crate::scope::{CancelScope, move_on_after};

const SECOND: Duration = Duration::from_secs(1);

/// A publisher that says every second how late it is, for the topics that are wanted.
struct Clock {
    publisher: Publisher<&'static str, u64>,
    starts: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

impl Clock {
    /// Its source ends in the given way after some seconds.
    fn new(seconds: u64, ending: fn() -> Result<()>) -> Self {
        let (starts, running) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (starts.clone(), running.clone());
        let epoch = Instant::now();
        let publisher = Publisher::new(move |feed: Feed<_, _>| {
            let (starts, running) = counts.clone();
            async move {
                starts.fetch_add(1, Ordering::Relaxed);
                assert_eq!(running.fetch_add(1, Ordering::Relaxed), 0, "two sources run");
                let _gone = OnDrop(|| assert_eq!(running.fetch_sub(1, Ordering::Relaxed), 1));
                for _ in 0..seconds {
                    let now = epoch.elapsed().as_secs();
                    feed.publish(feed.topics().into_iter().map(|topic| (topic, now)).collect()).await;
                    sleep(SECOND).await;
                }
                ending()
            }
        });
        Self { publisher, starts, running }
    }

    /// Subscribes to a topic, and fails with the last of the given values.
    async fn expect(&self, topic: &'static str, values: &[u64]) -> Result<()> {
        let left = Mutex::new(values.iter());
        let sink = async |part: BTreeMap<_, _>| {
            let mut left = left.lock().unwrap();
            assert_eq!(part, BTreeMap::from([(topic, *left.next().expect("no more was to come"))]));
            if left.len() == 0 { Err(Error::Usage("it is enough".into())) } else { Ok(()) }
        };
        let ended = self.publisher.subscribe([topic], sink).await;
        assert_eq!(left.lock().unwrap().len(), 0, "more was to come: {ended:?}");
        ended
    }

    fn assert_over(&self, starts: usize) {
        assert_eq!((self.starts.load(Ordering::Relaxed), self.running.load(Ordering::Relaxed)), (starts, 0));
        assert!(self.publisher.subscribers.lock().entries.is_empty());
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn enough(ended: Result<()>) -> bool {
    ended.is_err_and(|error| error.to_string() == "it is enough")
}

// S97
#[tokio::test(start_paused = true)]
async fn one_source_feeds_all_and_a_broken_sink_ends_only_its_subscriber() {
    let clock = Clock::new(u64::MAX, || Ok(()));
    let late = async {
        sleep(SECOND * 3 / 2).await;
        clock.expect("c", &[2, 3, 4]).await
    };
    // The first value comes before the second subscriber does.
    let ended = tokio::join!(clock.expect("a", &[0, 1, 2, 3, 4, 5]), clock.expect("b", &[1, 2]), late);
    assert!(enough(ended.0) && enough(ended.1) && enough(ended.2));
    clock.assert_over(1);
}

// S97
#[tokio::test(start_paused = true)]
async fn the_next_one_runs_the_source_when_its_holder_is_cancelled() {
    let clock = Clock::new(u64::MAX, || Ok(()));
    let holder = CancelScope::new();
    let cancel = async {
        sleep(SECOND * 5 / 2).await;
        holder.cancel();
    };
    let (cancelled, next, _) = tokio::join!(
        holder.run(clock.publisher.subscribe(["a"], async |_| Ok::<_, Error>(()))),
        // At 2.5 s it starts over.
        clock.expect("b", &[1, 2, 2, 3]),
        cancel,
    );
    assert!(cancelled.is_err() && enough(next));
    clock.assert_over(2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_ends_all_and_one_that_fails_is_restarted() {
    let clock = Clock::new(2, || Ok(()));
    let slow = clock.publisher.subscribe(["a"], async |_| {
        sleep(SECOND * 5).await;
        Ok::<_, Error>(())
    });
    let quick = clock.publisher.subscribe(["a"], async |_| Ok::<_, Error>(()));
    let started = Instant::now();
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(slow.is_ok() && quick.is_ok());
    assert_eq!(started.elapsed(), SECOND * 10, "published values are handed over");
    clock.assert_over(1);

    let clock = Clock::new(2, || Err(Error::Usage("broken".into())));
    let failed = |number| clock.publisher.subscribe([number], async |_| Ok::<_, Error>(()));
    let (one, two) = tokio::join!(failed("a"), failed("b"));
    assert!(one.unwrap_err().to_string() == "broken" && two.unwrap_err().to_string() == "broken");
    clock.assert_over(2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_holds_the_source_up_once_its_queue_is_full() {
    let publisher = Publisher::new(|feed: Feed<(), u64>| async move {
        sleep(SECOND / 2).await; // until both have come
        for number in 0.. {
            feed.publish(BTreeMap::from([((), number)])).await;
        }
        Ok(())
    });
    let seen = AtomicUsize::new(0);
    let quick = publisher.subscribe([()], async |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Error>(())
    });
    let stuck = publisher.subscribe([()], async |_| pending::<Result<()>>().await);
    assert!(move_on_after(SECOND, async { tokio::join!(quick, stuck) }).await.is_none());
    assert_eq!(seen.into_inner(), 1 + BUFFER + 1, "one is in the sink, the others wait, and one can't");
}

// S97
#[tokio::test(start_paused = true)]
async fn two_publishers_of_one_function_do_not_collide() {
    async fn for_ever(_: Feed<u8, u8>) -> Result<()> {
        pending().await
    }
    let running = [Publisher::new(for_ever), Publisher::new(for_ever)];
    let all = running.each_ref().map(|publisher| publisher.subscribe([1], async |_| Ok::<_, Error>(())));
    let [one, two] = all;
    let seen = move_on_after(SECOND, async { tokio::join!(one, two) });
    let turns = async {
        sleep(SECOND / 2).await;
        running.each_ref().map(|publisher| publisher.turn.available_permits())
    };
    assert_eq!(tokio::join!(seen, turns).1, [0, 0]);
}

#[test]
fn it_can_be_shared_and_sent() {
    fn sent<T: Send>(_: &T) {}
    let publisher = Publisher::new(async |_: Feed<u8, u8>| Ok(()));
    sent(&publisher.subscribe([1], async |_| Ok::<_, Error>(())));
    sent(&Arc::new(publisher));
}
