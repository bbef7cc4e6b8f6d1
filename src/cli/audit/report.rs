//! `sekisho audit report access | changes | unused-rights`

mod access;
mod changes;
mod unused;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::span::{Moment, moment};
use super::super::{ConfigFile, Failure, Output};
use super::folder_of;
use crate::audit::Reads;
use crate::clock::Clock;
use crate::replay::{Gaps, Seen};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Report {
    /// Who could do something with a model, by the rows that are configured, and who did or was refused, by the record.
    Access {
        #[command(flatten)]
        of: Of,
        /// The model's name. What it was called before is another one.
        #[arg(long, value_name = "NAME")]
        model: String,
    },
    /// What was changed of models and versions: stages, aliases, tags, descriptions and names, before and after.
    Changes {
        #[command(flatten)]
        of: Of,
        /// Of this model alone.
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Rows of the configured policies that allow something or give a role, and allowed nothing of what was asked for: in
    /// 90 days, if `--since` says nothing else.
    UnusedRights {
        #[command(flatten)]
        of: Of,
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
        Report::Access { of, model } => access::access(&of, &model),
        Report::Changes { of, model } => changes::changes(&of, model),
        Report::UnusedRights { of } => unused::unused(&of),
    }
}

/// What a report cannot know, for people.
fn untold(gaps: &Gaps, since: Option<Timestamp>, reads: Reads) -> String {
    let mut text = String::new();
    match gaps.first {
        None => text.push_str("the record has no line\n"),
        Some(first) if since.is_none_or(|since| since < first) => {
            text.push_str(&format!("the record that is there begins at {first}\n"));
        }
        Some(_) => {}
    }
    if gaps.removed > 0 {
        text.push_str(&format!("lines that were removed for their age: {}\n", gaps.removed));
    }
    if reads == Reads::Off {
        text.push_str("allowed reads are not recorded now: audit.reads is \"off\"\n");
    } else if gaps.reads == 0 {
        text.push_str("no allowed read of that time is recorded\n");
    }
    for (why, times) in &gaps.untold {
        text.push_str(&format!("not known of {times}: {why}\n"));
    }
    text
}

/// The same for programs.
fn untold_in_json(gaps: &Gaps, reads: Reads) -> Value {
    let untold: serde_json::Map<String, Value> =
        gaps.untold.iter().map(|(why, times)| (why.as_str().to_owned(), json!(times))).collect();
    json!({
        "first": gaps.first.map(|first| first.to_string()), "removed": gaps.removed, "untold": untold,
        "reads": gaps.reads, "reads_are_recorded_now": reads != Reads::Off,
    })
}

fn times(seen: &Seen) -> String {
    match seen.times {
        1 => format!("once, {}", seen.first),
        times => format!("{times} times, {} to {}", seen.first, seen.last),
    }
}
