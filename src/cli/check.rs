//! `sekisho check`

use std::process::ExitCode;

use super::{ConfigFile, Failure, Output, print};
use crate::authn::KeySource;
use crate::authz::PolicySet;
use crate::clock::Clock;
use crate::mistake::Mistake;

pub(super) fn run(config: &ConfigFile, output: Output) -> Result<ExitCode, Failure> {
    let mistakes = mistakes(config);
    let text = match output {
        Output::Text if mistakes.is_empty() => "ok\n".to_owned(),
        Output::Text => mistakes.iter().map(|mistake| format!("{mistake}\n")).collect(),
        Output::Json => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            format!("{}\n", serde_json::json!({ "ok": lines.is_empty(), "mistakes": lines }))
        }
    };
    print(&text)?;
    Ok(if mistakes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
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
    if let Some(Err(error)) = settings.listen.tls.as_ref().map(crate::listen::check_files) {
        found.push(Mistake::of(&place, error.to_string()));
    }
    found.sort();
    found
}
