//! Requests for people: what would go where, who asked and why, who approved, what is missing.

use std::fmt::Write as _;

use serde::Deserialize;

use super::super::plain::plain;

/// A request, as sekisho's API tells of it.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    number: i64,
    name: String,
    version: String,
    from: String,
    to: String,
    state: String,
    asked_by: String,
    asked_at: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    approvals: Vec<Approval>,
    lacks: Option<String>,
    break_glass: Option<String>,
    closed: Option<Closed>,
}

#[derive(Debug, Deserialize)]
struct Approval {
    user: String,
    at: String,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
struct Closed {
    by: String,
    #[serde(default)]
    comment: String,
    at: String,
}

const HEAD: [&str; 9] =
    ["NUMBER", "MODEL", "VERSION", "FROM", "TO", "ASKED BY", "ASKED AT", "APPROVED BY", "STATE"];

/// One request, a line for each thing that matters to whoever decides on it.
pub(super) fn request(request: &Request) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{label:<10} {}", plain(value));
        }
    };
    line("request", &format!("{} ({})", request.number, request.state));
    line("model", &request.name);
    line("version", &request.version);
    line("from", &request.from);
    line("to", &request.to);
    line("asked by", &format!("{} at {}", request.asked_by, request.asked_at));
    line("why", &request.comment);
    let digest = if request.digest.is_empty() { "none" } else { &request.digest };
    line("digest", digest);
    line("against", request.break_glass.as_ref().map_or("", |_| "the rules of stages were broken for this"));
    if request.approvals.is_empty() {
        line("approved", "by nobody");
    }
    for approval in &request.approvals {
        line("approved", &said("by", &approval.user, &approval.at, &approval.comment));
    }
    line("missing", request.lacks.as_deref().unwrap_or_default());
    if let Some(closed) = &request.closed {
        let by = if closed.by.is_empty() { "sekisho" } else { &closed.by };
        line(&request.state, &said("by", by, &closed.at, &closed.comment));
    }
    text
}

fn said(how: &str, who: &str, at: &str, comment: &str) -> String {
    let colon = if comment.is_empty() { "" } else { ": " };
    format!("{how} {who} at {at}{colon}{comment}")
}

/// What has become of a request, and why where somebody said so.
fn ended(request: &Request) -> String {
    match request.closed.as_ref().map(|closed| closed.comment.as_str()) {
        None | Some("") => request.state.clone(),
        Some(why) => format!("{}: {why}", request.state),
    }
}

/// Several requests, a line each.
pub(super) fn table(requests: &[Request]) -> String {
    let row = |request: &Request| {
        let mut approved: Vec<&str> =
            request.approvals.iter().map(|approval| approval.user.as_str()).collect();
        // Who renewed an approval has several.
        approved.sort_unstable();
        approved.dedup();
        let approved = if approved.is_empty() { "-".to_owned() } else { approved.join(", ") };
        [
            &request.number.to_string(),
            &request.name,
            &request.version,
            &request.from,
            &request.to,
            &request.asked_by,
            &request.asked_at,
            &approved,
            &ended(request),
        ]
        .map(|cell| plain(cell))
    };
    let rows: Vec<[String; 9]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(requests.iter().map(row)).collect();
    let width = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decides_sees_what_matters_and_nobody_elses_lines() {
        let whole = serde_json::json!({
            "number": 7, "name": "fraud", "version": "3", "from": "Canary", "to": "Production", "state": "open",
            "asked_by": "ann", "asked_at": "2026-11-24T10:00:00Z", "comment": "please\napproved   by root\u{202e}",
            "digest": "ab12", "lacks": "2 approvals are needed and 1 counts",
            "approvals": [{ "number": 1, "user": "cara", "at": "2026-11-24T11:00:00Z", "comment": "fine" }],
        });
        let read: Request = serde_json::from_value(whole).unwrap();
        let expected = "request    7 (open)\nmodel      fraud\nversion    3\nfrom       Canary\nto         Production\n\
                        asked by   ann at 2026-11-24T10:00:00Z\nwhy        please\\napproved   by root\\u{202e}\n\
                        digest     ab12\napproved   by cara at 2026-11-24T11:00:00Z: fine\n\
                        missing    2 approvals are needed and 1 counts\n";
        assert_eq!(request(&read), expected);
        let listed = table(&[read]);
        assert_eq!(listed.lines().count(), 2, "{listed}");
        assert!(listed.contains("fraud") && listed.contains("cara"), "{listed}");
    }
}
