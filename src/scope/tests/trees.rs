//! Random trees of scopes, shields and task nurseries, with cancels, deadlines, failures, panics and drops.
//!
//! A [`Plan`] is walked, and each part of it checks that it may run. The properties are at the `complain`s and in
//! [`judge`]: each part ends once, from the inside out, nothing runs after its end, and no failure is lost (D1, C-1 to
//! C-8). On one thread the clock is paused; on several it runs, so there are fewer plans. A failing plan is shrunk and
//! printed.

use std::pin::Pin;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

#[derive(Clone, Debug)]
enum Plan {
    Sleep(u64),
    /// Waits for a cancellation, and in a shield, which would hide it, for a while.
    Forever,
    /// Cancels a scope around, even from within a shield.
    Cancel(usize),
    /// Cancels the nearest scope, that of a nursery included.
    CancelCurrent,
    Fail,
    Panic,
    /// Waits for an earlier task of the nursery, unless it was joined.
    Join {
        shielded: bool,
    },
    Sequence(Vec<Self>),
    Shield(Box<Self>),
    /// A scope, with a deadline after some time or without.
    Scope(Option<u64>, Box<Self>),
    /// Owes clean-up that takes time, as nurseries and contexts do.
    Owes(Box<Self>),
    /// Drops its contents after some time, as `timeout` does.
    Drop(u64, Box<Self>),
    Nursery {
        tasks: Vec<Self>,
        body: Box<Self>,
    },
}

fn plans() -> impl Strategy<Value = Plan> {
    let leaf = prop_oneof![
        4 => (0..20_u64).prop_map(Plan::Sleep),
        1 => Just(Plan::Forever),
        2 => (0..4_usize).prop_map(Plan::Cancel),
        1 => Just(Plan::CancelCurrent),
        2 => Just(Plan::Fail),
        1 => Just(Plan::Panic),
        2 => any::<bool>().prop_map(|shielded| Plan::Join { shielded }),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Plan::Sequence),
            1 => boxed().prop_map(Plan::Shield),
            2 => (prop::option::of(0..20_u64), boxed()).prop_map(|(ms, plan)| Plan::Scope(ms, plan)),
            1 => boxed().prop_map(Plan::Owes),
            1 => ((0..20_u64), boxed()).prop_map(|(ms, plan)| Plan::Drop(ms, plan)),
            3 => (prop::collection::vec(inner.clone(), 0..4), boxed()).prop_map(|(tasks, body)| Plan::Nursery { tasks, body }),
        ]
    })
}

#[test]
fn in_any_tree_everything_ends_once_in_order_and_no_failure_is_lost() {
    // So that the plans keep hitting the cases they are for.
    let counts @ [failures, groups, lost_by_drops, clean_ups, expired] = walk_many(2500, Threads::One);
    assert!(failures > 500 && groups > 50 && lost_by_drops > 0 && clean_ups > 200 && expired > 50, "{counts:?}");
}

#[test]
fn in_any_tree_on_several_threads_too() {
    let counts @ [failures, _, _, clean_ups, expired] = walk_many(200, Threads::Several);
    assert!(failures > 40 && clean_ups > 10 && expired > 0, "{counts:?}");
}

#[derive(Clone, Copy, PartialEq)]
enum Threads {
    /// On a paused clock.
    One,
    /// In real time.
    Several,
}

/// Walks random plans, and counts events in them.
fn walk_many(cases: u32, threads: Threads) -> [usize; 5] {
    let config = Config { cases, rng_seed: RngSeed::Fixed(20), failure_persistence: None, ..Config::default() };
    let seen = Mutex::new([0; 5]);
    // Around everything, so that a panic has a nursery to end in.
    let roots = (prop::collection::vec(plans(), 0..4), plans())
        .prop_map(|(tasks, body)| Plan::Nursery { tasks, body: Box::new(body) });
    let outcome = TestRunner::new(config).run(&roots, |plan| {
        let counts = walk(plan, threads).map_err(TestCaseError::fail)?;
        seen.lock().unwrap().iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
    seen.into_inner().unwrap()
}

/// Walks a plan to its end, and counts events on the way.
fn walk(plan: Plan, threads: Threads) -> Result<[usize; 5], String> {
    let (mut runtime, cancelled_after) = match threads {
        Threads::One => (tokio::runtime::Builder::new_current_thread(), Duration::from_secs(1)),
        Threads::Several => (tokio::runtime::Builder::new_multi_thread(), Duration::from_millis(30)),
    };
    let runtime = runtime.worker_threads(2).enable_time().start_paused(threads == Threads::One).build().unwrap();
    let world = Arc::new(World { alone: threads == Threads::One, ..World::default() });
    let outcome = runtime.block_on(async {
        let root = CancelScope::new();
        let place = Place::root(world.clone(), root.clone());
        let cancel = async {
            sleep(cancelled_after).await;
            root.cancel();
            sleep(3 * pleach_patience::patience()).await;
        };
        let outcome = tokio::select! {
            outcome = root.run(act(plan, place)) => Some(outcome),
            () = cancel => None,
        };
        // Leftovers in the background.
        let left = async {
            while world.is_busy() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(3 * pleach_patience::patience(), left).await; // the judge sees it
        outcome
    });
    judge(&world, outcome)
}

/// Compares output with input.
fn judge(world: &World, outcome: Option<Result<Result<()>>>) -> Result<[usize; 5], String> {
    let Some(outcome) = outcome else { return Err("it hangs".into()) };
    let (mut found, mut echoes) = (Vec::new(), 0);
    if let Err(error) = outcome.and_then(|inner| inner) {
        leaves(&error, &mut |leaf| match leaf {
            Error::Local(error) => found.push(error.to_string()),
            Error::Panicked(message) => found.push(message.clone()),
            Error::Cancelled(_) => echoes += 1,
            other => world.complain(format!("an error of unknown origin: {other}")),
        });
    }
    let injected = world.lock(&world.injected);
    let (lost, mut kept): (Vec<_>, Vec<_>) = injected.iter().partition(|(_, place)| place.was_dropped());
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    let groups = usize::from(found.len() > 1);
    found.sort();
    if !found.iter().eq(kept.iter().map(|(text, _)| text)) {
        world.complain(format!(
            "came out: {found:?}, went in: {:?}",
            injected.iter().map(|(text, _)| text).collect::<Vec<_>>()
        ));
    }
    if echoes > 0 && !found.is_empty() || echoes > 1 {
        world.complain(format!("{echoes} echoes beside {found:?}"));
    }
    for part in &*world.lock(&world.parts) {
        part.check_end(world);
    }
    if !world.lock(&world.open_guards).iter().all(Vec::is_empty) {
        world.complain("a guard was never dropped".into());
    }
    let faults = world.lock(&world.faults);
    let [clean_ups, expired] = [&world.clean_ups, &world.expired].map(|count| count.load(Ordering::Relaxed));
    if faults.is_empty() { Ok([found.len(), groups, lost.len(), clean_ups, expired]) } else { Err(faults.join("; ")) }
}

fn leaves(error: &Error, visit: &mut impl FnMut(&Error)) {
    match error {
        Error::Group(group) => group.errors.iter().for_each(|error| leaves(error, visit)),
        leaf => visit(leaf),
    }
}

/// State shared by all parts of a plan.
#[derive(Default)]
struct World {
    faults: Mutex<Vec<String>>,
    /// Each failure and panic that happened, and where.
    injected: Mutex<Vec<(String, Place)>>,
    parts: Mutex<Vec<Arc<Part>>>,
    /// The guards alive in each task, the innermost last.
    open_guards: Mutex<Vec<Vec<usize>>>,
    next: AtomicUsize,
    clean_ups: AtomicUsize,
    expired: AtomicUsize,
    /// Nothing happens while a part looks around: there is one thread.
    alone: bool,
}

impl World {
    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap()
    }

    fn complain(&self, fault: String) {
        self.lock(&self.faults).push(fault);
    }

    fn is_busy(&self) -> bool {
        let running = self.lock(&self.parts).iter().any(|part| part.state() == State::Running);
        running || !self.lock(&self.open_guards).iter().all(Vec::is_empty)
    }

    fn new_task(&self) -> usize {
        let mut guards = self.lock(&self.open_guards);
        guards.push(Vec::new());
        guards.len() - 1
    }
}

/// A scope, a nursery, something that owes clean-up, or something that may be dropped.
struct Part {
    name: String,
    kind: Kind,
    state: Mutex<State>,
    outcomes: AtomicUsize,
    /// Set if it is a [`Plan::Drop`] whose time came.
    dropped: AtomicBool,
    /// Whether something around it in the same task was dropped, or a panic went through it.
    excused: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Scope,
    Nursery,
    Owes,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    Ended,
    /// It was dropped before it had ended.
    Gone,
}

impl Part {
    fn state(&self) -> State {
        *self.state.lock().unwrap()
    }

    /// Each part has one outcome, unless it was dropped.
    fn check_end(&self, world: &World) {
        let (state, outcomes, excused) =
            (self.state(), self.outcomes.load(Ordering::Relaxed), self.excused.load(Ordering::Relaxed));
        let fine = match state {
            State::Running => false,
            State::Ended => outcomes == 1,
            // A scope may drop scopes; but it must let nurseries and clean-up come to their ends.
            State::Gone => outcomes == 0 && (excused || matches!(self.kind, Kind::Scope | Kind::Drop)),
        };
        if !fine {
            world.complain(format!("{} is {state:?} with {outcomes} outcomes", self.name));
        }
    }
}

/// Where in the tree code runs.
#[derive(Clone)]
struct Place {
    world: Arc<World>,
    scopes: Vec<CancelScope>,
    around: Vec<(Arc<Part>, Via)>,
    task: usize,
    shielded: bool,
    /// The handles of the nearest nursery's tasks, as far as this code may join them.
    joinable: (Handles, usize),
}

type Handles = Arc<Mutex<Vec<Option<Task<()>>>>>;

/// Whether code is in the body of a part, or in a task of it.
#[derive(Clone, Copy, PartialEq)]
enum Via {
    Body,
    Task,
}

impl Place {
    fn root(world: Arc<World>, scope: CancelScope) -> Self {
        let task = world.new_task();
        Self { world, scopes: vec![scope], around: Vec::new(), task, shielded: false, joinable: Default::default() }
    }

    /// Enters a new part. The mark notes its end.
    fn enter(&self, kind: Kind) -> (Self, Mark) {
        let number = self.world.next.fetch_add(1, Ordering::Relaxed);
        let part = Arc::new(Part {
            name: format!("{kind:?} {number}"),
            kind,
            state: Mutex::new(State::Running),
            outcomes: AtomicUsize::new(0),
            dropped: AtomicBool::new(false),
            excused: AtomicBool::new(false),
        });
        self.world.lock(&self.world.parts).push(part.clone());
        let mut place = self.clone();
        place.around.push((part.clone(), Via::Body));
        (place.clone(), Mark { part, place })
    }

    /// Says where a new task of the innermost part is.
    fn in_task(&self) -> Self {
        let mut place = self.clone();
        if let Some((_, via)) = place.around.last_mut() {
            *via = Via::Task;
        }
        place.task = self.world.new_task();
        place
    }

    /// The parts around, from the inside out, as far as they hold this code.
    fn holders(&self) -> impl Iterator<Item = &Arc<Part>> {
        let detached = |(part, via): &&(Arc<Part>, Via)| *via == Via::Task && part.state() == State::Gone;
        self.around.iter().rev().take_while(move |entry| !detached(entry)).map(|(part, _)| part)
    }

    /// Nothing runs in a part that has ended.
    fn check(&self) {
        for part in self.holders().filter(|part| part.state() != State::Running) {
            self.world.complain(format!("something runs in {}, which is {:?}", part.name, part.state()));
        }
    }

    /// After a wait: nothing goes on in a cancelled scope.
    fn check_wait(&self) {
        self.check();
        if self.world.alone && CancelScope::current().is_some_and(|scope| scope.cancel_called()) {
            self.world.complain("something went on after its scope had been cancelled".into());
        }
    }

    /// No error names a deadline that has not passed.
    fn check_expired(&self, scope: &CancelScope) {
        self.world.expired.fetch_add(1, Ordering::Relaxed);
        if scope.deadline().is_none_or(|at| Instant::now() < at) {
            self.world.complain(format!("cancelled by the deadline {:?}, which has not passed", scope.deadline()));
        }
    }

    /// Returns whether an enclosing [`Plan::Drop`], in any task, dropped the purpose of this code.
    fn was_dropped(&self) -> bool {
        self.around.iter().any(|(part, _)| part.dropped.load(Ordering::Relaxed))
    }

    fn is_dropped_in_this_task(&self) -> bool {
        let here = self.around.iter().rev().take_while(|(_, via)| *via == Via::Body);
        here.into_iter().any(|(part, _)| part.dropped.load(Ordering::Relaxed))
    }

    fn inject(&self, what: &str) -> String {
        let text = format!("{what} {}", self.world.next.fetch_add(1, Ordering::Relaxed));
        self.world.lock(&self.world.injected).push((text.clone(), self.clone()));
        text
    }

    fn guard(&self) -> Guard {
        let number = self.world.next.fetch_add(1, Ordering::Relaxed);
        self.world.lock(&self.world.open_guards)[self.task].push(number);
        Guard { place: self.clone(), number }
    }
}

/// Notes the end of a part.
struct Mark {
    part: Arc<Part>,
    place: Place,
}

impl Mark {
    fn end(self) {
        self.part.outcomes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let ended = self.part.outcomes.load(Ordering::Relaxed) > 0;
        *self.part.state.lock().unwrap() = if ended { State::Ended } else { State::Gone };
        // A panic ends clean-up like a drop; but it does not get out of a nursery.
        let panics = std::thread::panicking() && self.part.kind != Kind::Nursery;
        self.part.excused.store(panics || self.place.is_dropped_in_this_task(), Ordering::Relaxed);
    }
}

/// Is dropped once, after all guards that were made later in the same task.
struct Guard {
    place: Place,
    number: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let world = &self.place.world;
        let last = world.lock(&world.open_guards)[self.place.task].pop();
        if last != Some(self.number) {
            world.complain(format!("guard {} is dropped when {last:?} should be", self.number));
        }
        self.place.check();
    }
}

fn act(plan: Plan, place: Place) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
    Box::pin(async move {
        let _guard = place.guard();
        place.check();
        match plan {
            Plan::Sleep(ms) => wait(ms, &place).await,
            Plan::Forever if place.shielded => wait(50, &place).await,
            Plan::Forever => pending().await,
            Plan::Cancel(which) => place.scopes[which % place.scopes.len()].cancel(),
            Plan::CancelCurrent => CancelScope::current().unwrap_or_default().cancel(),
            Plan::Fail => return Err(Error::from_boxed(place.inject("failure").into())),
            // The same as a panic, but without a report on standard error.
            Plan::Panic => std::panic::resume_unwind(Box::new(place.inject("panic"))),
            Plan::Join { shielded } => return join(shielded, &place).await,
            Plan::Sequence(parts) => {
                for part in parts {
                    act(part, place.clone()).await?;
                }
            }
            Plan::Shield(inner) => {
                let place = Place { shielded: true, ..place.clone() };
                return shield(act(*inner, place)).await;
            }
            Plan::Scope(ms, inner) => {
                let (mut place, mark) = place.enter(Kind::Scope);
                let deadline = ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                let scope = deadline.map_or_else(CancelScope::new, CancelScope::with_deadline);
                place.scopes.push(scope.clone());
                let ended = scope.run(act(*inner, place.clone())).await;
                mark.end();
                if is_cancelled(&ended, &Cancelled::Deadline) {
                    place.check_expired(&scope);
                }
                return absorb(ended.and_then(|inner| inner));
            }
            Plan::Owes(inner) => return owe(*inner, &place).await,
            Plan::Drop(ms, inner) => {
                let (place, mark) = place.enter(Kind::Drop);
                let mut running = act(*inner, place);
                let ended = tokio::select! {
                    biased;
                    ended = &mut running => ended,
                    () = sleep(Duration::from_millis(ms)) => {
                        mark.part.dropped.store(true, Ordering::Relaxed);
                        Ok(())
                    }
                };
                drop(running);
                mark.end();
                return ended;
            }
            Plan::Nursery { tasks, body } => return nurse(tasks, *body, &place).await,
        }
        Ok(())
    })
}

async fn wait(ms: u64, place: &Place) {
    match ms {
        0 => yield_now().await,
        ms => sleep(Duration::from_millis(ms)).await,
    }
    place.check_wait();
}

async fn join(shielded: bool, place: &Place) -> Result<()> {
    let (handles, limit) = &place.joinable;
    let task = handles.lock().unwrap().iter_mut().take(*limit).find_map(Option::take);
    match task {
        Some(task) if shielded => shield(task.join()).await,
        Some(task) => task.join().await,
        None => Ok(()),
    }
}

async fn owe(inner: Plan, place: &Place) -> Result<()> {
    checkpoint()?;
    let (place, mark) = place.enter(Kind::Owes);
    let _shield = Shield::enter();
    let (scope, inside) = (CancelScope::of_primitive(), place.clone());
    let ended = shield(scope.run(act(inner, inside))).await;
    shield(wait(10, &place)).await;
    place.world.clean_ups.fetch_add(1, Ordering::Relaxed);
    mark.end();
    drop(place);
    match ended {
        Ok(ended) => ended,
        Err(cancelled) => checkpoint().and(Err(cancelled)),
    }
}

async fn nurse(tasks: Vec<Plan>, body: Plan, place: &Place) -> Result<()> {
    checkpoint()?;
    let (place, mark) = place.enter(Kind::Nursery);
    let handles = Handles::default();
    let outcome = open_task_nursery(async |t| {
        for (number, task) in tasks.into_iter().enumerate() {
            let joinable = (handles.clone(), number);
            let task = t.spawn(act(task, Place { joinable, ..place.in_task() }))?;
            // Every third one is let go.
            handles.lock().unwrap().push(Some(task).filter(|_| number % 3 != 2));
        }
        let joinable = (handles.clone(), usize::MAX);
        act(body, Place { joinable, ..place.clone() }).await
    })
    .await;
    mark.end();
    absorb(outcome)
}

/// Goes on after a cancellation that does not concern the code around.
fn absorb(ended: Result<()>) -> Result<()> {
    match ended {
        Err(error) if error.is_cancelled() && checkpoint().is_ok() => Ok(()),
        ended => ended,
    }
}
