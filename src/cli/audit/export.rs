//! `sekisho audit export`

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;

use super::super::Failure;
use super::asked::{Asked, Hits, Reader, reader};
use super::csv;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// How lines are written.
    #[arg(long, value_enum)]
    format: Format,
    /// A new file, for its owner alone; stdout if not given.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The lines as they stand in the files.
    Jsonl,
    /// A row for each line, for spreadsheets. A cell that would be a formula there begins with an apostrophe.
    Csv,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { asked, format, to } = arguments;
    let mut hits = Hits::of(asked.search(false)?);
    let Some(path) = to else {
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        match reader(write(&mut hits, format, &mut out))? {
            Reader::Listens | Reader::Gone => return Ok(hits.code()),
        }
    };
    let file = made(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mut out = io::BufWriter::with_capacity(1 << 16, file);
    write(&mut hits, format, &mut out)
        .and_then(|()| out.get_ref().sync_all())
        .with_context(|| format!("{} is not whole", path.display()))?;
    Ok(hits.code())
}

/// Nothing that is there is written over.
fn made(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(hits: &mut Hits, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Jsonl => {
            for hit in hits {
                out.write_all(&hit.line)?;
                out.write_all(b"\n")?;
            }
        }
        Format::Csv => {
            out.write_all(csv::head().as_bytes())?;
            for hit in hits {
                out.write_all(csv::row(&hit).as_bytes())?;
            }
        }
    }
    out.flush()
}
