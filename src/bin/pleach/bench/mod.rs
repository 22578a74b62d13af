//! `pleach bench`: the transports side by side on this machine.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: which transports, the table, and JSON |
//! | [`measure`] | one transport: a tree with one actor, and what is measured with it |
//! | [`chart`] | the results as a drawing |

mod chart;
mod measure;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use pleach::Config;
use serde::Serialize;

use self::measure::Measured;
use crate::output;

/// Measure the transports side by side on this machine
///
/// An actor is started over each transport, a process of its own (over `mem`, a thread). Measured are the time of a call
/// with 64 bytes there and back, one after the other; how many such calls go through with 64 of them in flight; how
/// many stream items of 64 bytes the actor sends; and how fast blobs of 1 MiB go there.
///
/// The numbers are of this build: without `--release` they say little. Other work on the machine shows in them, too.
/// The codec and other settings are read from `pleach.toml` and the environment.
///
/// Exit status 1 means that a transport could not be measured; the others are.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach bench
  pleach bench uds tcp --seconds 5 --svg bench.svg
  PLEACH_CODEC=json pleach bench --json")]
pub(crate) struct Command {
    /// The transports to measure [default: all of this build]
    #[arg(value_name = "TRANSPORT")]
    transports: Vec<String>,
    /// How long each of the four measurements of a transport takes
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Draw the results into a file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON: an object with `codec`, `seconds`, `optimized` and `transports`, an array of objects with `transport`
    /// and either `error` or `call_p50_us`, `call_p99_us`, `calls_per_second`, `items_per_second` and
    /// `blob_bytes_per_second`
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    match (SHORTEST..=LONGEST).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(format!("it has to be from {SHORTEST} to {LONGEST}")),
    }
}

/// All results.
#[derive(Serialize)]
struct Results {
    codec: String,
    seconds: f64,
    /// Whether this program was built for speed.
    optimized: bool,
    transports: Vec<Row>,
}

/// One transport.
#[derive(Serialize)]
struct Row {
    transport: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Measured(Measured),
    Failed { error: String },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load()?;
        let transports = self.chosen(&config)?;
        let mut drawing = self.svg.as_deref().map(create).transpose()?;
        let optimized = !cfg!(debug_assertions);
        if !self.json {
            let build = if optimized { "" } else { "; built without --release, so all of it is slow" };
            output::line(format_args!("{} over each transport{build}", config.codec))?;
            output::line(HEADINGS)?;
        }
        let mut rows = Vec::new();
        for transport in transports {
            let outcome = match measure::all(&config, &transport, self.seconds) {
                Ok(measured) => Outcome::Measured(measured),
                Err(error) => Outcome::Failed { error: error.to_string() },
            };
            let row = Row { transport, outcome };
            if !self.json {
                output::line(in_words(&row))?;
            }
            rows.push(row);
        }
        let results = Results { codec: config.codec, seconds: self.seconds.as_secs_f64(), optimized, transports: rows };
        if let Some(file) = &mut drawing {
            file.write_all(chart::draw(&results).as_bytes()).context("can't write the drawing")?;
        }
        if self.json {
            output::json(&results)?;
        }
        let failed = |row: &Row| matches!(row.outcome, Outcome::Failed { .. });
        Ok(if results.transports.iter().any(failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The transports to measure.
    ///
    /// # Errors
    /// Names those that there are, if one is not among them.
    fn chosen(&self, config: &Config) -> anyhow::Result<Vec<String>> {
        let known = pleach::transports::known().into_iter().filter(|key| key.codec == config.codec);
        let known: Vec<_> = known.map(|key| key.protocol).collect();
        for transport in &self.transports {
            ensure!(known.contains(transport), "there is no transport `{transport}` here, but {}", known.join(", "));
        }
        Ok(if self.transports.is_empty() { known } else { self.transports.clone() })
    }
}

/// Makes the file of the drawing, before anything is measured for it.
fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("can't write to {}", path.display()))
}

fn in_words(Row { transport, outcome }: &Row) -> String {
    match outcome {
        Outcome::Failed { error } => format!("{transport:<9} FAILED: {error}"),
        Outcome::Measured(measured) => format!(
            "{transport:<9} {:>9.1} us {:>9.1} us {:>11.0} {:>13.0} {:>11.0} MiB/s",
            measured.call_p50_us,
            measured.call_p99_us,
            measured.calls_per_second,
            measured.items_per_second,
            measured.mebibytes_per_second()
        ),
    }
}

const HEADINGS: &str = "transport     call p50     call p99  64 calls, /s  items, /s         blobs of 1 MiB";

/// The bounds of `--seconds`.
const SHORTEST: f64 = 0.01;
const LONGEST: f64 = 60.0;
