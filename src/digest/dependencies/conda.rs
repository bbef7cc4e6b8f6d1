//! Dependencies from YAML: a conda environment and MLflow's own `python_env.yaml`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::pip;

/// `conda.yaml`: packages of conda's, and a list of pip's among them.
#[derive(Deserialize)]
struct Environment {
    #[serde(default)]
    dependencies: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Text(String),
    Pip { pip: Option<Vec<Item>> },
    Other(IgnoredAny),
}

/// Nothing where it is no conda environment.
pub(super) fn of_conda(text: &str) -> Option<BTreeSet<String>> {
    let Environment { dependencies } = yaml(text)?;
    let mut found = BTreeSet::new();
    for item in dependencies.unwrap_or_default() {
        match item {
            Item::Text(spec) => found.extend(of_spec(&spec)),
            Item::Pip { pip } => found.extend(of_lines(pip.unwrap_or_default())),
            Item::Other(_) => {}
        }
    }
    Some(found)
}

/// Nothing where it is no such file. Its `-r requirements.txt` names a file that would have been read instead.
pub(super) fn of_python_env(text: &str) -> Option<BTreeSet<String>> {
    let Environment { dependencies } = yaml(text)?;
    Some(of_lines(dependencies.unwrap_or_default()))
}

fn of_lines(items: Vec<Item>) -> BTreeSet<String> {
    let lines = items.into_iter().filter_map(|item| match item {
        Item::Text(line) => pip::of_line(&line),
        Item::Pip { .. } | Item::Other(_) => None,
    });
    lines.collect()
}

fn yaml<T: DeserializeOwned>(text: &str) -> Option<T> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_nodes: 50_000,
            max_documents: 1,
            max_anchors: 100,
            max_aliases: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).ok()
}

/// A package as conda writes it (`channel::name=version=build`), as PEP 508 would. Of versions that PEP 508 cannot write,
/// the name stays. `python` is the interpreter and no dependency.
fn of_spec(spec: &str) -> Option<String> {
    let spec = spec.trim();
    let spec = spec.rsplit_once("::").map_or(spec, |(_, package)| package).trim_start();
    let (name, rest) = pip::split_name(spec)?;
    if name == "python" || rest.starts_with(':') {
        return None;
    }
    // What follows in brackets narrows the choice: by build, channel, or version.
    let rest = rest.split_once('[').map_or(rest, |(rest, _)| rest).trim();
    let versions = versions(rest).and_then(|text| pip::versions(&text)).unwrap_or_default();
    Some(format!("{name}{versions}"))
}

/// <https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html#package-match-specifications>
fn versions(text: &str) -> Option<String> {
    if text.contains('|') {
        return None;
    }
    if let Some(exact) = text.strip_prefix("==") {
        return one("==", exact.trim_start().split([' ', '=', ',']).next()?);
    }
    if let Some(version) = text.strip_prefix('=') {
        let version = version.trim_start();
        return match version.split_once([' ', '=']) {
            Some((version, _)) => one("==", version),
            None if version.contains(',') => None,
            None => one("==", &format!("{}.*", version.trim_end_matches('*').trim_end_matches('.'))),
        };
    }
    let close = ["=", "<", ">", ","]
        .iter()
        .fold(text.to_owned(), |text, sign| text.replace(&format!("{sign} "), sign));
    let parts = close.split(' ').next()?.split(',').map(|part| {
        let digits = part.trim_start_matches(['<', '>', '=', '!', '~']);
        let operator = part.strip_suffix(digits).unwrap_or_default();
        one(if operator.is_empty() { "==" } else { operator }, digits)
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join(","))
}

/// One condition on the version; PEP 440 takes a `*` only where it is compared for equality.
fn one(operator: &str, version: &str) -> Option<String> {
    let bare = version.trim_end_matches('*').trim_end_matches('.');
    match (bare, bare == version, operator) {
        ("", _, _) => None,
        (_, false, "==" | "!=") => Some(format!("{operator}{bare}.*")),
        (_, _, "=") => Some(format!("=={bare}.*")),
        (_, _, _) => Some(format!("{operator}{bare}")),
    }
}
