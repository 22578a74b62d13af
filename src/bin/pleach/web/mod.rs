//! `pleach web`: the running actors of this user as a drawing in a browser, and what has happened to them.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: looks at the trees, and ends on signals |
//! | [`look`] | one look after the other |
//! | [`history`] | who is there, who was, and what has happened |
//! | [`guard`] | which requests are answered |
//! | [`server`] | the page, its files, and the states as they come |
//!
//! It only looks: its end changes nothing in a tree.

mod guard;
mod history;
mod look;
mod server;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::guard::Guard;
use self::history::History;
use self::look::{Look, Looker, Told};
use crate::output;
use crate::top::rows::Row;
use crate::trees::rates::Rates;

/// Show the running actors of this user in a browser, as a drawing that changes with them
///
/// It prints an address of this host. Only a browser that has the whole of it is answered, with the secret that is at its
/// end; other users of this host do not have it. Messages per second are written at each connection, and starts, restarts,
/// errors, cancellations, escalations and ends are listed, also of actors that lived for a moment only: the processes
/// remember them. The last 2000 of these are kept, and an actor that has ended is shown for a minute. Ctrl-C ends this,
/// and changes nothing in the trees.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach web                      open the address that it prints
  pleach web --port 8080 --tree 4711
  ssh -L 8080:127.0.0.1:8080 node2 pleach web --port 8080")]
pub(crate) struct Command {
    /// Only the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// The port; default: a free one
    #[arg(long, default_value = "0")]
    port: u16,
    /// Print JSON, once it listens: an object with `address`, on one line
    #[arg(long)]
    json: bool,
}

/// The last state, as JSON.
type State = Arc<str>;

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut looker = Looker::new(self.tree.clone());
        let first = looker.look()?;
        let tokio = Builder::new_current_thread().enable_all().build()?;
        let ended = tokio.block_on(self.serve(looker, first));
        tokio.shutdown_background(); // a look may take two seconds more
        ended
    }

    async fn serve(self, looker: Looker, first: Look) -> anyhow::Result<()> {
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let guard = Guard::new(listener.local_addr()?.port())?;
        let address = guard.address();
        match self.json {
            true => output::line(serde_json::json!({ "address": address }))?,
            false => output::line(format_args!("open {address}"))?,
        }
        let (tell, told) = watch::channel(State::from("null"));
        tokio::select! {
            served = async { axum::serve(listener, server::router(guard, told)).await } => served.map_err(Into::into),
            never = look(looker, first, tell) => never,
            _ = interrupted.recv() => Ok(()),
            _ = terminated.recv() => Ok(()),
        }
    }
}

/// Looks at the trees again and again.
async fn look(mut looker: Looker, first: Look, tell: watch::Sender<State>) -> anyhow::Result<()> {
    let mut history = History::default();
    let mut before = first.found;
    history.take(Row::all(&before, &Rates::default()), first.told);
    loop {
        let since = Instant::now();
        let looking = tokio::task::spawn_blocking(move || {
            let looked = looker.look();
            (looker, looked)
        });
        let looked;
        (looker, looked) = looking.await?;
        match looked {
            Ok(Look { found, told }) => {
                history.take(Row::all(&found, &Rates::between(&before, &found)), told);
                before = found;
            }
            // The chosen tree has ended.
            Err(_) => history.take(Vec::new(), Told::default()),
        }
        tell.send_replace(serde_json::to_string(&history)?.into());
        // The more processes there are, the longer a look takes, and the rarer it is.
        sleep((since.elapsed() * PAUSE).clamp(INTERVAL, LONGEST_PAUSE)).await;
    }
}

/// The least time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// A process keeps what has happened for a while only, and one that is stopped holds up a look for two seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// This many times as long as a look took, the next one waits.
const PAUSE: u32 = 4;
