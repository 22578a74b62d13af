//! Other libraries under the same load as pleach, each in two processes on one core, all in one run.
//!
//! The libraries take turns: in each round each one repeats a step for a while. A line has the medians over the
//! rounds: of the time of a step, and of the processor time of both processes, which other work on the machine hardly
//! changes. Both are for one call or one item. The limit is raw tokio.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml [WORD…]` measures those lines that have all words.

#![allow(clippy::disallowed_methods, reason = "other libraries are used as their documentation does")]

mod bound;
#[path = "../../common/item.rs"]
mod item;
mod load;
mod ours;
#[path = "../../common/process.rs"]
mod process;
mod raw;
mod server;
mod table;
mod turns;
mod with_ipc;
mod with_ractor;
mod with_remoc;
mod with_tarpc;
mod with_tonic;
mod with_zmq;

use std::process::ExitCode;

use tempfile::TempDir;

use load::Library;
use process::pin_to_one_core;
use turns::Line;

/// All of them, the limit first.
static LIBRARIES: [Library; 7] = [
    raw::LIBRARY,
    with_tarpc::LIBRARY,
    with_tonic::LIBRARY,
    with_zmq::LIBRARY,
    with_remoc::LIBRARY,
    with_ipc::LIBRARY,
    with_ractor::LIBRARY,
];

#[pleach::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(serving) = server::asked(&words) {
        serving.await;
        return ExitCode::SUCCESS;
    }
    let lines: Vec<_> = Line::all().filter(|line| words.iter().all(|word| line.name().contains(word))).collect();
    if lines.is_empty() {
        let names: Vec<_> = Line::all().map(|line| format!("    {}\n", line.name())).collect();
        eprint!("no line has all of these words: {}\nthe lines are\n{}", words.join(" "), names.concat());
        return ExitCode::FAILURE;
    }
    pin_to_one_core();
    match pleach::open_root(pleach::Config::default(), async |_| measure(&lines).await).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(lines: &[Line]) -> pleach::Result<()> {
    let directory = TempDir::new().expect("a temporary directory");
    bound::watch(directory.path().to_owned());
    table::print_head();
    for line in lines {
        let files = TempDir::new_in(&directory).expect("a temporary directory");
        table::print_line(*line, &turns::compare(*line, files.path()).await?);
    }
    Ok(())
}
