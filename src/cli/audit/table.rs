//! Lines for people: one row each, as far as there is room.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde::Serialize;

use super::super::plain::plain;
use crate::review::{Facts, Hit};

const HEAD: [&str; COLUMNS] =
    ["TIME", "PRINCIPAL", "KIND", "RESULT", "OPERATION", "OBJECT", "STATUS", "REASON"];
const COLUMNS: usize = 8;
/// Columns are as wide as the widest cell among so many rows, and those before.
const PAGE: usize = 500;
/// Where room is scarce, no cell but the last is longer,
const WIDEST: usize = 48;
/// and the last has so much at least.
const REASON: usize = 16;

/// Rows that wait to be printed.
#[derive(Debug)]
pub(super) struct Table {
    /// The width of the terminal, if it is one.
    room: Option<usize>,
    rows: Vec<[String; COLUMNS]>,
    widths: [usize; COLUMNS],
}

impl Table {
    /// For whatever stdout is.
    pub(super) fn of_terminal() -> Self {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
        Self::new(size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0))
    }

    fn new(room: Option<usize>) -> Self {
        Self { room, rows: vec![HEAD.map(str::to_owned)], widths: [0; COLUMNS] }
    }

    /// Adds a line. Gives a page when it is full.
    pub(super) fn add(&mut self, hit: &Hit) -> Option<String> {
        let mut row = cells(hit);
        if self.room.is_some() {
            for cell in row.iter_mut().rev().skip(1) {
                *cell = cut(cell, WIDEST);
            }
        }
        self.rows.push(row);
        (self.rows.len() >= PAGE).then(|| self.page())
    }

    /// The rows that wait. The head stands over the first one.
    pub(super) fn page(&mut self) -> String {
        let mut text = String::new();
        if self.widths == [0; COLUMNS] && self.rows.len() < 2 {
            return text;
        }
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let before: usize = self.widths.iter().rev().skip(1).map(|width| width + 2).sum();
        let left = self.room.map(|room| room.saturating_sub(before).max(REASON));
        for mut row in self.rows.drain(..) {
            if let (Some(left), Some(reason)) = (left, row.last_mut()) {
                *reason = cut(reason, left);
            }
            let cells = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}"));
            let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        text
    }
}

fn cells(hit: &Hit) -> [String; COLUMNS] {
    let time = format!("{:.3}", hit.time);
    let Some(facts) = Facts::read(&hit.line) else { return HEAD.map(|_| String::new()) };
    let result = facts.outcome.as_ref().map(word).or_else(|| facts.decision.as_ref().map(word));
    let status = facts.status.map(|status| status.to_string());
    let text =
        |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or_else(|| "-".to_owned(), plain);
    [
        time,
        text(facts.principal()),
        word(&facts.kind),
        text(result.as_deref()),
        text(facts.operation()),
        text(facts.object()),
        text(status.as_deref()),
        plain(facts.reason().unwrap_or_default()),
    ]
}

fn word(word: &impl Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::chain::Tip;
    use crate::record::line::{Decision, Entry, Kind};

    fn hit(principal: &str, reason: &str) -> Hit {
        let mut entry = Entry::new("1", jiff::Timestamp::UNIX_EPOCH, Kind::Refusal);
        entry.principal = Some(principal.to_owned());
        entry.reason = Some(reason.to_owned());
        entry.decision = Some(Decision::Deny);
        let mut line = Vec::new();
        Tip::EMPTY.clone().link(&entry, &mut line).unwrap();
        line.pop();
        Hit { chain: "here".into(), seq: 1, time: jiff::Timestamp::UNIX_EPOCH, line }
    }

    #[track_caller]
    fn check(room: Option<usize>, hit: &Hit, expected: &str) {
        let mut table = Table::new(room);
        assert_eq!(table.add(hit), None);
        let page = table.page();
        assert_eq!(page.lines().nth(1), Some(expected), "{page}");
        assert!(page.starts_with("TIME ") && page.lines().count() == 2, "{page}");
        assert_eq!(table.page(), "");
    }

    #[test]
    fn a_row_has_what_there_is_room_for_and_moves_no_cursor() {
        let row = |principal: &str, gap: &str, reason: &str| {
            format!(
                "1970-01-01T00:00:00.000Z  {principal}{gap}  refusal  deny    -          -       -       {reason}"
            )
        };
        let long = "x".repeat(300);
        check(None, &hit("ann", &long), &row("ann", "      ", &long));
        check(Some(90), &hit("ann", &long), &row("ann", "      ", &format!("{}…", "x".repeat(15))));
        check(Some(120), &hit("ann", &long), &row("ann", "      ", &format!("{}…", "x".repeat(38))));
        check(Some(0), &hit(&long, ""), row(&format!("{}…", "x".repeat(47)), "", "").trim_end());
        check(None, &hit("a\u{1b}[2Jn", "b\nc\u{202e}"), &row("a\\u{1b}[2Jn", "", "b\\nc\\u{202e}"));
    }
}
