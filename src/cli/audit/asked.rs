//! What `search`, `tail` and `export` are asked for, and how hits and notes are given.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use super::super::plain::plain;
use super::super::span::{Moment, moment};
use super::super::{ConfigFile, Failure};
use super::table::Table;
use crate::clock::Clock;
use crate::record::line::{Decision, Kind, Outcome};
use crate::review::{self, Event, Filter, Hit, Note, Search, Settings};

/// Which lines of which record.
#[derive(Debug, Args)]
pub(super) struct Asked {
    #[command(flatten)]
    config: ConfigFile,
    /// The record, or one chain of it; the configured one if not given.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Who.
    #[arg(long, value_name = "USER")]
    principal: Option<String>,
    /// What was done: the first permission that was demanded, or the word of a system line.
    #[arg(long)]
    operation: Option<String>,
    /// The name of a model: what was done to it or to anything below it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// An object as lines have it, such as `model:iris/alias/champion`, exactly.
    #[arg(long)]
    object: Option<String>,
    /// A stage that was demanded, asked for, left or come to; the case of letters does not matter.
    #[arg(long)]
    stage: Option<String>,
    /// What was decided.
    #[arg(long, value_parser = words::<Decision>(["allow", "deny"]))]
    decision: Option<Decision>,
    /// What it is about; give it several times for any of several.
    #[arg(long = "kind", value_name = "KIND",
        value_parser = words::<Kind>(["read", "reads", "refusal", "intent", "outcome", "system", "head"]))]
    kinds: Vec<Kind>,
    /// What became of a write.
    #[arg(long, value_parser = words::<Outcome>(["applied", "not_applied", "unknown"]))]
    outcome: Option<Outcome>,
    /// The request's id.
    #[arg(long)]
    id: Option<String>,
    /// From this time on: 2026-11-30T09:00:00Z, a day (UTC), or so long ago: 90d, 8h, 30m.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Before this time, written like `--since`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// Words that stand in a line's values, all of them, whatever the case of letters.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Read every line, and neither use nor make what searches note of closed files.
    #[arg(long)]
    no_index: bool,
}

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// The lines as they stand in the file.
    Json,
}

impl Asked {
    pub(super) fn folder(&self) -> Result<PathBuf, Failure> {
        super::folder_of(&self.config, self.dir.clone())
    }

    pub(super) fn filter(&self) -> Filter {
        let now = Clock::system().now();
        let text = self.text.as_deref().unwrap_or_default();
        Filter {
            principal: self.principal.clone(),
            operation: self.operation.clone(),
            model: self.model.clone(),
            object: self.object.clone(),
            stage: self.stage.clone(),
            decision: self.decision,
            kinds: self.kinds.clone(),
            outcome: self.outcome,
            id: self.id.clone(),
            since: self.since.map(|time| time.from(now)),
            until: self.until.map(|time| time.from(now)),
            words: text.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Begins a search.
    pub(super) fn search(&self, reverse: bool) -> Result<Search, Failure> {
        let folder = self.folder()?;
        let chains = chains(&folder)?;
        if chains.is_empty() {
            return Err(Failure {
                code: 1,
                sentences: vec![format!("{}: there is no record", folder.display())],
            });
        }
        Ok(Search::begin(&chains, self.filter(), Settings { reverse, indexes: !self.no_index }))
    }
}

/// The hits of a search. What there is to say beside them is said on stderr.
pub(super) struct Hits {
    search: Search,
    /// Whether lines may have been left out.
    pub(super) whole: bool,
}

impl Hits {
    pub(super) fn of(search: Search) -> Self {
        Self { search, whole: true }
    }

    /// How a command ends that has given all of them.
    pub(super) fn code(&self) -> ExitCode {
        if self.whole { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
}

impl Iterator for Hits {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        loop {
            match self.search.next()? {
                Event::Hit(hit) => return Some(hit),
                Event::Note(note) => {
                    self.whole &= !note.leaves_out();
                    tell(&note);
                }
            }
        }
    }
}

/// Prints lines to stdout.
pub(super) struct Printer {
    out: io::BufWriter<io::StdoutLock<'static>>,
    table: Option<Table>,
}

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Listens,
    Gone,
}

impl Printer {
    pub(super) fn new(output: Output) -> Self {
        let table = match output {
            Output::Table => Some(Table::of_terminal()),
            Output::Json => None,
        };
        Self { out: io::BufWriter::with_capacity(1 << 16, io::stdout().lock()), table }
    }

    pub(super) fn print(&mut self, hit: &Hit) -> Result<Reader, Failure> {
        let written = match &mut self.table {
            Some(table) => match table.add(hit) {
                Some(page) => self.out.write_all(page.as_bytes()),
                None => Ok(()),
            },
            None => self.out.write_all(&hit.line).and_then(|()| self.out.write_all(b"\n")),
        };
        reader(written)
    }

    /// Prints what is held back.
    pub(super) fn flush(&mut self) -> Result<Reader, Failure> {
        let page = self.table.as_mut().map(Table::page).unwrap_or_default();
        reader(self.out.write_all(page.as_bytes()).and_then(|()| self.out.flush()))
    }
}

/// A closed pipe is nobody's mistake, and no reason to search on.
pub(super) fn reader(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error).context("cannot print").map_err(Failure::from),
    }
}

pub(super) fn tell(note: &Note) {
    let _ = writeln!(io::stderr(), "sekisho: {}", plain(&note.to_string()));
}

pub(super) fn chains(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let found = review::chains(folder).with_context(|| format!("cannot read {}", folder.display()));
    Ok(found?)
}

fn words<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}
