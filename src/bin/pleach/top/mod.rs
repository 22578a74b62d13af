//! `pleach top`: what the running actors of this user do, as it changes.
//!
//! | file | station |
//! |---|---|
//! | this one | the command; its one table or object for scripts |
//! | [`rows`] | what is shown of each actor, and in which order |
//! | [`columns`] | the columns of the table |
//! | [`view`] | what is chosen: order, filter, actor, and the keys that do so |
//! | [`draw`] | a view on the terminal |
//! | [`details`] | one actor on the terminal, with its connections |
//! | [`live`] | looks, keys and signals, as they come |
//! | [`screen`] | the terminal, and giving it back |

mod columns;
mod details;
mod draw;
mod live;
pub(crate) mod rows;
mod screen;
mod view;

use std::io::{IsTerminal as _, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::rows::{Row, Sort};
use self::view::View;
use crate::output;
use crate::ps::Silent;
use crate::trees::Found;
use crate::trees::rates::Rates;

/// Show what the running actors of this user do, as it changes
///
/// CPU% and MEM are those of the actor's process, TASKS the functions that run in it for others, CTXS its open contexts
/// and streams, MSG/S and B/S the messages and bytes that cross its connections in a second, QUEUE the bytes that wait
/// to be sent, CREDIT the stream messages that it may send without waiting, and RTT the longest round trip of its
/// heartbeats. Columns that do not fit are left out. An actor that has ended is shown for a moment.
///
/// Keys: arrows choose an actor, Enter shows its connections, < and > choose the order, / filters, ? shows all keys, q
/// ends.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach top                        all trees of this user
  pleach top --tree 4711 --sort cpu
  pleach top --once                 one table, over one second
  pleach top --json | jq '.actors[] | select(.cpu_percent > 50) | .name'")]
pub(crate) struct Command {
    /// Only the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// The order at the start
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Only actors with this in their name, process id, transport or host
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// The time between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// Print one table, over one interval, and end
    #[arg(long)]
    once: bool,
    /// Print JSON, over one interval: an object with `actors`, those that were `silent`, and `seconds`
    #[arg(long)]
    json: bool,
}

/// What a script gets.
#[derive(Serialize)]
struct Printed<'a> {
    seconds: f64,
    actors: Vec<&'a Row>,
    silent: &'a [Silent],
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.once || self.json {
            return self.print().map(|()| ExitCode::SUCCESS);
        }
        anyhow::ensure!(stdout().is_terminal(), "standard output is not a terminal; use --once or --json");
        let first = self.look()?;
        live::run(self, first)
    }

    /// One look at the chosen tree.
    ///
    /// # Errors
    /// When there is none such.
    fn look(&self) -> anyhow::Result<Found> {
        Found::now(self.tree.as_deref())
    }

    fn print(&self) -> anyhow::Result<()> {
        let before = self.look()?;
        let until = Instant::now() + self.interval;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        let now = self.look()?;
        let mut view = View::new(self.sort, self.filter.clone());
        view.take(Row::all(&now, &Rates::between(&before, &now)), now.silent);
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let (actors, silent) = (view.visible(), view.silent());
        match self.json {
            true => output::json(&Printed { seconds, actors, silent }),
            false => output::write(columns::table(&actors, view.is_tree(), silent).as_bytes()),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    match seconds {
        0.05..=3600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it has to be from 0.05 to 3600".into()),
    }
}
