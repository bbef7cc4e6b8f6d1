//! `sekisho audit verify | head`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use serde_json::json;

use super::{ConfigFile, Failure, Output, print};
use crate::record::chain::Hash;
use crate::record::fault::Proof;
use crate::record::folder;
use crate::record::key::PublicKey;
use crate::record::verify::{Question, verify};

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
        /// The hash of a head that was written down elsewhere, which must still be there.
        #[arg(long, value_name = "HASH")]
        expect_head: Option<String>,
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
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify { config, dir, public_key, expect_head, output } => {
            let key = public_key.as_deref().map(PublicKey::read).transpose();
            let key = key.map_err(|error| anyhow!("{error}"))?;
            let elsewhere = key.is_some() && expect_head.is_some();
            let expected = match expect_head {
                Some(text) => Some(
                    Hash::read(&text)
                        .ok_or_else(|| anyhow!("`--expect-head` takes 64 lower-case hexadecimal digits"))?,
                ),
                None => None,
            };
            prove(&folder_of(&config, dir)?, &Question { key, expected }, elsewhere, output)
        }
        Command::Head { config, dir, output } => heads(&folder_of(&config, dir)?, output),
    }
}

/// Where the record is: as it was said, or as it is configured.
pub(super) fn folder_of(config: &ConfigFile, dir: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match dir {
        Some(dir) => Ok(dir),
        None => Ok(config.read_or_stop()?.audit.path),
    }
}

fn prove(
    dir: &std::path::Path,
    question: &Question,
    elsewhere: bool,
    output: Output,
) -> Result<ExitCode, Failure> {
    let proved = verify(dir, question);
    let text = match (&proved, output) {
        (Ok(proof), Output::Text) => in_words(proof, elsewhere),
        (Err(fault), Output::Text) => format!("{fault}\n"),
        (Ok(proof), Output::Json) => {
            let chains = proof.chains.iter().map(|(name, tip, unsigned)| {
                json!({ "chain": name, "seq": tip.seq, "hash": tip.hash.to_string(), "unsigned": unsigned })
            });
            let said = json!({
                "ok": true, "lines": proof.lines, "heads": proof.heads, "torn": proof.torn, "removed": proof.removed,
                "chains": chains.collect::<Vec<_>>(), "tail_proven": elsewhere, "notes": proof.notes,
            });
            format!("{said}\n")
        }
        (Err(fault), Output::Json) => {
            let said = json!({
                "ok": false, "file": fault.path.display().to_string(), "line": fault.line, "what": fault.what.to_string(),
            });
            format!("{said}\n")
        }
    };
    print(&text)?;
    Ok(if proved.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn in_words(proof: &Proof, elsewhere: bool) -> String {
    let mut text = format!("verified {} lines, {} heads\n", proof.lines, proof.heads);
    for note in &proof.notes {
        text.push_str(&format!("{note}\n"));
    }
    if proof.torn > 0 {
        text.push_str(&format!("lines that a crash tore, and that are told of: {}\n", proof.torn));
    }
    if proof.removed > 0 {
        text.push_str(&format!(
            "lines that were removed for their age, by signed stubs: {}\n",
            proof.removed
        ));
    }
    for (name, _, unsigned) in proof.chains.iter().filter(|(_, _, unsigned)| *unsigned > 0) {
        text.push_str(&format!("{name}: {unsigned} lines after the last head are not signed yet\n"));
    }
    if !elsewhere {
        text.push_str("tail unproven: only a head that was kept elsewhere shows that the end was not cut (`--expect-head`, with `--public-key`)\n");
    }
    text
}

fn heads(dir: &std::path::Path, output: Output) -> Result<ExitCode, Failure> {
    let chains = folder::chains(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut found = Vec::new();
    for chain in chains {
        let path = chain.join(folder::HEAD);
        let Ok(text) = std::fs::read(&path) else { continue };
        let line: crate::record::line::Line = serde_json::from_slice(text.trim_ascii())
            .with_context(|| format!("{} is no head", path.display()))?;
        found.push(line);
    }
    if found.is_empty() {
        return Err(Failure { code: 1, sentences: vec![format!("{}: there is no head", dir.display())] });
    }
    let text = match output {
        Output::Text => found
            .iter()
            .map(|line| {
                format!(
                    "{} {} {} {}\n",
                    line.hash,
                    line.entry.chain.as_deref().unwrap_or_default(),
                    line.seq,
                    line.entry.time
                )
            })
            .collect(),
        Output::Json => {
            let heads: Vec<_> = found
                .iter()
                .map(|line| json!({ "hash": line.hash, "chain": line.entry.chain, "seq": line.seq, "time": line.entry.time }))
                .collect();
            format!("{}\n", json!(heads))
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
