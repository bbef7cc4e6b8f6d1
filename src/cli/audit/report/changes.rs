//! `sekisho audit report changes`

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::super::super::plain::plain;
use super::super::super::{Failure, Output, print};
use super::super::asked::{chains, tell};
use super::Of;
use crate::record::line::{Entry, Kind, Line, Outcome};
use crate::review::{Event, Filter, Search, Settings};

pub(super) fn changes(of: &Of, model: Option<String>) -> Result<ExitCode, Failure> {
    let folder = of.folder()?;
    let filter =
        Filter { model, kinds: vec![Kind::Outcome, Kind::System], since: of.since(), ..Filter::default() };
    let settings = Settings { reverse: false, indexes: true };
    let (mut text, mut listed, mut whole) = (String::new(), Vec::new(), true);
    let chains = chains(&folder)?;
    if chains.is_empty() {
        return Err(Failure {
            code: 1,
            sentences: vec![format!("{}: there is no record", folder.display())],
        });
    }
    let mut unknown: u64 = 0;
    for event in Search::begin(&chains, filter, settings) {
        let hit = match event {
            Event::Hit(hit) => hit,
            Event::Note(note) => {
                whole &= !note.leaves_out();
                tell(&note);
                continue;
            }
        };
        let Ok(Line { entry, .. }) = serde_json::from_slice(&hit.line) else {
            whole = false;
            continue;
        };
        unknown += u64::from(entry.outcome == Some(Outcome::Unknown));
        let done = entry.outcome == Some(Outcome::Applied) || entry.kind == Kind::System;
        if entry.after.is_empty() || !done {
            continue;
        }
        match of.output {
            Output::Text => text.push_str(&change(&entry)),
            Output::Json => listed.push(json!({
                "time": entry.time, "principal": entry.principal, "object": entry.object, "before": entry.before,
                "after": entry.after, "approvals": entry.approvals, "evidence": entry.evidence, "id": entry.id,
            })),
        }
    }
    match of.output {
        Output::Text => print(&text)?,
        Output::Json => print(&format!("{}\n", Value::from(listed)))?,
    }
    if unknown > 0 {
        let told =
            format!("sekisho: {unknown} writes of which nobody knows whether they were done are left out");
        let _ = std::io::stderr().write_all((told + "\n").as_bytes());
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// One line for each thing that was changed.
fn change(entry: &Entry) -> String {
    let mut text = String::new();
    for (name, after) in leaves(&entry.after) {
        let before = leaves(&entry.before).into_iter().find(|(before, _)| *before == name);
        let before = before.map_or(Value::Null, |(_, value)| value);
        let given = if entry.approvals.is_empty() {
            String::new()
        } else {
            let numbers: Vec<String> = entry.approvals.iter().map(ToString::to_string).collect();
            format!(" (approvals {})", numbers.join(", "))
        };
        text.push_str(&format!(
            "{} {} {}: {} {} -> {}{given}\n",
            plain(&entry.time),
            plain(entry.principal.as_deref().unwrap_or("sekisho")),
            plain(entry.object.as_deref().unwrap_or_default()),
            plain(&name),
            plain(&before.to_string()),
            plain(&after.to_string()),
        ));
    }
    text
}

/// `tags.k` and `aliases.a`, and what is not below anything.
fn leaves(told: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in told {
        let fields = value.as_object().filter(|_| ["tags", "aliases"].contains(&name.as_str()));
        match fields {
            Some(fields) => {
                found.extend(fields.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
            }
            None => found.push((name.clone(), value.clone())),
        }
    }
    found
}
