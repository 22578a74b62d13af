//! Blocks inside blocks, several of each kind, without a `recursion_limit`: this file compiles.
//!
//! The types of futures grow with what is inside them; see `scope/erased.rs`. Bodies that are `Send` stay so in blocks,
//! and those that are not, or borrow, can be run as well.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use pleach::prelude::*;
use pleach::{open_nursery, open_root, open_task_nursery};

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

#[pleach::context]
async fn echo(ctx: &mut Context<u64, u64, u64>) -> Result<u64> {
    ctx.started(0).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(number) = stream.recv().await? {
        stream.send(number).await?;
    }
    Ok(1)
}

#[pleach::stream]
async fn ones(out: &mut StreamSender<u64>) -> Result<()> {
    loop {
        out.send(1).await?;
    }
}

/// What is called from another actor has to be `Send`.
#[pleach::rpc]
async fn nests() -> Result<u64> {
    in_nurseries().await
}

const LONG: Duration = Duration::from_secs(60);

async fn in_nurseries() -> Result<u64> {
    open_nursery(async |_| {
        open_nursery(async |_| {
            open_nursery(async |_| {
                open_nursery(async |n| {
                    let portal = n.start_actor("below").enable(module_path!()).await?;
                    let sum = in_tasks(&portal).await?;
                    portal.cancel_actor().await?;
                    pleach::Ok(sum)
                })
                .await
            })
            .await
        })
        .await
    })
    .await
}

async fn in_tasks(portal: &Portal) -> Result<u64> {
    open_task_nursery(async |_| {
        open_task_nursery(async |_| {
            open_task_nursery(async |_| {
                open_task_nursery(async |t| {
                    let scopes = t.spawn(in_scopes())?;
                    pleach::Ok(in_contexts(portal).await? + scopes.join().await?)
                })
                .await
            })
            .await
        })
        .await
    })
    .await
}

async fn in_contexts(portal: &Portal) -> Result<u64> {
    portal
        .open_context(echo(), async |_, first| {
            portal
                .open_context(echo(), async |_, _| {
                    portal
                        .open_context(echo(), async |_, _| {
                            portal
                                .open_context(echo(), async |ctx, _| {
                                    let mut stream = ctx.open_stream().await?;
                                    stream.send(first + 1).await?;
                                    Ok(stream.recv().await?.unwrap_or_default() + in_streams(portal).await?)
                                })
                                .await
                        })
                        .await
                })
                .await
        })
        .await
}

async fn in_streams(portal: &Portal) -> Result<u64> {
    portal
        .open_stream_from(ones(), async |_| {
            portal
                .open_stream_from(ones(), async |_| {
                    portal
                        .open_stream_from(ones(), async |_| {
                            portal
                                .open_stream_from(ones(), async |mut stream| {
                                    let one = stream.recv().await?.unwrap_or_default();
                                    Ok(one + portal.run(add(0, 1)).await?)
                                })
                                .await
                        })
                        .await
                })
                .await
        })
        .await
}

async fn in_scopes() -> Result<u64> {
    let scopes = [(); 4].map(|()| CancelScope::new());
    let all = scopes[0].run(scopes[1].run(scopes[2].run(scopes[3].run(async {
        let in_deadlines = fail_after(LONG, fail_after(LONG, fail_after(LONG, fail_after(LONG, in_shields()))));
        in_deadlines.await
    }))));
    all.await????
}

async fn in_shields() -> Result<u64> {
    let late = move_on_after(LONG, move_on_after(LONG, move_on_after(LONG, async { 1 })));
    Ok(shield(shield(shield(shield(late)))).await.flatten().flatten().unwrap_or_default())
}

/// One of each kind in one of each kind, in one function.
async fn mixed() -> Result<u64> {
    let here = Rc::new(Cell::new(0));
    let text = String::from("borrowed");
    let config = Config { transport: "mem".into(), ..Config::default() };
    open_root(config, async |_| {
        let _not_sent = here.clone();
        CancelScope::new()
            .run(async {
                open_nursery(async |n| {
                    open_task_nursery(async |_| {
                        let portal = n.start_actor("peer").enable(module_path!()).await?;
                        portal
                            .open_context(echo(), async |_, first| {
                                fail_after(LONG, async {
                                    shield(async {
                                        portal
                                            .open_stream_from(ones(), async |mut stream| {
                                                open_nursery(async |_| {
                                                    open_task_nursery(async |_| {
                                                        here.set(first + stream.recv().await?.unwrap_or_default());
                                                        here.set(here.get() + text.len() as u64);
                                                        pleach::Ok(())
                                                    })
                                                    .await
                                                })
                                                .await
                                            })
                                            .await
                                    })
                                    .await
                                })
                                .await
                            })
                            .await?;
                        let nested = n.run_in_actor(nests()).await?;
                        here.set(here.get() + nested.result().await?);
                        portal.cancel_actor().await
                    })
                    .await
                })
                .await
            })
            .await?
    })
    .await?;
    Ok(here.get())
}

/// A block of the first kind with one of the next kind in it, and so on. The value counts them.
macro_rules! nested {
    ($portal:ident:) => { pleach::Ok(0) };
    ($portal:ident: nursery $($inner:tt)*) => {
        open_nursery(async |_| pleach::Ok(1 + nested!($portal: $($inner)*)?)).await
    };
    ($portal:ident: tasks $($inner:tt)*) => {
        open_task_nursery(async |_| pleach::Ok(1 + nested!($portal: $($inner)*)?)).await
    };
    ($portal:ident: context $($inner:tt)*) => {
        $portal.open_context(echo(), async |ctx, _| {
            let deeper = nested!($portal: $($inner)*)?;
            ctx.cancel().await?;
            pleach::Ok(1 + deeper)
        }).await
    };
    ($portal:ident: stream $($inner:tt)*) => {
        $portal.open_stream_from(ones(), async |_| pleach::Ok(1 + nested!($portal: $($inner)*)?)).await
    };
    ($portal:ident: deadline $($inner:tt)*) => {
        fail_after(LONG, async { pleach::Ok(1 + nested!($portal: $($inner)*)?) }).await
    };
    ($portal:ident: limit $($inner:tt)*) => {
        move_on_after(LONG, async { pleach::Ok(1 + nested!($portal: $($inner)*)?) }).await.unwrap_or(pleach::Ok(0))
    };
    ($portal:ident: shield $($inner:tt)*) => {
        shield(async { pleach::Ok(1 + nested!($portal: $($inner)*)?) }).await
    };
    ($portal:ident: scope $($inner:tt)*) => {
        CancelScope::new().run(async { pleach::Ok(1 + nested!($portal: $($inner)*)?) }).await?
    };
}

/// A function with blocks, one in the other: sixteen of one kind, or three rows of several.
macro_rules! nests {
    ($name:ident: sixteen $a:ident) => {
        nests!($name: $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a);
    };
    ($name:ident: thrice [$($a:ident)*]) => {
        nests!($name: $($a)* $($a)* $($a)*);
    };
    ($name:ident: $($kind:ident)*) => {
        #[pleach::rpc]
        async fn $name() -> Result<u64> {
            open_nursery(async |n| {
                let portal = n.start_actor("below").enable(module_path!()).await?;
                let depth = nested!(portal: $($kind)*)?;
                portal.cancel_actor().await?;
                Ok(depth)
            })
            .await
        }
    };
}

nests!(nurseries: sixteen nursery);
nests!(task_nurseries: sixteen tasks);
nests!(contexts: sixteen context);
nests!(streams: sixteen stream);
nests!(deadlines: sixteen deadline);
nests!(limits: sixteen limit);
nests!(shields: sixteen shield);
nests!(scopes: sixteen scope);
nests!(all_kinds: thrice [nursery tasks context stream deadline limit shield scope]);

/// A generic function that hands a block on.
fn handed_on<'a, T: Clone + 'a>(value: &'a T) -> impl Future<Output = Result<T>> + 'a {
    open_task_nursery(async move |_| Ok(value.clone()))
}

fn sent<F: Future + Send>(future: F) -> F {
    future
}

#[pleach::main]
async fn main() -> Result<()> {
    assert_eq!(mixed().await?, 1 + 8 + 4);
    for depth in [
        nurseries().await?,
        task_nurseries().await?,
        contexts().await?,
        streams().await?,
        deadlines().await?,
        limits().await?,
        shields().await?,
        scopes().await?,
    ] {
        assert_eq!(depth, 16);
    }
    assert_eq!(all_kinds().await?, 24);
    assert_eq!(sent(handed_on(&5)).await?, 5);
    drop(sent(in_nurseries()));
    drop(sent(open_root(Config::default(), async |_| pleach::Ok(()))));
    Ok(())
}
