//! Many calls in a pool, and the stream of their results.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

use super::Pool;
use super::call::run;
use crate::error::Result;
use crate::retry::Options;
use crate::rpc::call::Call;

impl Pool {
    /// Runs a call for each item, and yields the number of each item with its result, in the order in which they come.
    ///
    /// It takes items from the iterator as workers have room for them; while it is not polled, it takes none. Dropping it
    /// cancels what is under way. `call` is asked for the call of an item once, also if that is tried again.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// #[pleach::rpc]
    /// async fn square(n: u64) -> Result<u64> {
    ///     Ok(n * n)
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let pool = n.start_actor("worker").enable(module_path!()).pool(2).await?;
    ///     let mut squares = pool.map_unordered(1..=100, square);
    ///     let mut sum = 0;
    ///     while let Some((number, square)) = squares.next().await {
    ///         match square {
    ///             Ok(square) => sum += square,
    ///             Err(error) => println!("item {number}: {error}"),
    ///         }
    ///     }
    ///     assert_eq!(sum, 338_350);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn map_unordered<'a, I, T, F>(&self, items: I, call: F) -> Results<'a, (usize, Result<T>)>
    where
        I: IntoIterator<IntoIter: Send + 'a> + 'a,
        F: FnMut(I::Item) -> Call<T> + Send + 'a,
        T: Send + 'a,
    {
        let pool = self.clone();
        let running = self.calls(items, call).enumerate().map(move |(number, call)| {
            let pool = pool.clone();
            async move { (number, run(&pool.0, None, call, Options::default()).await) }
        });
        Results(stream::iter(running).buffer_unordered(self.0.board.places()).boxed())
    }

    /// As [`map_unordered`](Self::map_unordered), but yields the results in the order of the items.
    ///
    /// A result waits for those before it. Twice as many items as workers have room for are under way or wait.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// # #[pleach::rpc]
    /// # async fn square(n: u64) -> Result<u64> {
    /// #     Ok(n * n)
    /// # }
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// use futures_util::TryStreamExt as _;
    ///
    /// pleach::open_nursery(async |n| {
    ///     let pool = n.start_actor("worker").enable(module_path!()).pool(2).await?;
    ///     let squares: Vec<u64> = pool.map(1..=4, square).try_collect().await?;
    ///     assert_eq!(squares, [1, 4, 9, 16]);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn map<'a, I, T, F>(&self, items: I, call: F) -> Results<'a, Result<T>>
    where
        I: IntoIterator<IntoIter: Send + 'a> + 'a,
        F: FnMut(I::Item) -> Call<T> + Send + 'a,
        T: Send + 'a,
    {
        let pool = self.clone();
        let running = self.calls(items, call).map(move |call| {
            let pool = pool.clone();
            async move { run(&pool.0, None, call, Options::default()).await }
        });
        Results(stream::iter(running).buffered(2 * self.0.board.places()).boxed())
    }

    /// Returns the calls of the items, up to the end of the pool.
    fn calls<I, T, F>(&self, items: I, call: F) -> impl Iterator<Item = Call<T>> + use<I, T, F>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> Call<T>,
    {
        let (shared, mut items) = (self.0.clone(), items.into_iter());
        std::iter::from_fn(move || if shared.is_closed() { None } else { items.next() }).map(call)
    }
}

/// The results of the items of [`Pool::map`] or [`Pool::map_unordered`]: a [`Stream`]. Nothing runs unless it is polled.
///
/// Dropping it cancels the calls that are under way; their values are lost.
#[must_use = "nothing runs unless it is polled"]
pub struct Results<'a, R>(BoxStream<'a, R>);

impl<R> Results<'_, R> {
    /// Waits for the next result; none when all items have theirs.
    ///
    /// # Cancel safety
    /// Nothing is lost: what is under way stays so.
    pub async fn next(&mut self) -> Option<R> {
        self.0.next().await
    }
}

impl<R> Stream for Results<'_, R> {
    type Item = R;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        self.0.poll_next_unpin(cx)
    }
}

impl<R> fmt::Debug for Results<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Results")
    }
}
