//! `sekisho routes`

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{Failure, Output, print};
use crate::route::coverage;
use crate::route::table::rows;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Lines `METHOD PATH` taken from an installed MLflow: what the table lacks is an error, exit 1.
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Serialize)]
struct Line {
    method: &'static str,
    path: String,
    permission: String,
    object: String,
    access: &'static str,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.coverage {
        Some(file) => compare(file, arguments.output),
        None => table(arguments.output),
    }
}

fn table(output: Output) -> Result<ExitCode, Failure> {
    let mut lines: Vec<Line> = rows()
        .flat_map(|row| {
            let (permission, object) = row.needs_in_words();
            row.paths().map(move |path| Line {
                method: row.verb.as_str(),
                path,
                permission: permission.clone(),
                object: object.clone(),
                access: row.access.as_str(),
            })
        })
        .collect();
    lines.sort_by(|one, other| (&one.path, one.method).cmp(&(&other.path, other.method)));
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&lines).context("cannot print")? + "\n",
        Output::Text => {
            let width = lines.iter().map(|line| line.path.len()).max().unwrap_or(0);
            let mut text = String::new();
            for Line { method, path, permission, object, access } in &lines {
                let _ = writeln!(text, "{method:6} {path:width$} {access:5} {permission} on {object}");
            }
            text
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn compare(file: &PathBuf, output: Output) -> Result<ExitCode, Failure> {
    let list = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = coverage::compare(&list).with_context(|| file.display().to_string())?;
    let text = match output {
        Output::Json => {
            let whole = serde_json::json!({ "unknown": found.unknown, "absent": found.absent, "shared": found.shared });
            format!("{whole}\n")
        }
        Output::Text => {
            let mut text = String::new();
            for line in &found.unknown {
                let _ = writeln!(text, "unknown to the table, so refused: {line}");
            }
            for line in &found.absent {
                let _ = writeln!(text, "in the table, not in this MLflow: {line}");
            }
            let _ = writeln!(
                text,
                "{} in both, {} unknown, {} only in the table",
                found.shared,
                found.unknown.len(),
                found.absent.len()
            );
            text
        }
    };
    print(&text)?;
    Ok(if found.unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
