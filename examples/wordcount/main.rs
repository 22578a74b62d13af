//! Counts the words of files, with several worker processes.
//!
//! ```text
//! cargo run --release --example wordcount -- [--transport T] [--codec C] [--workers N] [--top K] [PATHS…]
//! cargo run --release --example wordcount -- --hosts hosts.toml [PATHS…]
//! ```
//!
//! A word is a run of ASCII letters; capitals count as small letters. Standard output is that of
//!
//! ```text
//! export LC_ALL=C
//! grep -aohE '[[:alpha:]]+' FILES | tr A-Z a-z | sort | uniq -c | sort -k1,1nr -k2 | head -n K
//! ```
//!
//! and so is that of `cat FILES | tr -cs '[:alpha:]' '\n' | …`, if each file ends with a line break.
//!
//! | file | station |
//! |---|---|
//! | `plan.rs` | paths → files → chunks of about equal size |
//! | `workers.rs` | where the workers are, and how a chunk gets there |
//! | `count.rs` | a chunk → its words; the only code that runs in the workers |
//! | `tally.rs` | replies → totals, and what had to be left out |
//!
//! Workers on this machine read the files themselves: paths go out, counts come back. If some are on other hosts,
//! all are sent what is in the files. Each has one chunk in hand and one waiting, so none is idle, and no more than
//! that is in flight however many files there are. A worker that dies is replaced, and its chunks are counted again.

mod count;
mod plan;
mod tally;
mod workers;

use std::io::{self, IsTerminal as _};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use pleach::Hosts;
use pleach::prelude::*;

use crate::plan::Plan;
use crate::tally::{Run, Tally};
use crate::workers::{LANES, Places};

/// Counts the words of files, with several worker processes.
///
/// A word is a run of ASCII letters; capitals count as small letters. Standard output is that of
///
///   export LC_ALL=C
///   grep -aohE '[[:alpha:]]+' FILES | tr A-Z a-z | sort | uniq -c | sort -k1,1nr -k2 | head -n K
///
/// and the rest is on standard error. Files that can't be read, and binary ones (with a NUL byte in the
/// first 8 KiB), are left out; the first of them are named. The exit status is 1 if nothing is left to count.
#[derive(Parser)]
#[command(name = "wordcount", verbatim_doc_comment)]
struct Args {
    /// What the processes talk over: tcp, uds or quic [default: as configured, else uds]
    #[arg(long, value_name = "NAME")]
    transport: Option<String>,
    /// How messages are written: msgpack or json [default: as configured, else msgpack]
    #[arg(long, value_name = "NAME")]
    codec: Option<String>,
    /// How many worker processes count, all on this machine [default: one for each core]
    #[arg(long, value_name = "N", conflicts_with = "hosts")]
    workers: Option<NonZero<usize>>,
    /// A file with `[[hosts]]`: where the workers are, and how many [default: as configured, else only here]
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// How many words to show, the most frequent first; 0 shows all
    #[arg(long, value_name = "K", default_value_t = 10)]
    top: usize,
    /// Files and directories; of directories, all but hidden ones and those called `target`
    #[arg(value_name = "PATHS", default_value = ".")]
    paths: Vec<PathBuf>,
}

#[pleach::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut config = Config::load()?;
    config.transport = args.transport.unwrap_or(config.transport);
    config.codec = args.codec.unwrap_or(config.codec);
    config.hosts = args.hosts.map_or(Ok(config.hosts), Hosts::load)?;

    let started = Instant::now();
    let places = args.workers.map_or_else(|| Places::new(&config.hosts), |workers| Places::here(workers.get()));
    let plan = Plan::new(&args.paths, places.len());
    let places = places.at_most(plan.chunks.len());
    let how = places
        .elsewhere()
        .map_or_else(|| format!("over {}+{}", config.codec, config.transport), |hosts| format!("at {hosts}"));
    let run = Run { workers: places.len(), how };
    let tally = count_all(config, plan, places).await?;
    tally.print_words(args.top).map_err(|error| Error::from_boxed(error.into()))?;
    tally.print_summary(&run, started.elapsed());
    Ok(if tally.found_nothing() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Hands the chunks to the workers, and adds up what comes back.
async fn count_all(config: Config, plan: Plan, places: Places) -> Result<Tally> {
    let bar = progress_bar(plan.bytes);
    let mut tally = Tally::new(plan.files, plan.skipped);
    if plan.chunks.is_empty() {
        return Ok(tally);
    }
    pleach::open_root(config, async |_root| {
        pleach::open_nursery(async |n| {
            let workers = places.start(&n).await?;
            let counting = plan.chunks.into_iter().map(async |chunk| (workers.count(&chunk).await, chunk));
            let mut replies = stream::iter(counting).buffer_unordered(LANES * places.len());
            while let Some((reply, chunk)) = replies.next().await {
                tally.add(&chunk, reply?);
                bar.inc(chunk.bytes);
            }
            Ok(tally)
        })
        .await
    })
    .await
}

/// A bar on a terminal, and nothing elsewhere. It goes when it is dropped.
fn progress_bar(bytes: u64) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{bar:40} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}");
    ProgressBar::with_draw_target(Some(bytes), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_finish(ProgressFinish::AndClear)
}
