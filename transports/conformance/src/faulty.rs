//! Links that misbehave, on top of any protocol.
//!
//! [`Faulty`] wraps the links that a protocol dials and accepts. What [`Plan::Split`], [`Plan::Delay`],
//! [`Plan::Stall`] and [`Plan::OneByte`] do, a network may do at any time, and everything must hold over
//! them. [`Plan::Cut`] and [`Plan::Reset`] break the dialer's end. A seed decides when; no clock is read.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use pleach_wire::{Address, Link, Listener, Protocol, Reach, Settings, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How links misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// Reads and writes carry less than they could, often a few bytes.
    Split,
    /// Reads and writes carry one byte.
    OneByte,
    /// Every other read, write or shutdown has to be polled again.
    Delay,
    /// Now and then nothing moves for many polls.
    Stall,
    /// The dialer's end is gone once it has written this many bytes.
    Cut {
        /// Bytes that still leave.
        after: u64,
    },
    /// The dialer's end reports a reset once it has read this many bytes.
    Reset {
        /// Bytes that are still read.
        after: u64,
    },
}

/// A protocol whose links misbehave.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Protocol>,
    plan: Plan,
    seeds: Arc<AtomicU64>,
}

impl Faulty {
    /// Wraps `inner`. Links get seeds of their own, in the order in which they are made.
    pub fn new(inner: Arc<dyn Protocol>, plan: Plan, seed: u64) -> Self {
        Self { inner, plan, seeds: Arc::new(AtomicU64::new(seed)) }
    }
}

#[async_trait::async_trait]
impl Protocol for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn reach(&self) -> Reach {
        self.inner.reach()
    }

    fn needs_tls(&self) -> bool {
        self.inner.needs_tls()
    }

    fn any_address(&self, settings: &Settings) -> Address {
        self.inner.any_address(settings)
    }

    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError> {
        let link = self.inner.dial(address, settings).await?;
        Ok(match self.plan {
            Plan::Cut { after } => breaking(link, u64::MAX, after),
            Plan::Reset { after } => breaking(link, after, u64::MAX),
            plan => hindered(link, plan, &self.seeds),
        })
    }

    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.listen(address, settings).await?;
        Ok(match self.plan {
            Plan::Cut { .. } | Plan::Reset { .. } => inner,
            plan => Box::new(FaultyListener { inner, plan, seeds: self.seeds.clone() }),
        })
    }
}

struct FaultyListener {
    inner: Box<dyn Listener>,
    plan: Plan,
    seeds: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl Listener for FaultyListener {
    fn local_address(&self) -> &Address {
        self.inner.local_address()
    }

    async fn accept(&mut self) -> Result<Link, TransportError> {
        Ok(hindered(self.inner.accept().await?, self.plan, &self.seeds))
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

fn hindered(link: Link, plan: Plan, seeds: &AtomicU64) -> Link {
    let hindrance = || Hindrance { plan, random: Random::new(seeds.fetch_add(1, Ordering::Relaxed)), stalled: 0 };
    Link {
        reader: Box::new(Hindered { half: link.reader, by: hindrance() }),
        writer: Box::new(Hindered { half: link.writer, by: hindrance() }),
        ..link
    }
}

fn breaking(link: Link, readable: u64, writable: u64) -> Link {
    let whole = Whole { reader: link.reader, writer: link.writer, readable, writable };
    let shared = Arc::new(Mutex::new(Breaking { whole: Some(whole), reading: None }));
    Link { reader: Box::new(BreakingHalf(shared.clone())), writer: Box::new(BreakingHalf(shared)), ..link }
}

/// One half of a link with obstacles in its way.
struct Hindered<T> {
    half: T,
    by: Hindrance,
}

struct Hindrance {
    plan: Plan,
    random: Random,
    stalled: u32,
}

impl Hindrance {
    /// Ready when the operation may go on now; otherwise the task is woken to try again.
    fn poll_pass(&mut self, cx: &Context<'_>) -> Poll<()> {
        let held = match self.plan {
            Plan::Delay => self.random.below(2) == 0,
            Plan::Stall if self.stalled > 0 => {
                self.stalled -= 1;
                true
            }
            Plan::Stall if self.random.below(8) == 0 => {
                self.stalled = 50;
                true
            }
            _ => false,
        };
        if held {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// How many of `available` bytes move in one go: any number is as likely to be tiny as huge.
    fn portion(&mut self, available: usize) -> usize {
        let most = match self.plan {
            Plan::OneByte => 1,
            Plan::Split => {
                let magnitude = self.random.below(17);
                1 + self.random.below(1 << magnitude)
            }
            _ => return available,
        };
        available.min(usize::try_from(most).unwrap())
    }
}

impl AsyncRead for Hindered<Box<dyn AsyncRead + Send + Unpin>> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.by.poll_pass(cx));
        let portion = self.by.portion(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(portion));
        std::task::ready!(Pin::new(&mut self.half).poll_read(cx, &mut part))?;
        let filled = part.filled().len();
        buf.advance(filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hindered<Box<dyn AsyncWrite + Send + Unpin>> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.by.poll_pass(cx));
        let portion = self.by.portion(bytes.len());
        Pin::new(&mut self.half).poll_write(cx, &bytes[..portion])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.by.poll_pass(cx));
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}

/// A link that both halves share, until it breaks and is dropped.
struct Breaking {
    whole: Option<Whole>,
    reading: Option<Waker>,
}

struct Whole {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    readable: u64,
    writable: u64,
}

impl Breaking {
    fn whole(&mut self) -> io::Result<&mut Whole> {
        self.whole.as_mut().ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }

    fn snap(&mut self) {
        self.whole = None;
        if let Some(reading) = self.reading.take() {
            reading.wake();
        }
    }
}

struct BreakingHalf(Arc<Mutex<Breaking>>);

impl BreakingHalf {
    fn lock(&self) -> MutexGuard<'_, Breaking> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for BreakingHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut link = self.lock();
        let whole = link.whole()?;
        let portion = buf.remaining().min(usize::try_from(whole.readable).unwrap_or(usize::MAX));
        if portion == 0 {
            link.snap();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(portion));
        let polled = Pin::new(&mut whole.reader).poll_read(cx, &mut part);
        let filled = part.filled().len();
        whole.readable -= filled as u64;
        if polled.is_pending() {
            link.reading = Some(cx.waker().clone());
        }
        buf.advance(filled);
        polled
    }
}

impl AsyncWrite for BreakingHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut link = self.lock();
        let whole = link.whole()?;
        let portion = bytes.len().min(usize::try_from(whole.writable).unwrap_or(usize::MAX));
        if portion == 0 {
            link.snap();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = std::task::ready!(Pin::new(&mut whole.writer).poll_write(cx, &bytes[..portion]))?;
        whole.writable -= written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().whole()?.writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().whole()?.writer).poll_shutdown(cx)
    }
}

impl fmt::Debug for FaultyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyListener({}, {:?})", self.inner.local_address(), self.plan)
    }
}

/// A small generator (splitmix64): the same seed makes the same faults everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
