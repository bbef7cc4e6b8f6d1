//! `sekisho audit verify | head | new-key`

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::super::plain::plain;
use super::super::{ConfigFile, Failure, Output, print};
use crate::authz::kept;
use crate::clock::Clock;
use crate::record::fault::Proof;
use crate::record::folder;
use crate::record::rekey::rekey;
use crate::record::verify::{Question, verify};

pub(super) fn prove(dir: &std::path::Path, question: &Question, output: Output) -> Result<ExitCode, Failure> {
    let proved = verify(dir, question).and_then(|mut proof| {
        proof.notes.extend(kept::check(&proof.root, &proof.policies)?);
        Ok(proof)
    });
    // A key that lies beside the record may have been replaced with it.
    let elsewhere = question.key.is_some();
    let text = match (&proved, output) {
        (Ok(proof), Output::Text) => in_words(proof, elsewhere),
        (Err(fault), Output::Text) => format!("{}\n", plain(&fault.to_string())),
        (Ok(proof), Output::Json) => {
            let chains = proof.chains.iter().map(|(name, tip, unsigned)| {
                json!({ "chain": name, "seq": tip.seq, "hash": tip.hash.to_string(), "unsigned": unsigned })
            });
            let said = json!({
                "ok": true, "lines": proof.lines, "heads": proof.heads, "torn": proof.torn, "removed": proof.removed,
                "chains": chains.collect::<Vec<_>>(), "tail_proven": unproven(proof, elsewhere).is_empty(), "notes": proof.notes,
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
        text.push_str(&format!("{}\n", plain(note)));
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
        text.push_str(&format!("{}: {unsigned} lines after the last head are not signed yet\n", plain(name)));
    }
    let unproven = unproven(proof, elsewhere);
    if !unproven.is_empty() && unproven.len() < proof.chains.len() {
        text.push_str(&format!(
            "tail unproven of {}: it takes a head of each chain\n",
            plain(&unproven.join(", "))
        ));
    } else if !unproven.is_empty() {
        text.push_str("tail unproven: only a head that was kept elsewhere shows that the end was not cut (`--expect-head`, with `--public-key`)\n");
    }
    text
}

/// The chains of which no head from elsewhere shows that their end was not cut.
fn unproven(proof: &Proof, elsewhere: bool) -> Vec<&str> {
    let proven = |name: &str| elsewhere && proof.expected.iter().any(|(_, of)| of == name);
    proof.chains.iter().map(|(name, ..)| name.as_str()).filter(|name| !proven(name)).collect()
}

pub(super) fn heads(dir: &std::path::Path, output: Output) -> Result<ExitCode, Failure> {
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
                let chain = line.entry.chain.as_deref().unwrap_or_default();
                format!("{} {} {} {}\n", plain(&line.hash), plain(chain), line.seq, plain(&line.entry.time))
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

/// The old key is the configured one.
pub(super) fn change_key(config: &ConfigFile, file: &std::path::Path) -> Result<ExitCode, Failure> {
    let audit = config.read_or_stop()?.audit;
    let done = rekey(&audit.path, &audit.signing_key_file, file, &Clock::system());
    let done = done.map_err(|error| Failure { code: 1, sentences: vec![plain(&error.to_string())] })?;
    let shown = plain(&file.display().to_string());
    let mut text = match done.chains.as_slice() {
        [] => format!("the record goes on under the key {} already\n", done.key),
        chains => format!("chains that go on under the key {}: {}\n", done.key, chains.join(", ")),
    };
    text.push_str(&format!("now set `audit.signing_key_file` to `{shown}` and start sekisho again\n"));
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
