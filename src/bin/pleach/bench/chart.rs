//! The results as a drawing: four rows of bars, in SVG.

use std::fmt::Write as _;

use super::measure::Measured;
use super::{Outcome, Results, Row};

/// One quantity of all transports.
struct Panel {
    title: &'static str,
    /// What the bar shows.
    value: fn(&Measured) -> f64,
    /// What a paler bar shows behind it, which is longer.
    tail: Option<fn(&Measured) -> f64>,
    decimals: usize,
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "call, 64 bytes there and back: median, and 99th percentile behind it, in microseconds (less is better)",
        value: |measured| measured.call_p50_us,
        tail: Some(|measured| measured.call_p99_us),
        decimals: 1,
    },
    Panel {
        title: "calls per second, 64 in flight (more is better)",
        value: |measured| measured.calls_per_second,
        tail: None,
        decimals: 0,
    },
    Panel {
        title: "stream items of 64 bytes per second (more is better)",
        value: |measured| measured.items_per_second,
        tail: None,
        decimals: 0,
    },
    Panel {
        title: "blobs of 1 MiB, in MiB per second (more is better)",
        value: |measured| measured.mebibytes_per_second(),
        tail: None,
        decimals: 0,
    },
];

/// Draws all results.
pub(super) fn draw(results: &Results) -> String {
    let rows = results.transports.len();
    let panel_height = HEADING + rows * BAR + GAP;
    let height = TOP + PANELS.len() * panel_height;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<title>pleach bench</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let subtitle = format!("pleach bench, {}, {} s for each bar", results.codec, results.seconds);
    text(&mut svg, MARGIN, 24, "start", &subtitle);
    for (at, panel) in PANELS.iter().enumerate() {
        draw_panel(&mut svg, TOP + at * panel_height, panel, &results.transports);
    }
    svg + "</svg>\n"
}

fn draw_panel(svg: &mut String, top: usize, panel: &Panel, rows: &[Row]) {
    text(svg, MARGIN, top + 12, "start", panel.title);
    let longest = rows.iter().filter_map(measured).map(|measured| panel.tail.unwrap_or(panel.value)(measured));
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    for (at, row) in rows.iter().enumerate() {
        let y = top + HEADING + at * BAR;
        text(svg, LEFT - 8, y + 13, "end", &row.transport);
        let Some(measured) = measured(row) else {
            text(svg, LEFT, y + 13, "start", "failed");
            continue;
        };
        let length = |value: f64| value / longest * (WIDTH - LEFT - RIGHT) as f64;
        if let Some(tail) = panel.tail {
            bar(svg, y, length(tail(measured)), "#c6dbef");
        }
        let value = (panel.value)(measured);
        bar(svg, y, length(value), "#2171b5");
        let longer = length(panel.tail.map_or(value, |tail| tail(measured)));
        let mut label = format!("{value:.*}", panel.decimals);
        if let Some(tail) = panel.tail {
            let _ = write!(label, " / {:.*}", panel.decimals, tail(measured)); // a string takes all
        }
        text(svg, LEFT + longer as usize + 6, y + 13, "start", &label);
    }
}

fn measured(row: &Row) -> Option<&Measured> {
    match &row.outcome {
        Outcome::Measured(measured) => Some(measured),
        Outcome::Failed { .. } => None,
    }
}

fn bar(svg: &mut String, y: usize, length: f64, colour: &str) {
    let height = BAR - 4;
    *svg += &format!("<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>\n");
}

fn text(svg: &mut String, x: usize, y: usize, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    *svg += &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>\n");
}

// All in pixels.
const WIDTH: usize = 760;
const MARGIN: usize = 16;
/// Where bars begin, behind the names of transports.
const LEFT: usize = 90;
/// Room for the number behind the longest bar.
const RIGHT: usize = 130;
/// Where the first panel begins.
const TOP: usize = 44;
/// The title of a panel.
const HEADING: usize = 22;
const BAR: usize = 20;
/// Below a panel.
const GAP: usize = 18;
