//! Quinn's background tasks, with an owner.
//!
//! Quinn spawns one task per endpoint and one per connection, and lets each run until its work is done. After a
//! connection is closed that takes three probe time-outs, three seconds if the peer never answered, and it keeps the
//! socket open. And the message that tells the peer goes out only when the task is polled next, which is never if the
//! program leaves right after the drop. So the tasks are spawned through here: a [`Driver`] holds the future beside its
//! task, and the owner of the endpoint or the connection ends it, after one last poll that sends the pending datagrams.
//!
//! # What must stay true
//! 1. A driver's lock is held while its future is polled, so an end waits for a poll that is under way
//!    on another thread. Quinn's futures end no driver and run no code of ours but wakers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use pleach_wire::sync::lock;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Spawns quinn's tasks for one endpoint, on the runtime that it was made on.
#[derive(Debug)]
pub(crate) struct Drivers {
    latest: Mutex<Option<Driver>>,
}

/// One of quinn's tasks. Dropping it ends the task before the drop returns.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared(Mutex<State>);

struct State {
    /// Nothing once the work is done or ended.
    work: Option<Work>,
    task: Option<Waker>,
}

impl Drivers {
    pub(crate) fn new() -> Self {
        Self { latest: Mutex::new(None) }
    }

    /// Takes the driver that the last call into quinn spawned: making an endpoint, connecting and accepting spawn one.
    pub(crate) fn take_latest(&self) -> Option<Driver> {
        lock(&self.latest).take()
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(deadline)
    }

    fn spawn(&self, work: Work) {
        let shared = Arc::new(Shared(Mutex::new(State { work: Some(work), task: None })));
        #[expect(clippy::disallowed_methods, reason = "its owner is the Driver, which ends it when dropped")]
        tokio::spawn(Turns(shared.clone()));
        let driver = Driver { shared, runtime: Handle::current() };
        *lock(&self.latest) = Some(driver);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> std::io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

impl Driver {
    /// Polls the task's work once, now: it sends pending datagrams. For owners that end it right after, because the
    /// work forgets its waker.
    pub(crate) fn turn(&self) {
        // A timer may have to be made, and this may be another thread, or another runtime's.
        let _runtime = self.runtime.enter();
        // The budget of the task that calls must not keep the last word back.
        let mut turn = tokio::task::unconstrained(std::future::poll_fn(|cx| self.shared.poll(cx)));
        // Whether the work is done makes no difference: it is ended next.
        let _ = Pin::new(&mut turn).poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.turn();
        let (work, task) = {
            let mut state = self.shared.state();
            (state.work.take(), state.task.take())
        };
        drop(work);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// The task that the runtime polls. If the runtime ends first, the work ends with it.
struct Turns(Arc<Shared>);

impl Future for Turns {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        drop(state);
        self.0.poll(cx)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let work = self.0.state().work.take();
        drop(work);
    }
}

impl Shared {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let polled = state.work.as_mut().map_or(Poll::Ready(()), |work| work.as_mut().poll(cx));
        if polled.is_ready() {
            state.work = None;
        }
        polled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
