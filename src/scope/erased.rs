//! The future of a block behind a pointer, so that the types of programs do not grow with their nesting.
//!
//! The future of a block is a dozen types deep, and the body of a block may have a block in it. A few of them, one in
//! the other, are too deep for the compiler: for the layout of the outermost, which any box would stop, and for the
//! proof that it is `Send`, which looks into a box too, unless that hides the type of the future. A hidden type is
//! `Send` or not, but a block's depends on its body: so here visible types carry that.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of a block, of a hidden type. It is `Send` if its value is, and the body `F`, and the body's future, and
/// the body's argument.
pub(crate) struct Erased<'a, T, F, Fut, First = ()> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    parts: PhantomData<(F, Fut, First)>,
}

impl<'a, T, F, Fut, First> Erased<'a, T, F, Fut, First> {
    /// Hides the type of `future`.
    ///
    /// # Safety
    /// `future` is `Send` if the type parameters are. A generic function, beside the call, has the compiler check that.
    #[expect(unsafe_code, reason = "the code that hides the type has to promise what it would say")]
    pub(crate) unsafe fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), parts: PhantomData }
    }
}

// SAFETY: its constructor's caller has promised that.
#[expect(unsafe_code, reason = "see `new`")]
unsafe impl<T: Send, F: Send, Fut: Send, First: Send> Send for Erased<'_, T, F, Fut, First> {}

// The future stays where it is when this moves.
impl<T, F, Fut, First> Unpin for Erased<'_, T, F, Fut, First> {}

impl<T, F, Fut, First> Future for Erased<'_, T, F, Fut, First> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.future.as_mut().poll(cx)
    }
}
