//! What `src/sync.rs` names, in loom's versions.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::{Mutex, MutexGuard};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// As tokio's, as far as its documentation goes: who has begun to listen is woken by the next call.
pub(crate) struct Notify(Mutex<State>);

struct State {
    calls: usize,
    waiting: Vec<Waker>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { calls: 0, waiting: Vec::new() }))
    }

    pub(crate) fn notify_waiters(&self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.calls += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, heard: None }
    }
}

/// Listens from when it is enabled or polled.
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    heard: Option<usize>,
}

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) {
        let calls = lock(&self.notify.0).calls;
        self.heard.get_or_insert(calls);
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.as_mut().enable();
        let mut state = lock(&self.notify.0);
        if self.heard != Some(state.calls) {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
