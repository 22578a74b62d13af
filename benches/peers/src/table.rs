//! The table: three rows for each line, one column for each library.

use crate::turns::{Line, Turn, median};
use crate::{LIBRARIES, ours};

/// The medians of one library over its turns, in seconds for each call or item.
pub(crate) struct Column {
    name: &'static str,
    time: f64,
    cpu: f64,
    /// Its processor time in relation to that of the limit in the same round.
    ratio: f64,
}

impl Column {
    pub(crate) fn new(name: &'static str, turns: &[Turn], raw: &[Turn]) -> Self {
        Self {
            name,
            time: median(turns.iter().map(|turn| turn.time)),
            cpu: median(turns.iter().map(|turn| turn.cpu)),
            ratio: median(turns.iter().zip(raw).map(|(turn, raw)| turn.cpu / raw.cpu)),
        }
    }
}

/// The names of all columns: the limit, pleach, and the others.
fn names() -> impl Iterator<Item = &'static str> {
    let [raw, others @ ..] = &LIBRARIES;
    [raw.name, ours::NAME].into_iter().chain(others.iter().map(|library| library.name))
}

/// Prints the names, and how many bytes an item takes in the encoding of each.
pub(crate) fn print_head() {
    print_row("", "", names().map(str::to_owned));
    println!("|{}", "---|".repeat(names().count() + 2));
    let bytes = names().map(|name| match LIBRARIES.iter().find(|library| library.name == name) {
        None => ours::item_bytes(),
        Some(library) => (library.item_bytes)(),
    });
    print_row("item of 64 B", "bytes", bytes.map(|bytes| bytes.to_string()));
}

pub(crate) fn print_line(line: Line, columns: &[Column]) {
    let row = |name: &str, what, cell: fn(&Column) -> f64| {
        let columns = names().map(|name| columns.iter().find(|column| column.name == name));
        print_row(name, what, columns.map(|column| column.map(cell).map_or_else(String::new, shown)));
    };
    row(&line.name(), "time, us", |column| column.time * 1e6);
    row("", "CPU, us", |column| column.cpu * 1e6);
    row("", "CPU, raw = 1", |column| column.ratio);
}

fn print_row(name: &str, what: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!(" {cell:>11} |")).collect();
    println!("| {name:<27} | {what:<12} |{cells}");
}

/// Three digits, where there are so many.
fn shown(number: f64) -> String {
    let digits = match number {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}
