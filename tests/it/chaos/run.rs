//! A plan is carried out: by the root in its own process, and by each actor for what grows below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use pleach::prelude::*;
use rustix::net::{Shutdown, SocketAddrAny, getpeername, getsockname, shutdown};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open};
use tokio::sync::Notify;

use super::log::{Ledger, Log};
use super::plan::{Deed, Limb};

/// What every planned failure and panic says.
pub(super) const ON_PURPOSE: &str = "on purpose";

/// Grows actors, works with all of them, and ends them.
#[pleach::rpc]
pub(super) async fn grow(limbs: Vec<Limb>, dir: String) -> Result<()> {
    let drop_all = Arc::new(Notify::new());
    let tree = pleach::open_nursery(async |n| {
        let limbs = limbs.into_iter().map(|limb| Grower::start(&n, limb, &dir, &drop_all));
        try_join_all(limbs).await.map(drop)
    });
    tokio::select! {
        ended = tree => ended,
        () = drop_all.notified() => Ok(()),
    }
}

/// Acknowledges numbers, having written down each.
#[pleach::context]
async fn acknowledges(ctx: &mut Context<(), u64, u64>, dir: String, limb: String) -> anyhow::Result<u64> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let (taken, mut count) = (Log::append(&dir, &limb, "taken"), 0);
    while let Some(number) = stream.recv().await? {
        match number {
            FAIL => anyhow::bail!(ON_PURPOSE),
            PANIC => panic!("{ON_PURPOSE}"),
            _ => taken.write(&number),
        }
        stream.send(number).await?;
        count += 1;
    }
    Ok(count)
}

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

/// What a parent does with one of its limbs.
struct Grower<'a> {
    limb: Limb,
    dir: &'a str,
    portal: Portal,
    ledger: Ledger,
    /// Around everything.
    scope: CancelScope,
    drop_all: &'a Notify,
    /// The limb has been abandoned: later failures are expected.
    given_up: AtomicBool,
}

impl<'a> Grower<'a> {
    async fn start(nursery: &Nursery, limb: Limb, dir: &'a str, drop_all: &'a Notify) -> Result<()> {
        let ledger = Ledger::new(dir, &limb.name);
        let start = nursery.start_actor(&limb.name).enable(module_path!()).into_future();
        let portal = ledger.enter("start", start).await?;
        let (scope, given_up) = (CancelScope::new(), AtomicBool::new(false));
        let grower = Grower { limb, dir, portal, ledger, scope, drop_all, given_up };
        match grower.scope.run(grower.work()).await {
            Err(_) if grower.scope.cancel_called() => {}
            Ok(Err(_)) if grower.given_up.load(Ordering::Relaxed) => {}
            ended => ended.and_then(|ended| ended)?,
        }
        let ended = grower.ledger.enter("end", grower.portal.cancel_actor()).await;
        // Its nursery makes it end.
        ended.or_else(|error| if matches!(error, Error::ActorTooSlow { .. }) { Ok(()) } else { Err(error) })
    }

    async fn work(&self) -> Result<()> {
        tokio::try_join!(self.call(), self.stream(), self.branch())?;
        Ok(())
    }

    async fn call(&self) -> Result<()> {
        for n in 0..self.limb.calls {
            assert_eq!(self.ledger.enter("call", self.portal.run(add(n, 1))).await?, n + 1);
        }
        Ok(())
    }

    async fn branch(&self) -> Result<()> {
        if self.limb.below.is_empty() {
            return Ok(());
        }
        let grown = self.portal.run(grow(self.limb.below.clone(), self.dir.to_owned()));
        self.ledger.enter("branch", grown).await
    }

    async fn stream(&self) -> Result<()> {
        let call = acknowledges(self.dir.to_owned(), self.limb.name.clone());
        self.ledger.enter("context", self.portal.open_context(call, async |ctx, ()| self.numbers(&ctx).await)).await
    }

    /// Sends numbers, some of them ahead of their acknowledgements.
    async fn numbers(&self, ctx: &OpenContext<(), u64, u64, u64>) -> Result<()> {
        let mut stream = ctx.open_stream().await?;
        let (acked, count) = (Log::append(self.dir, &self.limb.name, "acked"), self.limb.messages);
        for number in 0..count + AHEAD {
            if number < count {
                self.ledger.enter("send", stream.send(number)).await?;
            }
            let Some(due) = number.checked_sub(AHEAD) else { continue };
            match self.ledger.enter("recv", stream.recv()).await? {
                Some(ack) => acked.write(&ack),
                // The end of a failed function's stream may be here before its error.
                None => panic!("the acknowledgements ended: {:?}", ctx.result().await?),
            }
            if let Some(strike) = self.limb.strike.filter(|strike| strike.after == due)
                && !self.strike(strike.deed, ctx, &stream).await?
            {
                return Ok(());
            }
        }
        stream.close().await?;
        assert_eq!(self.ledger.enter("result", ctx.result()).await?, count);
        Ok(())
    }

    /// Does what was planned; returns whether the context goes on.
    async fn strike(
        &self,
        deed: Deed,
        ctx: &OpenContext<(), u64, u64, u64>,
        stream: &MsgStream<u64, u64>,
    ) -> Result<bool> {
        let pid = self.portal.id().pid();
        match deed {
            Deed::CancelScope => {
                self.scope.cancel();
                std::future::pending().await
            }
            Deed::CancelContext => {
                self.ledger.enter("cancel", ctx.cancel()).await?;
                return Ok(false);
            }
            Deed::CancelActor => {
                self.given_up.store(true, Ordering::Relaxed);
                self.ledger.enter("cancel_actor", self.portal.cancel_actor()).await?;
                return Ok(false);
            }
            Deed::DropNursery => {
                self.drop_all.notify_one();
                std::future::pending().await
            }
            Deed::BodyFails => return Err(Error::Usage(ON_PURPOSE.into())),
            Deed::BodyPanics => panic!("{ON_PURPOSE}"),
            Deed::CalleeFails => stream.send(FAIL).await?,
            Deed::CalleePanics => stream.send(PANIC).await?,
            Deed::Kill => signal(pid, Signal::KILL),
            Deed::Stop => {
                stop(pid).await;
                self.given_up.store(true, Ordering::Relaxed);
                return Err(Error::Usage(format!("{} was stopped", self.limb.name)));
            }
            Deed::StopAndContinue => {
                stop(pid).await;
                let waited = move_on_after(Duration::from_millis(20), self.portal.run(add(1, 1))).await;
                assert!(!matches!(waited, Some(Ok(_))), "a stopped process answered");
                signal(pid, Signal::CONT);
            }
            Deed::Cut => cut(pid),
        }
        Ok(true)
    }
}

/// Signals a process, which may have ended in the meantime.
fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

/// Stops a process, and waits until it has stopped: it may be running meanwhile.
async fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let lives = |stat: &str| [") R", ") S", ") D"].iter().any(|state| stat.contains(state));
    while lives(&stat()) {
        tokio::task::yield_now().await;
    }
}

/// Shuts down every connection that a process has.
///
/// A socket with an address at neither end is a pair that the process made for itself.
fn cut(pid: u32) {
    let Ok(process) = pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()) else { return };
    let Ok(numbers) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for number in numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let Ok(fd) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let addressed = |address: &SocketAddrAny| address.addr_len() > 2;
        let Ok(Some(peer)) = getpeername(&fd) else { continue };
        if addressed(&peer) || getsockname(&fd).is_ok_and(|here| addressed(&here)) {
            let _ = shutdown(&fd, Shutdown::Both); // it has ended in the meantime
        }
    }
}

/// Numbers that no plan reaches: they tell the context's function what to do.
const FAIL: u64 = u64::MAX;
const PANIC: u64 = u64::MAX - 1;

/// How many numbers are under way.
const AHEAD: u64 = 10;
