//! The columns of the table: which fit into a width, and what each says of an actor.

use super::rows::{Row, Sort, State};
use crate::ps::Silent;
use crate::ps::table::{shown, span};
use crate::trees::text::{bytes, short};

/// A column behind the name.
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) width: u16,
    /// Those with a high number go first when there is not enough room.
    rank: u8,
    /// What sorting by it is called.
    pub(super) sort: Option<Sort>,
    pub(super) text: fn(&Row) -> String,
}

/// Returns those that fit beside names of at least [`NAME`] characters.
pub(super) fn fitting(width: u16) -> Vec<&'static Column> {
    let mut chosen: Vec<&Column> = COLUMNS.iter().collect();
    while NAME + chosen.iter().map(|column| column.width + 1).sum::<u16>() > width {
        let Some(most) = chosen.iter().enumerate().max_by_key(|(_, column)| column.rank).map(|(at, _)| at) else {
            break;
        };
        chosen.remove(most);
    }
    chosen
}

/// Returns all columns of all rows as lines of text, and a line for each process that was silent.
pub(super) fn table(rows: &[&Row], in_tree: bool, silent: &[Silent]) -> String {
    let names = rows.iter().map(|row| name(row, in_tree).chars().count()).max().unwrap_or(0).max(NAME.into());
    let line = |first: &str, cell: &dyn Fn(&Column) -> String| {
        let cells = COLUMNS.iter().map(|column| {
            let (text, width) = (cell(column), usize::from(column.width));
            if column.sort.is_some() { format!("{text:>width$}") } else { format!("{text:<width$}") }
        });
        let line = format!("{first:<names$} {}", cells.collect::<Vec<_>>().join(" "));
        line.trim_end().to_owned() + "\n"
    };
    let head = line("ACTOR", &|column| column.head.to_owned());
    let rows = rows.iter().map(|row| line(&name(row, in_tree), &|column| (column.text)(row)));
    let silent = silent.iter().map(|silent| silent.line() + "\n");
    [head].into_iter().chain(rows).chain(silent).collect()
}

/// Returns a name, behind as many steps as there are actors above it.
pub(super) fn name(row: &Row, in_tree: bool) -> String {
    let indent = if in_tree { "  ".repeat(row.depth) } else { String::new() };
    indent + &shown(&row.name)
}

/// Returns how an actor is, and its last error.
fn state(row: &Row) -> String {
    let state = match row.state {
        State::Running => "running",
        State::Ending => "ending",
        State::Gone => "gone",
    };
    match &row.last_error {
        Some(failure) => format!("{state}; {}", shown(&failure.message)),
        None => state.into(),
    }
}

fn or_unknown<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".into(), text)
}

/// Returns a time in at most six characters.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        1000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

#[rustfmt::skip]
const COLUMNS: [Column; 13] = [
    Column { head: "PID", width: 7, rank: 0, sort: Some(Sort::Pid), text: |row| row.pid.to_string() },
    Column { head: "VIA", width: 7, rank: 7, sort: None, text: |row| row.transport.clone().unwrap_or_else(|| "-".into()) },
    Column { head: "CPU%", width: 5, rank: 0, sort: Some(Sort::Cpu), text: |row| or_unknown(row.cpu_percent, |cpu| format!("{cpu:.1}")) },
    Column { head: "MEM", width: 5, rank: 1, sort: Some(Sort::Memory), text: |row| bytes(row.memory as f64) },
    Column { head: "TASKS", width: 5, rank: 2, sort: Some(Sort::Tasks), text: |row| or_unknown(row.tasks, |count| short(count as f64)) },
    Column { head: "CTXS", width: 4, rank: 3, sort: Some(Sort::Contexts), text: |row| or_unknown(row.contexts, |count| short(count as f64)) },
    Column { head: "MSG/S", width: 5, rank: 1, sort: Some(Sort::Messages), text: |row| or_unknown(row.rate, |rate| short(rate.both().messages)) },
    Column { head: "B/S", width: 5, rank: 2, sort: Some(Sort::Bytes), text: |row| or_unknown(row.rate, |rate| bytes(rate.both().bytes)) },
    Column { head: "QUEUE", width: 5, rank: 4, sort: Some(Sort::Queue), text: |row| or_unknown(row.waiting, |waiting| bytes(waiting as f64)) },
    Column { head: "CREDIT", width: 6, rank: 5, sort: Some(Sort::Credit), text: |row| or_unknown(row.credit, |credit| short(credit as f64)) },
    Column { head: "RTT", width: 6, rank: 6, sort: Some(Sort::Rtt), text: |row| or_unknown(row.rtt_us, micros) },
    Column { head: "AGE", width: 6, rank: 8, sort: Some(Sort::Age), text: |row| span(row.age_ms) },
    Column { head: "STATE", width: 24, rank: 9, sort: None, text: state },
];

/// The least room for a name.
pub(super) const NAME: u16 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_stays_when_room_runs_out() {
        let heads = |width| fitting(width).iter().map(|column| column.head).collect::<Vec<_>>();
        assert_eq!(heads(200).len(), COLUMNS.len());
        assert_eq!(
            heads(80),
            ["PID", "CPU%", "MEM", "TASKS", "CTXS", "MSG/S", "B/S", "QUEUE", "CREDIT", "RTT"],
            "all that has a rate or a queue"
        );
        assert_eq!(heads(40), ["PID", "CPU%", "MEM", "MSG/S"]);
        assert_eq!(heads(5), [""; 0]);
        assert_eq!([1, 1500, 2_000_000].map(micros), ["1us", "1.5ms", "2.0s"]);
    }
}
