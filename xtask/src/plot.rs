//! Plots of what the benches have written with `--json`: one SVG for each group of lines.
//!
//! `ratios` gives the percentiles of a call's time, for each transport; `growth` gives the cost of one over how many
//! or how large, and for sizes the throughput.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::chart::{Chart, Series};

type Charts = BTreeMap<String, Chart>;

/// Draws the plots of all files together into a directory.
///
/// # Errors
/// What can't be read or written, as a text.
pub(crate) fn draw(files: &[&str], directory: &Path) -> Result<(), String> {
    let mut charts = Charts::new();
    for file in files {
        add_file(Path::new(file), &mut charts).map_err(|why| format!("{file}: {why}"))?;
    }
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for (name, chart) in charts {
        let path = directory.join(format!("{}.svg", file_name(&name)));
        fs::write(&path, chart.svg(&name)).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn add_file(file: &Path, charts: &mut Charts) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let lines = report["lines"].as_array().ok_or("it has no lines: write it with `cargo bench … -- --json FILE`")?;
    match report["bench"].as_str() {
        Some("ratios") => percentiles(lines, charts),
        Some("growth") => growth(lines, charts),
        other => return Err(format!("there is nothing to draw for the bench {other:?}: only for ratios and growth")),
    }
    Ok(())
}

/// Time over percentile, of those lines that take a time.
fn percentiles(lines: &[Value], charts: &mut Charts) {
    for line in lines.iter().filter(|line| line["unit"] == "seconds") {
        let title = format!("{}: percentiles", text(&line["name"]));
        let chart = charts.entry(title).or_insert_with(|| Chart::new("percentile", "microseconds").by_percentile());
        for side in ["ours", "raw"] {
            let points = points(&line[side]["percentiles"]);
            // An even distance for each step towards the slowest: as `-log(1 - p)`.
            let spread = |percent: f64| -(1.0 - percent / 100.0).log10();
            let points: Vec<_> = points.iter().map(|(percent, time)| (spread(*percent), time * 1e6)).collect();
            if points.len() > 1 {
                chart.add(Series { name: format!("{side}, {}", text(&line["over"])), points });
            }
        }
    }
}

/// The cost of one, and the throughput for sizes.
fn growth(lines: &[Value], charts: &mut Charts) {
    for line in lines {
        let (name, over, unit) = (text(&line["name"]), text(&line["over"]), text(&line["x"]));
        let (rate, label) = (unit == "bytes", if unit == "bytes" { "MiB/s" } else { "microseconds each" });
        let title = format!("{name}: {}", if rate { "throughput" } else { "cost of one" });
        let chart = charts.entry(title).or_insert_with(|| Chart::new(unit, label));
        let value = |(x, cost): &(f64, f64)| if rate { x / cost / MEBIBYTE } else { cost / x * 1e6 };
        let points = points(&line["points"]).iter().map(|point| (point.0, value(point))).collect();
        chart.add(Series { name: over.to_owned(), points });
    }
}

fn points(list: &Value) -> Vec<(f64, f64)> {
    let pairs = list.as_array().into_iter().flatten();
    pairs.filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn file_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

const MEBIBYTE: f64 = (1 << 20) as f64;
