//! Tasks of this repository that need more than a shell: `cargo run -p xtask -- TASK`.

mod chart;
mod journey;
mod plot;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["journey"] => journey::print(root()),
        ["plot", files @ .., directory] if !files.is_empty() => plot::draw(files, Path::new(directory)),
        _ => Err("usage: cargo run -p xtask -- journey, or -- plot FILE… DIRECTORY".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
