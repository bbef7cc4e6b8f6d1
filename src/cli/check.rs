//! `sekisho check`

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::{ConfigFile, Failure, Output, print};
use crate::authn::KeySource;
use crate::authz::PolicySet;
use crate::clock::Clock;
use crate::mistake::Mistake;
use crate::rules::names::{Names, plain, skeleton};

pub(super) fn run(config: &ConfigFile, names: Option<&Path>, output: Output) -> Result<ExitCode, Failure> {
    let lines = match names {
        Some(list) => wrong_names(config, list)?,
        None => told(&mistakes(config)),
    };
    let text = match output {
        Output::Text if lines.is_empty() => "ok\n".to_owned(),
        Output::Text => lines.iter().map(|line| format!("{line}\n")).collect(),
        Output::Json => {
            format!("{}\n", serde_json::json!({ "ok": lines.is_empty(), "mistakes": lines }))
        }
    };
    print(&text)?;
    Ok(if lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What is wrong with each name of a list; else with the rules that it was to be held to.
fn wrong_names(config: &ConfigFile, list: &Path) -> Result<Vec<String>, Failure> {
    let policies = match config.read().and_then(|config| PolicySet::load(&config.policies_dir)) {
        Ok(policies) => policies,
        Err(mistakes) => return Ok(told(&mistakes)),
    };
    let bytes = if list == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(list)
    };
    let bytes = bytes.with_context(|| format!("cannot read {}", list.display()))?;
    Ok(wrong_among(&policies.rules().names, list, &bytes))
}

fn wrong_among(names: &Names, list: &Path, bytes: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut looks: HashMap<String, (usize, &str)> = HashMap::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(name) = std::str::from_utf8(line) else {
            wrong.push(Mistake::at(list, number, "is not UTF-8").to_string());
            continue;
        };
        if name.is_empty() {
            continue;
        }
        if let Err(what) = names.read(name) {
            wrong.push(what.to_string());
        }
        let (line, known) = *looks.entry(skeleton(name)).or_insert((number, name));
        if known != name {
            wrong.push(format!("{}: looks like `{}` of line {line}", plain(name), plain(known)));
        }
    }
    wrong
}

fn told(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(ToString::to_string).collect()
}

fn mistakes(file: &ConfigFile) -> Vec<Mistake> {
    let config = match file.read() {
        Ok(config) => config,
        Err(mistakes) => return mistakes,
    };
    let place = file.config.clone().unwrap_or_else(|| "environment".into());
    let mut found = PolicySet::load(&config.policies_dir).err().unwrap_or_default();
    let settings = config.into_settings();
    found.extend(settings.authn.mistakes().iter().map(|error| Mistake::of(&place, error.to_string())));
    for issuer in &settings.authn.issuers {
        if let KeySource::JwksFile(path) = &issuer.key {
            let alone = crate::authn::Settings { issuers: vec![issuer.clone()], ..settings.authn.clone() };
            if let Err(error) = crate::authn::Authenticator::new(alone, Clock::system()) {
                found.push(Mistake::of(path, error.to_string()));
            }
        }
    }
    found.extend(settings.record.obstacle().map(|what| Mistake::of(&place, what)));
    found.extend(settings.state.obstacle().map(|what| Mistake::of(&place, format!("`state.url`: {what}"))));
    if let Some(Err(error)) = settings.listen.tls.as_ref().map(crate::listen::check_files) {
        found.push(Mistake::of(&place, error.to_string()));
    }
    found.sort();
    found
}
