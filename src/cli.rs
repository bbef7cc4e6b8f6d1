//! The commands. They translate words to rooms and answers to exit codes: 0 fine, 1 the thing checked does not hold, 2
//! wrong usage or no start.

mod approval;
mod audit;
mod check;
mod plain;
mod policy;
mod replay;
mod routes;
mod serve;
mod span;
mod token;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Config};
use crate::mistake::Mistake;

/// An authenticating proxy in front of an unmodified MLflow server.
#[derive(Debug, Parser)]
#[command(name = "sekisho", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Serve {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Validate configuration and policies, and report every mistake at once: exit 0 or 1.
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Try names instead, one a line: each must be allowed by the rules, and no two may look alike. `-` reads them
        /// from standard input.
        #[arg(long, value_name = "FILE")]
        names: Option<PathBuf>,
        /// How mistakes are printed.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Make and look at tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Ask the policies.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Ask for transitions, see who asks, approve and reject.
    #[command(subcommand)]
    Approval(approval::Command),
    /// Prove the record, print heads to be kept elsewhere, search it, follow it and export it.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print the route table, or compare it with a list of routes of an installed MLflow.
    Routes(routes::Arguments),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// A TOML file. `SEKISHO_<SECTION>__<KEY>` variables go before it; defaults hold for the rest.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A command's end that is not 0.
#[derive(Debug)]
struct Failure {
    code: u8,
    sentences: Vec<String>,
}

/// Runs the program's command.
#[must_use]
pub fn run() -> ExitCode {
    crate::authn::install_crypto();
    let done = match Arguments::parse().command {
        Command::Serve { config } => serve::run(&config),
        Command::Check { config, names, output } => check::run(&config, names.as_deref(), output),
        Command::Token(command) => token::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Approval(command) => approval::run(&command),
        Command::Audit(command) => audit::run(command),
        Command::Routes(arguments) => routes::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            for sentence in &failure.sentences {
                let _ = writeln!(std::io::stderr(), "sekisho: {sentence}");
            }
            ExitCode::from(failure.code)
        }
    }
}

impl ConfigFile {
    fn read(&self) -> Result<Config, Vec<Mistake>> {
        config::read(self.config.as_deref(), config::environment())
    }

    fn read_or_stop(&self) -> Result<Config, Failure> {
        self.read().map_err(|mistakes| Failure::stop_all(&mistakes))
    }
}

impl Failure {
    fn stop(sentence: impl std::fmt::Display) -> Self {
        Self { code: 2, sentences: vec![sentence.to_string()] }
    }

    fn stop_all(mistakes: &[Mistake]) -> Self {
        Self { code: 2, sentences: mistakes.iter().map(ToString::to_string).collect() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::stop(format!("{error:#}"))
    }
}

/// Prints to stdout; a closed pipe is nobody's mistake.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot print").map_err(Failure::from)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
