//! Actors with state: their handles, the turns of their methods, and their ends.

mod ends;
mod turns;

use std::path::PathBuf;

use futures_util::{Stream, stream};
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Handle, Me};
use tokio::sync::watch;

use crate::support::{assert_says, in_nursery, matrix_fn, note, test_fn};

/// Counts, and tells its addresses of notes.
pub(crate) struct Counter {
    value: watch::Sender<i64>,
    log: Vec<i64>,
}

#[pleach::actor]
impl Counter {
    /// Ends the process when it is called for the first time; `marker` is there then.
    pub(crate) async fn abort_once(&self, marker: PathBuf) -> Result<i64> {
        match std::fs::File::create_new(&marker) {
            Ok(_) => std::process::abort(),
            Err(_) => self.get().await,
        }
    }

    /// Counts from `start` up.
    pub(crate) async fn new(start: i64) -> Result<Self> {
        match start {
            13 => panic!("this one is expected"),
            0.. => Ok(Self { value: watch::Sender::new(start), log: Vec::new() }),
            _ => Err(Error::Usage("it counts from 0 up".into())),
        }
    }

    pub(crate) async fn add(&mut self, n: i64) -> Result<i64> {
        self.log.push(n);
        self.value.send_modify(|value| *value += n);
        self.get().await
    }

    /// Adds, with more bytes than that takes.
    pub(crate) async fn add_with(&mut self, n: i64, _ballast: String) -> Result<i64> {
        self.add(n).await
    }

    /// Has a task of its own call the actor itself, by its handle.
    pub(crate) async fn add_in_a_task(&mut self, own: Handle<Self>, n: i64) -> Result<i64> {
        pleach::open_task_nursery(async |t| t.spawn(async move { own.add(n).await })?.join().await).await
    }

    /// Has another actor made, which needs this one for that.
    pub(crate) async fn start_one_that_asks(&mut self, own: Handle<Self>) -> Result<()> {
        pleach::open_nursery(async |n| n.start(Asks::new(own)).await.map(drop)).await
    }

    /// Tells itself to do it later, and does not wait for that.
    pub(crate) async fn add_later(&mut self, own: Handle<Self>, n: i64) -> Result<()> {
        tokio::spawn(own.add(n));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(crate) async fn get(&self) -> Result<i64> {
        Ok(self.value())
    }

    /// What was added, in the order of that.
    pub(crate) async fn log(&self) -> Result<Vec<i64>> {
        Ok(self.log.clone())
    }

    /// The program's own: it is neither `async` nor a stream.
    pub(crate) fn value(&self) -> i64 {
        *self.value.borrow()
    }

    /// The program's own: it does not need the state.
    pub(crate) async fn parsed(text: &str) -> Option<i64> {
        text.parse().ok()
    }

    #[expect(dead_code, reason = "private methods stay so, which this shows by being built")]
    async fn private(&mut self, borrowed: &str) -> usize {
        borrowed.len()
    }

    pub(crate) async fn own_error(&self) -> std::result::Result<i64, std::num::ParseIntError> {
        "x".parse()
    }

    pub(crate) async fn echo(&self, bytes: bytes::Bytes) -> Result<bytes::Bytes> {
        Ok(bytes)
    }

    /// Asks another one from a method that changes it.
    pub(crate) async fn ask(&mut self, other: Handle<Self>) -> Result<i64> {
        Ok(other.get().await? + self.value())
    }

    /// Has another one ask this one.
    pub(crate) async fn ask_by(&mut self, other: Handle<Self>, own: Handle<Self>) -> Result<i64> {
        other.ask(own).await
    }

    /// Has two calls of another one under way, which both change it.
    pub(crate) async fn add_twice(&mut self, other: Handle<Self>) -> Result<()> {
        let (first, second) = tokio::join!(other.add_after_yields(1), other.add_after_yields(2));
        first?;
        second.map(drop)
    }

    pub(crate) async fn add_after_yields(&mut self, n: i64) -> Result<i64> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.add(n).await
    }

    /// Never returns; says when it has begun.
    pub(crate) async fn stay(&mut self, notes: String) -> Result<()> {
        note(&notes, "stays");
        std::future::pending().await
    }

    pub(crate) async fn panic_while_changing(&mut self) -> Result<()> {
        self.log.push(-1);
        panic!("this one is expected")
    }

    pub(crate) async fn panic_while_looking(&self) -> Result<()> {
        panic!("this one is expected")
    }

    /// What it is from now on.
    pub(crate) fn changes(&self) -> impl Stream<Item = Result<i64>> {
        stream::unfold(self.value.subscribe(), async |mut value| {
            value.changed().await.ok()?;
            let now = *value.borrow_and_update();
            Some((Ok(now), value))
        })
    }

    /// As [`changes`](Self::changes), with a sender.
    pub(crate) async fn told(me: Me<Self>, out: &mut StreamSender<i64>, at_least: i64) -> Result<()> {
        let mut value = me.read().await?.value.subscribe();
        while value.changed().await.is_ok() {
            let now = *value.borrow_and_update();
            if now >= at_least {
                out.send(now).await?;
            }
        }
        Ok(())
    }

    /// Adds what comes, and answers each with the sum.
    pub(crate) async fn dialog(me: Me<Self>, ctx: &mut Context<i64, i64, i64>, times: i64) -> Result<i64> {
        let now = me.read().await?.value();
        ctx.started(now).await?;
        let mut stream = ctx.open_stream().await?;
        while let Some(n) = stream.recv().await? {
            let now = me.write().await?.add(n * times).await?;
            stream.send(now).await?;
        }
        me.read().await?.get().await
    }

    /// Has the state twice, with others in between.
    pub(crate) async fn doubled(me: Me<Self>) -> Result<i64> {
        let now = me.read().await?.value();
        tokio::task::yield_now().await;
        me.write().await?.add(now).await
    }
}

/// Another type, whose `new` waits until it is told to go on.
struct Late;

#[pleach::actor]
impl Late {
    pub(crate) async fn new(notes: String) -> Result<Self> {
        note(&notes, "is being made");
        match notes.is_empty() {
            true => Ok(Self),
            false => std::future::pending().await,
        }
    }
}

/// Asks another actor while it is made.
struct Asks;

#[pleach::actor]
impl Asks {
    pub(crate) async fn new(counter: Handle<Counter>) -> Result<Self> {
        counter.get().await.map(|_| Self)
    }
}

/// Looks for itself while it is made.
struct LooksForItself;

#[pleach::actor]
impl LooksForItself {
    pub(crate) async fn new(name: String) -> Result<Self> {
        pleach::find::<Self>(&name).await.map(|_| Self)
    }
}

#[pleach::rpc]
async fn bump(counter: Handle<Counter>, by: i64) -> Result<i64> {
    counter.add(by).await
}

#[pleach::rpc]
async fn value_of(name: String) -> Result<Option<i64>> {
    match pleach::find::<Counter>(&name).await? {
        Some(counter) => counter.get().await.map(Some),
        None => Ok(None),
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let own = [
        matrix_fn(a_handle_has_the_methods_of_the_state),
        vec![test_fn(a_state_is_a_plain_value_where_it_is_made_here)],
        matrix_fn(handles_are_sent_and_found_by_name_and_type),
        matrix_fn(streams_and_dialogs_leave_the_state_to_others),
        matrix_fn(an_actor_of_another_kind_has_no_such_state),
    ];
    own.into_iter().flatten().chain(turns::tests()).chain(ends::tests()).collect()
}

async fn a_handle_has_the_methods_of_the_state(config: Config) {
    in_nursery(config, async |n| {
        let one = n.start(Counter::new(5)).name("one").await?;
        let two = n.start(Counter::new(100)).await?;
        assert_eq!(Handle::portal(&two).await?.id().name(), "counter");
        assert_eq!((one.add(2).await?, two.add(2).await?), (7, 102));
        assert_eq!((one.get().await?, two.get().await?), (7, 102));
        assert_says(&one.own_error().await, &["invalid digit"]);
        let blob = bytes::Bytes::from(vec![7; 300_000]);
        assert_eq!(one.echo(blob.clone()).await?, blob);
        assert!(format!("{one:?}").starts_with("Handle<Counter>(actor `one` (pid "), "{one:?}");
        assert_eq!(one.doubled().await?, 14);
        let joined = futures_util::future::join_all((0..10).map(|n| one.add(n))).await;
        assert_eq!(joined.into_iter().last().transpose()?, Some(14 + 45));
        Handle::stop(&one).await?;
        Handle::stop(&two).await
    })
    .await
    .unwrap();
}

async fn a_state_is_a_plain_value_where_it_is_made_here() {
    let mut counter = Counter::new(5).await.unwrap();
    assert_eq!((counter.add(2).await.unwrap(), counter.value(), Counter::parsed("7").await), (7, 7, Some(7)));
    assert_says(&Counter::new(-1).await.map(drop), &["it counts from 0 up"]);
}

async fn handles_are_sent_and_found_by_name_and_type(config: Config) {
    in_nursery(config, async |n| {
        let counter = n.start(Counter::new(5)).name("sum").await?;
        let other = n.start_actor("other").enable(module_path!()).await?;
        assert_eq!(other.run(bump(counter.clone(), 2)).await?, 7);
        assert_eq!(other.run(value_of("sum".into())).await?, Some(7));
        assert_eq!(other.run(value_of("nothing".into())).await?, None);
        assert_says(&pleach::find::<Counter>("other").await.map(drop), &["actor `other`", "is not a `Counter`"]);
        assert_says(&pleach::find::<Late>("sum").await.map(drop), &["actor `sum`", "is not a `Late`"]);
        assert!(!Handle::follows_restarts(&counter));
        Handle::stop(&counter).await?;
        other.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn streams_and_dialogs_leave_the_state_to_others(config: Config) {
    in_nursery(config, async |n| {
        let counter = n.start(Counter::new(0)).await?;
        let of_stream = counter.changes().open(async |mut changes| {
            assert_eq!(counter.add(1).await?, 1);
            assert_eq!(changes.recv().await?, Some(1));
            Ok::<_, Error>(())
        });
        of_stream.await?;
        let of_sender = counter.told(4).open(async |mut told| {
            // It subscribes once it has begun: whichever comes is at least so much.
            while told.recv().await?.is_none_or(|seen| seen < 4) {}
            Ok::<_, Error>(())
        });
        let adding = async {
            loop {
                counter.add(1).await?;
            }
            #[expect(unreachable_code, reason = "it gives the block its type")]
            Ok::<_, Error>(())
        };
        tokio::select! {
            told = of_sender => told?,
            added = adding => added?,
        }
        let before = counter.get().await?;
        let of_dialog = counter.dialog(10).open(async |ctx, first| {
            assert_eq!(first, before);
            let mut stream = ctx.open_stream().await?;
            stream.send(1).await?;
            assert_eq!(stream.recv().await?, Some(before + 10));
            assert_eq!(counter.add(1).await?, before + 11, "meanwhile, others have the state");
            stream.close().await?;
            ctx.result().await
        });
        assert_eq!(of_dialog.await?, before + 11);
        Handle::stop(&counter).await
    })
    .await
    .unwrap();
}

async fn an_actor_of_another_kind_has_no_such_state(config: Config) {
    in_nursery(config, async |n| {
        let path = <Counter as pleach::State>::PATH;
        let plain = n.start_actor("plain").enable(path).await?;
        let none = std::collections::BTreeMap::<String, ()>::new();
        let get = plain.run_from_ns::<i64>(&format!("{path}::get"), &none).await;
        assert_says(&get, &["actor `plain`", "was not started as a `Counter`", "nursery.start(Counter::new(…))"]);
        let counter = n.start(Counter::new(1)).await?;
        let portal = Handle::portal(&counter).await?;
        let again = portal.run_from_ns::<()>(&format!("{path}::new"), &(7,)).await;
        assert_says(&again, &["`Counter` is made already"]);
        assert_eq!(counter.get().await?, 1);
        let by_sibling = plain.run_from_ns::<()>(&format!("{path}::new"), &(7,)).await;
        assert_says(&by_sibling, &["was not started as a `Counter`"]);
        Handle::stop(&counter).await?;
        plain.cancel_actor().await
    })
    .await
    .unwrap();
}
