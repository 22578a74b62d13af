//! The gates of speed: what calls, streams, blobs and children cost, as a ratio to bare sockets in the
//! same run.
//!
//! Everything is pinned to one core, where medians repeat within a few per cent; ours and raw take turns, and a
//! ratio is the median over the rounds. Beside the time stands the processor time of both processes, which other
//! work on the machine does not change. The program fails when a gate does.
//!
//! `cargo bench --bench ratios -- uds` restricts it to lines with that word, `--json FILE` also writes them to a file;
//! `--static` adds the lines of children that are linked statically; `--two-cores` has the peers on a core of their own;
//! `taskset` chooses other cores. Variables such as `PLEACH_SHM_SPIN=50us` and `PLEACH_SHM_RING=1MiB` apply.

mod calls;
mod children;
#[path = "../common/mod.rs"]
mod common;
mod floor;
mod linking;
mod measure;
mod raw;
mod report;
mod streams;
mod turn;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pleach::Result;

use common::arguments;
use common::process;
use measure::{MEASURES, What};
use raw::Host;
use report::Row;
use turn::Plan;

fn main() -> ExitCode {
    if raw::serve_if_asked() || floor::receive_if_asked() {
        return ExitCode::SUCCESS;
    }
    pleach::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let in_earnest = arguments::in_earnest(&arguments);
    let (rounds, turn) = if in_earnest { (5, Duration::from_millis(250)) } else { (0, Duration::ZERO) };
    let statically = arguments::has(&arguments, "--static").then(linking::build);
    process::pin(arguments::has(&arguments, "--two-cores"));
    let (plan, only) = (Plan { rounds, turn }, arguments::word(&arguments));
    let measured = async |_| measure_all(&plan, &only, statically).await;
    let measured = common::runtime().block_on(pleach::open_root(common::config(), measured));
    let rows = measured.expect("nothing fails while it is measured");
    arguments::save(&arguments, "ratios", rows.iter().map(Row::json).collect());
    if rows.iter().all(Row::holds) || !in_earnest { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures the lines that contain a word.
async fn measure_all(plan: &Plan, only: &str, statically: Option<PathBuf>) -> Result<Vec<Row>> {
    let host = Host::new(statically).await.expect("sockets for the raw peers");
    let known = common::keys();
    let known = |measure: &measure::Measure| {
        known.iter().any(|key| key.protocol == measure.protocol) && (!measure.is_static() || host.statically.is_some())
    };
    let mut rows = Vec::new();
    Row::print_head();
    for measure in MEASURES.iter().filter(|measure| known(measure) && measure.name().contains(only)).copied() {
        let rounds = match measure.what {
            What::Items | What::Blobs | What::Echo => streams::compare(measure, &host, plan).await?,
            What::Call | What::Flight | What::Blob | What::BlobEcho => calls::compare(measure, &host, plan).await?,
            _ => children::compare(measure, &host, plan).await?,
        };
        let row = Row { measure, rounds };
        row.print();
        rows.push(row);
    }
    Ok(rows)
}
