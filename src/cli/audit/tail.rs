//! `sekisho audit tail`

use std::process::ExitCode;
use std::time::Duration;

use super::super::Failure;
use super::asked::{Asked, Hits, Output, Printer, Reader, chains, tell};
use crate::review::Follower;

/// How often a record that is followed is looked at.
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// Go on with what is added, by new instances too, until somebody ends this.
    #[arg(short, long)]
    follow: bool,
    /// So many of the last lines.
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    number: usize,
    /// How lines are printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { asked, follow, number, output } = arguments;
    let folder = asked.folder()?;
    let mut follower = follow.then(|| Follower::begin(&folder, asked.filter()));
    let mut printer = Printer::new(output);
    let mut code = ExitCode::SUCCESS;
    // Who follows waits for a record that is not there yet.
    if !follow || folder.exists() && !chains(&folder)?.is_empty() {
        let mut hits = Hits::of(asked.search(true)?);
        // What was added meanwhile is given by who follows.
        let known =
            |chain: &str, seq: u64| follower.as_ref().is_none_or(|follower| seq <= follower.came_to(chain));
        let last = hits.by_ref().filter(|hit| known(&hit.chain, hit.seq)).take(number);
        let last: Vec<_> = last.collect();
        for hit in last.iter().rev() {
            if printer.print(hit)? == Reader::Gone {
                return Ok(hits.code());
            }
        }
        code = hits.code();
    }
    let (mut reader, mut told) = (printer.flush()?, Vec::new());
    while let (Some(follower), Reader::Listens) = (&mut follower, reader) {
        std::thread::sleep(TICK);
        let (hits, notes) = follower.poll();
        for hit in hits {
            printer.print(&hit)?;
        }
        let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
        // Once, and not at each look.
        if said != told {
            notes.iter().for_each(tell);
            told = said;
        }
        reader = printer.flush()?;
    }
    Ok(code)
}
