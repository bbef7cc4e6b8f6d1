//! `sekisho audit verify | head | search | tail | export | new-key | report`

mod asked;
mod csv;
mod export;
mod prove;
mod report;
mod search;
mod table;
mod tail;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;

use super::{ConfigFile, Failure, Output};
use crate::record::chain::Hash;
use crate::record::key::PublicKey;
use crate::record::verify::Question;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prove that no line was changed, removed, put in or moved: prints `verified N lines, M heads` and exits 0, or names
    /// the first bad line and exits 1.
    Verify {
        #[command(flatten)]
        config: ConfigFile,
        /// The record, or one chain of it; the configured one if not given.
        dir: Option<PathBuf>,
        /// The public key; the one that lies beside the record if not given.
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// The hash of a head that was written down elsewhere, which must still be there; once for each chain.
        #[arg(long, value_name = "HASH")]
        expect_head: Vec<String>,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Print the last head of each chain, to be kept elsewhere.
    Head {
        #[command(flatten)]
        config: ConfigFile,
        /// The record; the configured one if not given.
        dir: Option<PathBuf>,
        /// How the heads are printed.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Print the lines for which all that is asked for holds, in the order of time. Nothing is proved: see `verify`.
    Search(search::Arguments),
    /// Print the last lines, and those that are added if asked to.
    Tail(tail::Arguments),
    /// Write the lines for which all that is asked for holds to a file or to stdout, for other programs.
    Export(export::Arguments),
    /// Have every chain go on under another key, which is made if FILE is not there; no sekisho may be writing. Then name
    /// FILE in `audit.signing_key_file`.
    NewKey {
        #[command(flatten)]
        config: ConfigFile,
        /// The new private key.
        file: PathBuf,
    },
    /// Print a report.
    #[command(subcommand)]
    Report(report::Report),
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify { config, dir, public_key, expect_head, output } => {
            let key = public_key.as_deref().map(PublicKey::read).transpose();
            let key = key.map_err(|error| anyhow!("{error}"))?;
            let wrong = || anyhow!("`--expect-head` takes 64 lower-case hexadecimal digits");
            let expected = expect_head.iter().map(|text| Hash::read(text).ok_or_else(wrong));
            let question = Question { key, expected: expected.collect::<Result<_, _>>()? };
            prove::prove(&folder_of(&config, dir)?, &question, output)
        }
        Command::Head { config, dir, output } => prove::heads(&folder_of(&config, dir)?, output),
        Command::Search(arguments) => search::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::NewKey { config, file } => prove::change_key(&config, &file),
        Command::Report(report) => report::run(report),
    }
}

/// Where the record is: as it was said, or as it is configured.
pub(super) fn folder_of(config: &ConfigFile, dir: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match dir {
        Some(dir) => Ok(dir),
        None => Ok(config.read_or_stop()?.audit.path),
    }
}
