//! What is chosen: the order, a filter, an actor; and the keys that do so.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;
use uuid::Uuid;

use super::rows::{Departed, Row, Sort};
use crate::ps::Silent;

/// What is shown, and how.
#[derive(Debug)]
pub(super) struct View {
    rows: Vec<Row>,
    silent: Vec<Silent>,
    departed: Departed,
    sort: Sort,
    reversed: bool,
    filter: String,
    /// Keys go into the filter.
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) helping: bool,
    pub(super) details: bool,
    /// Why there are no news.
    pub(super) problem: Option<String>,
    selected: Option<Uuid>,
    pub(super) table: TableState,
    /// How many rows a page has.
    pub(super) page: usize,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Redraw,
    Quit,
    Suspend,
}

impl View {
    pub(super) fn new(sort: Sort, filter: String) -> Self {
        Self {
            rows: Vec::new(),
            silent: Vec::new(),
            departed: Departed::default(),
            sort,
            reversed: false,
            filter,
            typing: false,
            paused: false,
            helping: false,
            details: false,
            problem: None,
            selected: None,
            table: TableState::default(),
            page: 1,
        }
    }

    /// Takes in what was seen, unless it is paused.
    pub(super) fn take(&mut self, rows: Vec<Row>, silent: Vec<Silent>) {
        if !self.paused {
            self.rows = self.departed.merge(rows);
            self.silent = silent;
        }
    }

    /// Returns the rows that pass the filter, in order.
    pub(super) fn visible(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().filter(|row| self.passes(row)).collect();
        self.sort.sort(&mut rows, self.reversed);
        rows
    }

    fn passes(&self, row: &Row) -> bool {
        let wanted = self.filter.to_lowercase();
        let transport = row.transport.as_deref().unwrap_or_default();
        let texts = [&*row.name, &*row.pid.to_string(), transport, &*row.host].map(str::to_lowercase);
        texts.iter().any(|text| text.contains(&wanted))
    }

    pub(super) fn silent(&self) -> &[Silent] {
        &self.silent
    }

    pub(super) fn sort(&self) -> (Sort, bool) {
        (self.sort, self.reversed)
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// Returns whether each actor is below its parent.
    pub(super) fn is_tree(&self) -> bool {
        self.sort == Sort::Tree
    }

    /// Returns the chosen actor: the one that was chosen, wherever it is now, or else the first.
    pub(super) fn selected(&self) -> Option<(usize, &Row)> {
        let rows = self.visible();
        let chosen = rows.iter().position(|row| Some(row.uuid) == self.selected).unwrap_or(0);
        rows.get(chosen).map(|row| (chosen, *row))
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Action {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Action::Quit,
            KeyCode::Char('z') if is_control => return Action::Suspend,
            _ if is_control => {}
            code if self.typing => self.type_in(code),
            _ if self.helping => self.helping = false,
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Esc if !self.close_one() => return Action::Quit,
            code => self.choose(code),
        }
        Action::Redraw
    }

    /// Closes what was opened last; returns whether there was something.
    fn close_one(&mut self) -> bool {
        let was_open = self.details || !self.filter.is_empty();
        match self.details {
            true => self.details = false,
            false => self.filter.clear(),
        }
        was_open
    }

    fn type_in(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(character) => self.filter.push(character),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter | KeyCode::Up | KeyCode::Down => self.typing = false,
            KeyCode::Esc => (self.typing, self.filter) = (false, String::new()),
            _ => {}
        }
    }

    fn choose(&mut self, code: KeyCode) {
        let page = self.page.max(1).cast_signed();
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.go_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go_by(1),
            KeyCode::PageUp => self.go_by(-page),
            KeyCode::PageDown => self.go_by(page),
            KeyCode::Home | KeyCode::Char('g') => self.go_by(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go_by(isize::MAX),
            KeyCode::Enter => self.details = !self.details,
            KeyCode::Char('<' | ',') | KeyCode::Left => self.sort = self.sort.next(true),
            KeyCode::Char('>' | '.') | KeyCode::Right => self.sort = self.sort.next(false),
            KeyCode::Char('t') => self.sort = Sort::Tree,
            KeyCode::Char('c') => self.sort = Sort::Cpu,
            KeyCode::Char('m') => self.sort = Sort::Memory,
            KeyCode::Char('s') => self.sort = Sort::Messages,
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.helping = true,
            _ => {}
        }
    }

    fn go_by(&mut self, steps: isize) {
        let Some((at, _)) = self.selected() else { return };
        let rows = self.visible();
        let to = at.saturating_add_signed(steps).min(rows.len() - 1);
        self.selected = Some(rows[to].uuid);
    }
}
