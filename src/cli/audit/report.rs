//! `sekisho audit report changes`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::plain::plain;
use super::super::span::{Moment, moment};
use super::super::{ConfigFile, Failure, Output, print};
use super::asked::{chains, tell};
use super::folder_of;
use crate::clock::Clock;
use crate::record::line::{Entry, Kind, Line, Outcome};
use crate::review::{Event, Filter, Search, Settings};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Report {
    /// What was changed of models and versions: stages, aliases, tags, descriptions and names, before and after.
    Changes {
        #[command(flatten)]
        of: Of,
        /// Of this model alone.
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
}

/// Which record, and since when.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Of {
    #[command(flatten)]
    config: ConfigFile,
    /// The record, or one chain of it; the configured one if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// From this time on: 2026-11-30T09:00:00Z, a day (UTC), or so long ago: 90d, 8h, 30m.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

impl Of {
    fn since(&self) -> Option<Timestamp> {
        let now = Clock::system().now();
        self.since.map(|since| since.from(now))
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        folder_of(&self.config, self.dir.clone())
    }
}

pub(super) fn run(report: Report) -> Result<ExitCode, Failure> {
    match report {
        Report::Changes { of, model } => changes(&of, model),
    }
}

fn changes(of: &Of, model: Option<String>) -> Result<ExitCode, Failure> {
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
