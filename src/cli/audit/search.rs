//! `sekisho audit search`

use std::process::ExitCode;

use super::super::Failure;
use super::asked::{Asked, Hits, Output, Printer, Reader};

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// No more lines than this.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// From the latest line back.
    #[arg(long)]
    reverse: bool,
    /// How lines are printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { asked, limit, reverse, output } = arguments;
    let mut hits = Hits::of(asked.search(reverse)?);
    let mut printer = Printer::new(output);
    for hit in hits.by_ref().take(limit.unwrap_or(usize::MAX)) {
        if printer.print(&hit)? == Reader::Gone {
            return Ok(hits.code());
        }
    }
    printer.flush()?;
    Ok(hits.code())
}
