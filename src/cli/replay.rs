//! `sekisho policy replay`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::audit::folder_of;
use super::span::{Moment, moment};
use super::{ConfigFile, Failure, Output, print};
use crate::authz::PolicySet;
use crate::clock::Clock;
use crate::replay::{Difference, Replayed, replay};
use crate::rules::names::plain;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The other policies.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// From this time on: 2026-11-30T09:00:00Z, a day (UTC), or so long ago: 90d, 8h, 30m.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// The record, or one chain of it; the configured one if not given.
    #[arg(long, value_name = "RECORD")]
    dir: Option<PathBuf>,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { config, policies, since, dir, output } = arguments;
    let since = since.map(|since| since.from(Clock::system().now()));
    let require_model_access = config.read_or_stop()?.auth.require_model_access;
    let folder = folder_of(&config, dir)?;
    let other = PolicySet::load(&policies).map_err(|mistakes| Failure::stop_all(&mistakes))?;
    let version = other.version().to_string();
    let replayed = replay(&folder, since, other, require_model_access)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    print(&match output {
        Output::Text => in_words(&replayed, &version),
        Output::Json => format!("{}\n", in_json(&replayed, &version)),
    })?;
    Ok(if replayed.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn in_words(replayed: &Replayed, version: &str) -> String {
    let Replayed { lines, decided, differences, undecided, removed } = replayed;
    let mut text = format!("{decided} decisions of {lines} lines, made again under the policies {version}\n");
    for (allowed, title) in [(false, "would be refused:"), (true, "would be allowed:")] {
        let listed: Vec<_> = differences.iter().filter(|one| one.allowed == allowed).collect();
        if !listed.is_empty() {
            text.push_str(&format!("{title}\n"));
        }
        listed.iter().for_each(|one| text.push_str(&shown(one)));
    }
    if differences.is_empty() {
        text.push_str("nothing differs\n");
    }
    let missing: Vec<_> = undecided.iter().filter(|(why, _)| !why.is_no_decision()).collect();
    let total = missing.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(**count));
    if total > 0 {
        text.push_str(&format!("cannot be decided: {total}\n"));
        missing.iter().for_each(|(why, count)| text.push_str(&format!("  {count}  {why}\n")));
    }
    let no_decisions: Vec<_> = undecided.iter().filter(|(why, _)| why.is_no_decision()).collect();
    if !no_decisions.is_empty() {
        text.push_str("no decisions of policies:\n");
        no_decisions.iter().for_each(|(why, count)| text.push_str(&format!("  {count}  {why}\n")));
    }
    if *removed > 0 {
        text.push_str(&format!("lines that were removed for their age: {removed}\n"));
    }
    text
}

/// One group on two lines. What the record holds is not believed to be fit for a terminal.
fn shown(one: &Difference) -> String {
    let Difference { principal, roles, operation, object, was, rows, why, seen, .. } = one;
    let now = word(one.allowed);
    let times = if seen.times == 1 {
        format!("once, {}", seen.first)
    } else {
        format!("{} times, {} to {}", seen.times, seen.first, seen.last)
    };
    let verb = if rows.len() == 1 { "allows" } else { "allow" };
    let because = why.clone().unwrap_or_else(|| format!("{} {verb} it", rows.join(", ")));
    format!(
        "  {} [{}] {} {}: {} -> {now}, {times}\n      {}\n",
        plain(principal),
        plain(&roles.join(", ")),
        plain(operation),
        plain(object),
        was.as_str(),
        plain(&because),
    )
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "refused" }
}

fn in_json(replayed: &Replayed, version: &str) -> Value {
    let differences = replayed.differences.iter().map(|one| {
        json!({
            "principal": one.principal, "roles": one.roles, "operation": one.operation, "object": one.object,
            "was": one.was.as_str(), "would_be": word(one.allowed), "count": one.seen.times,
            "first": one.seen.first.to_string(), "last": one.seen.last.to_string(), "rows": one.rows, "why": one.why,
        })
    });
    let counted = |no_decisions: bool| -> Value {
        let of_these = replayed.undecided.iter().filter(|(why, _)| why.is_no_decision() == no_decisions);
        of_these
            .map(|(why, count)| (why.as_str().to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "policy": version, "lines": replayed.lines, "decided": replayed.decided, "removed": replayed.removed,
        "differs": differences.collect::<Vec<_>>(), "undecided": counted(false), "no_decision": counted(true),
    })
}
