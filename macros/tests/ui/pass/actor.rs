//! Every shape of method that can be exposed, in a crate without unsafe code and without warnings.

#![forbid(unsafe_code)]
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]

use bytes::Bytes;
use futures_util::{Stream, stream};
use pleach::{
    Context, Handle, Me, MethodCall, MethodContext, MethodStream, New, Nursery, Result, StopReason, StreamSender,
};

/// Types keep their visibility, and paths may be written out.
mod inner {
    /// Has a state without a value.
    pub(crate) struct Empty;

    #[pleach::actor]
    impl Empty {
        /// Makes it.
        pub(crate) async fn new() -> pleach::Result<Self> {
            Ok(Self)
        }

        /// Goes on.
        pub(crate) async fn next(&self, me: Option<pleach::Handle<Empty>>) -> pleach::Result<Option<pleach::Handle<Self>>> {
            Ok(me)
        }
    }
}

/// A raw name, many arguments, and lints that are about the body.
#[allow(non_camel_case_types)]
struct r#move(u8);

#[pleach::actor]
impl r#move {
    #[expect(clippy::too_many_arguments)]
    async fn new(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> Result<Self> {
        Ok(Self(a + b + c + d + e + f + g + h))
    }

    pub(crate) async fn is(&self, other: u8) -> Result<bool> {
        Ok(self.0 == other)
    }
}

/// Counts.
struct Counter {
    value: i64,
}

/// A type of the same methods beside it.
enum Other {
    Only,
}

#[pleach::actor]
impl Counter {
    const STEP: i64 = 1;

    /// Any error will do, and arguments may change.
    #[allow(clippy::unused_async)]
    async fn new(mut from: i64) -> anyhow::Result<Self> {
        anyhow::ensure!(from < 1000, "enough");
        from += Self::STEP;
        Ok(Counter { value: from })
    }

    pub(crate) async fn add(&mut self, n: i64) -> Result<i64> {
        self.value += n;
        self.get().await.map_err(pleach::Error::from_boxed)
    }

    /// An error of its own, and a raw name.
    #[must_use]
    pub(crate) async fn get(&self) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.value)
    }

    pub(crate) async fn r#type(&self, r#match: String) -> Result<String> {
        Ok(r#match)
    }

    pub(crate) async fn echo(&self, bytes: Bytes) -> Result<Bytes> {
        Ok(bytes)
    }

    pub(crate) async fn now_and_then(me: Me<Self>, n: i64) -> Result<i64> {
        me.write().await?.add(n).await
    }

    pub(crate) fn up(&self, to: i64) -> impl Stream<Item = Result<i64>> {
        stream::iter((self.value..to).map(Ok))
    }

    pub(crate) fn up_too(&self) -> impl Stream<Item = Result<i64>> + Send + use<> {
        stream::iter([Ok(self.value)])
    }

    pub(crate) async fn told(me: Me<Self>, out: &mut StreamSender<i64>) -> Result<()> {
        let now = me.read().await?.value;
        out.send(now).await
    }

    pub(crate) async fn dialog(me: Me<Self>, ctx: &mut Context<i64, (), ()>, n: i64) -> anyhow::Result<i64> {
        let now = me.read().await?.value;
        ctx.started(now).await?;
        Ok(n)
    }

    #[deprecated]
    pub(crate) async fn old(&self) -> Result<()> {
        self.helper(&mut 1);
        Ok(())
    }

    #[cfg(any())]
    pub(crate) async fn not_in_this_build(&self) -> Missing {}

    fn helper(&self, borrowed: &mut i64) {
        *borrowed += self.value;
    }

    async fn stopping(self, why: StopReason) {
        drop((self.value, why));
    }
}

#[pleach::actor]
impl Other {
    async fn new() -> Result<Other> {
        Ok(Other::Only)
    }

    async fn stopping(self) {}
}

fn send<T: Send + 'static>(value: T) -> T {
    value
}

async fn uses(n: Nursery) -> Result<()> {
    let new: New<Counter> = Counter::new(1);
    let counter: Handle<Counter> = n.start(new).name("counter").transport("uds").await?;
    let added: MethodCall<i64> = send(counter.add(1));
    let up: MethodStream<i64> = counter.up(7);
    let dialog: MethodContext<i64, (), (), i64> = counter.dialog(7);
    let (_, _) = (added.await?, counter.get().await?);
    up.open(async |mut numbers| numbers.recv().await).await?;
    dialog.open(async |ctx, _first| ctx.result().await).await?;
    counter.r#type("a".into()).await?;
    counter.echo(Bytes::new()).await?;
    counter.now_and_then(1).await?;
    counter.up_too().buffer(1).open(async |mut numbers| numbers.recv().await).await?;
    counter.told().open(async |mut numbers| numbers.recv().await).await?;
    #[expect(deprecated)]
    counter.old().await?;
    n.start(inner::Empty::new()).await?.next(None).await?;
    n.start(Other::new()).await?;
    n.start(r#move::new(1, 2, 3, 4, 5, 6, 7, 8)).await?.is(36).await?;
    Handle::stop(&counter.clone()).await
}

fn main() {
    let _uses = uses;
    let _is_send = |n| send(uses(n));
}
