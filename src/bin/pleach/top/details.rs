//! One actor on the terminal: what it is and works on, its connections, and what crosses them.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table};

use super::columns::micros;
use super::draw::ALARM;
use super::rows::{Line as Connection, Row};
use crate::ps::table::{now_ms, shown, span};
use crate::trees::rates::FlowRate;
use crate::trees::text::{bytes, short};

/// Draws an actor.
pub(super) fn draw(row: &Row, frame: &mut Frame<'_>, area: Rect) {
    let title = format!(" {} ", shown(&row.name));
    let block = Block::new().borders(Borders::TOP).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let lines = about(row);
    let work: Vec<_> = row.work.iter().map(|line| Line::from(line.clone())).collect();
    let heights = [&lines, &work].map(|lines| Constraint::Length(u16::try_from(lines.len()).unwrap_or(u16::MAX)));
    let [above, middle, below] = Layout::vertical([heights[0], heights[1], Constraint::Min(0)]).areas(inside);
    frame.render_widget(Paragraph::new(lines), above);
    frame.render_widget(Paragraph::new(work), middle);
    frame.render_widget(connections(row), below);
}

fn about(row: &Row) -> Vec<Line<'static>> {
    let parent =
        row.parent.as_ref().map_or_else(|| "it is a root".into(), |parent| format!("child of {}", shown(parent)));
    let mut lines = vec![Line::from(format!(
        "process {} on {}, {parent}, since {}, uuid {}",
        row.pid,
        shown(&row.host),
        span(row.age_ms),
        row.uuid
    ))];
    if let Some(failure) = &row.last_error {
        let ago = span(now_ms().saturating_sub(failure.at_ms));
        lines.push(Line::from(format!("last error, {ago} ago: {}", shown(&failure.message))).style(ALARM));
    }
    lines
}

fn connections(row: &Row) -> Table<'static> {
    let head = HEAD.map(|(text, _)| text);
    let rows: Vec<_> = row.connections.iter().map(|line| TableRow::new(cells(line).map(Cell::from))).collect();
    let widths = HEAD.map(|(_, width)| if width == 0 { Constraint::Fill(1) } else { Constraint::Length(width) });
    Table::new(rows, widths).header(TableRow::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
}

fn cells(line: &Connection) -> [String; 10] {
    let report = &line.report;
    let unknown = || "-".to_owned();
    let count = |count: Option<u64>| count.map_or_else(unknown, |count| short(count as f64));
    let size = |size: Option<u64>| size.map_or_else(unknown, |size| bytes(size as f64));
    let flow = |flow: FlowRate| format!("{}/s {}/s", short(flow.messages), bytes(flow.bytes));
    [
        shown(report.who.name()),
        report.transport.protocol.to_string(),
        line.rate.map_or_else(unknown, |rate| flow(rate.sent)),
        line.rate.map_or_else(unknown, |rate| flow(rate.received)),
        count(report.calls.map(|calls| calls as u64)),
        count(report.tasks.map(|tasks| tasks as u64)),
        count(report.contexts.map(|contexts| contexts as u64)),
        size(report.volume.map(|volume| volume.waiting)),
        count(report.credit),
        report.rtt_us.map_or_else(unknown, micros),
    ]
}

/// The columns, with their widths; 0 for what is left.
const HEAD: [(&str, u16); 10] = [
    ("CONNECTION", 0),
    ("VIA", 7),
    ("SENT", 14),
    ("RECEIVED", 14),
    ("CALLS", 5),
    ("TASKS", 5),
    ("CTXS", 4),
    ("QUEUE", 5),
    ("CREDIT", 6),
    ("RTT", 6),
];
