//! A view on the terminal: a head, the table, one actor below it if asked for, and the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Clear, Paragraph, Row as TableRow, Table};

use super::columns::{self, Column};
use super::details;
use super::rows::{Row, State};
use super::view::View;
use crate::ps::table::shown;
use crate::trees::text::{bytes, short};

/// Draws all of it.
pub(super) fn draw(view: &mut View, frame: &mut Frame<'_>) {
    let area = frame.area();
    let (head, foot) = (u16::from(area.height >= 5) * 2, u16::from(area.height >= 8));
    let below = if view.details { area.height.saturating_sub(head + foot) / 2 } else { 0 };
    let parts = Layout::vertical([
        Constraint::Length(head),
        Constraint::Min(1),
        Constraint::Length(below),
        Constraint::Length(foot),
    ]);
    let [head, table, below, foot] = parts.areas(area);
    frame.render_widget(Paragraph::new(summary(view)), head);
    draw_table(view, frame, table);
    if let Some((_, row)) = view.selected().filter(|_| view.details) {
        details::draw(row, frame, below);
    }
    frame.render_widget(Paragraph::new(keys(view)), foot);
    if view.helping {
        help(frame);
    }
}

/// Who is there, and what they use together.
fn summary(view: &View) -> Vec<Line<'static>> {
    let rows = view.visible();
    let processes: std::collections::BTreeMap<_, _> = rows
        .iter()
        .filter(|row| row.state != State::Gone)
        .map(|row| ((row.host.clone(), row.pid), (row.cpu_percent.unwrap_or(0.0), row.memory)))
        .collect();
    let cpu = processes.values().fold(0.0, |sum, (cpu, _)| sum + cpu);
    let memory: u64 = processes.values().map(|(_, memory)| memory).sum();
    // Each message is sent once, and received once.
    let messages = rows.iter().filter_map(|row| row.rate).fold(0.0, |sum, rate| sum + rate.sent.messages);
    let actors = rows.iter().filter(|row| row.state != State::Gone).count();
    let (sort, reversed) = view.sort();
    let order = format!("{sort:?}{}", if reversed { ", reversed" } else { "" }).to_lowercase();
    let mut first = vec![
        Span::styled("pleach top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {actors} actors in {} processes, by {order}", processes.len())),
    ];
    if !view.filter().is_empty() || view.typing {
        let cursor = if view.typing { "_" } else { "" };
        first.push(Span::styled(format!("  /{}{cursor}", shown(view.filter())), Style::new().fg(Color::Yellow)));
    }
    if view.paused {
        first.push(Span::styled("  paused", Style::new().fg(Color::Yellow)));
    }
    let mut second =
        vec![Span::raw(format!("cpu {cpu:.0}%  memory {}  {} messages/s", bytes(memory as f64), short(messages)))];
    let silent = view.silent().iter().map(|silent| format!("  {}", silent.line()));
    second.extend(
        silent.chain(view.problem.iter().map(|why| format!("  {}", shown(why)))).map(|text| Span::styled(text, ALARM)),
    );
    vec![Line::from(first), Line::from(second)]
}

fn draw_table(view: &mut View, frame: &mut Frame<'_>, area: Rect) {
    let columns = columns::fitting(area.width);
    let rows: Vec<_> = view.visible().into_iter().map(|row| table_row(row, &columns, view.is_tree())).collect();
    let (sort, _) = view.sort();
    let head = columns.iter().map(|column| {
        let style =
            if column.sort == Some(sort) { Style::new().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        Cell::from(Line::from(column.head).right_aligned()).style(style)
    });
    let head = TableRow::new([Cell::from("ACTOR")].into_iter().chain(head));
    let widths = [Constraint::Fill(1)].into_iter().chain(columns.iter().map(|column| Constraint::Length(column.width)));
    let table = Table::new(rows, widths)
        .header(head.style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let at = view.selected().map(|(at, _)| at);
    view.page = area.height.saturating_sub(1).into();
    view.table.select(at);
    frame.render_stateful_widget(table, area, &mut view.table);
}

fn table_row(row: &Row, columns: &[&Column], in_tree: bool) -> TableRow<'static> {
    let cells = columns.iter().map(|column| match column.sort {
        None => Cell::from((column.text)(row)),
        Some(_) => Cell::from(Line::from((column.text)(row)).right_aligned()),
    });
    let style = match row.state {
        State::Gone => Style::new().add_modifier(Modifier::DIM),
        State::Ending => Style::new().fg(Color::Yellow),
        State::Running => Style::new(),
    };
    TableRow::new([Cell::from(columns::name(row, in_tree))].into_iter().chain(cells)).style(style)
}

fn keys(view: &View) -> Line<'static> {
    let keys = match view.typing {
        true => "type what to look for; Enter keeps it, Esc clears it",
        false => "↑↓ choose  Enter connections  < > order  / filter  ? all keys  q quit",
    };
    Line::from(keys).style(Style::new().add_modifier(Modifier::DIM))
}

/// All keys, over the rest.
fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let width = area.width.min(56);
    let height = area.height.min(KEYS.len() as u16 + 2);
    let at = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, at);
    let lines: Vec<_> = KEYS.iter().map(|(keys, what)| Line::from(format!(" {keys:<18}{what}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(ratatui::widgets::Block::bordered().title(" keys ")), at);
}

const KEYS: [(&str, &str); 12] = [
    ("up, down, k, j", "choose an actor"),
    ("page, home, end", "choose one far away"),
    ("Enter", "its connections, or not"),
    ("<, >, left, right", "another order"),
    ("t, c, m, s", "by tree, cpu, memory, messages"),
    ("r", "the other way round"),
    ("/", "filter by name, process, transport, host"),
    ("space", "pause, or go on"),
    ("Ctrl-Z", "stop; `fg` goes on"),
    ("Esc", "close what is open; end"),
    ("?, h", "this"),
    ("q, Ctrl-C", "end"),
];

/// The colour of what is wrong.
pub(super) const ALARM: Style = Style::new().fg(Color::Red);
