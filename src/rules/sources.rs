//! The listed address prefixes: each must be such that a text comparison cannot be led around it.

use std::path::Path;

use url::Url;

use super::names::shown;
use super::reading::Said;
use crate::mistake::Mistake;

/// Schemes that MLflow resolves to something else than the address itself. Whose that is, is decided elsewhere.
const RESOLVED: [&str; 3] = ["models", "runs", "mlflow-artifacts"];

/// Schemes whose user name is the name of a container.
const CONTAINERS: [&str; 4] = ["abfs", "abfss", "wasb", "wasbs"];

/// All prefixes, each as it was written.
pub(super) fn listed(file: &Path, prefixes: &[Said<String>], mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let mut listed: Vec<String> = Vec::new();
    for Said { line, value } in prefixes {
        let found = match check(value) {
            Ok(()) if listed.contains(value) => Err("is given twice".to_owned()),
            other => other,
        };
        match found {
            Ok(()) => listed.push(value.clone()),
            Err(what) => mistakes.push(Mistake::at(file, *line, format!("`sources.prefixes`: {what}"))),
        }
    }
    listed
}

/// The text is not repeated where it may hold a password.
fn check(text: &str) -> Result<(), String> {
    let url = Url::parse(text)
        .map_err(|error| format!("an entry is not an address like `s3://bucket/models/`: {error}"))?;
    let container = CONTAINERS.contains(&url.scheme());
    if url.password().is_some() || (!url.username().is_empty() && !container) {
        return Err("an entry has a user name or a password in it".to_owned());
    }
    let wrong = |what: &str| Err(format!("{} {what}", shown(text)));
    if RESOLVED.contains(&url.scheme()) {
        return wrong("is an address that MLflow resolves; whose files these are decides");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return wrong("has no host or bucket, like `s3://bucket/models/`");
    }
    if !text.ends_with('/') {
        return wrong("does not end in `/`; without it, it would cover its neighbours, too");
    }
    if text.contains(['?', '#', '%', '\\', '*', '{', '}', '"', '<', '>', '|', '`', '^'])
        || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return wrong("has a character that different readers read differently");
    }
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let mut segments = rest.strip_suffix('/').unwrap_or(rest).split('/');
    if segments.any(|segment| matches!(segment, "" | "." | "..")) {
        return wrong("has an empty segment, `.` or `..` in it");
    }
    if url.as_str() != text {
        return wrong(&format!("must be written {}", shown(url.as_str())));
    }
    Ok(())
}
