//! `sekisho audit report access`

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::super::super::plain::plain;
use super::super::super::{Failure, Output, print};
use super::{Of, times, untold, untold_in_json};
use crate::authz::{self, Access, PolicySet, parse_object};
use crate::config::{Config, Mode};
use crate::operation::{Object, Permission};
use crate::replay::{Done, did};

pub(super) fn access(of: &Of, model: &str) -> Result<ExitCode, Failure> {
    if parse_object(&format!("model:{model}")).ok() != Some(Object::Model(model.into())) {
        return Err(anyhow!("`{}` is no name by which lines tell of a model", plain(model)).into());
    }
    let config = of.config.read_or_stop()?;
    let policies = PolicySet::load(&config.policies_dir).map_err(|mistakes| Failure::stop_all(&mistakes))?;
    let could = authz::access(&policies, model);
    let folder = of.folder()?;
    let done =
        did(&folder, of.since(), model).with_context(|| format!("cannot read {}", folder.display()))?;
    let version = policies.version().to_string();
    print(&match of.output {
        Output::Text => {
            let could = could_in_words(&could, model, &version, &config);
            [could, done_in_words(&done), untold(&done.gaps, of.since(), config.audit.reads)].concat()
        }
        Output::Json => {
            let said = json!({
                "model": model, "policy": version, "could": could.iter().map(could_in_json).collect::<Vec<_>>(),
                "did": done_in_json(&done), "lists": done.lists,
                "gaps": untold_in_json(&done.gaps, config.audit.reads),
            });
            format!("{said}\n")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn could_in_words(could: &[Access], model: &str, version: &str, config: &Config) -> String {
    let mut text = format!("who could, of {}, by the policies {version}:\n", plain(model));
    for access in could {
        let holds = if access.holds.is_empty() {
            String::new()
        } else {
            format!(" (holds {})", access.holds.join(", "))
        };
        let claim = config.auth.require_model_access && !access.needs_no_claim;
        text.push_str(&format!("  {}{}: ", plain(&access.subject), plain(&holds)));
        text.push_str(&plain(&rights(access).join("; ")));
        text.push_str(if claim { "\n" } else { " (no model_access needed)\n" });
    }
    if could.is_empty() {
        text.push_str("  nobody\n");
    }
    if config.auth.mode == Mode::Observe {
        text.push_str("auth.mode is \"observe\": none of this is refused to anybody\n");
    }
    text
}

fn rights(access: &Access) -> Vec<String> {
    let words = |permissions: &[Permission]| {
        permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut rights = Vec::new();
    if !access.allowed.is_empty() {
        rights.push(words(&access.allowed));
    }
    rights.extend(access.below.iter().map(|below| {
        let not = if below.allowed { "" } else { "not " };
        format!("{not}{} on {}", below.permission, below.object)
    }));
    if !access.denied.is_empty() {
        rights.push(format!("never {}", words(&access.denied)));
    }
    rights
}

fn done_in_words(done: &Done) -> String {
    let mut text = "who did:\n".to_owned();
    for (deed, seen) in &done.deeds {
        let outcome = deed.outcome.map(|outcome| format!(", {}", outcome.as_str())).unwrap_or_default();
        text.push_str(&format!(
            "  {} [{}] {}: {}{outcome}, {}\n",
            plain(&deed.principal),
            plain(&deed.roles.join(", ")),
            deed.operation,
            deed.was.as_str(),
            times(seen)
        ));
    }
    if done.deeds.is_empty() {
        text.push_str("  nobody\n");
    }
    if done.lists > 0 {
        text.push_str(&format!("lists of models, in which it may have been: {}\n", done.lists));
    }
    text
}

fn could_in_json(access: &Access) -> Value {
    let below = access.below.iter().map(|below| {
        json!({ "object": below.object, "permission": below.permission.as_str(), "allowed": below.allowed })
    });
    let words = |permissions: &[Permission]| -> Vec<_> {
        permissions.iter().map(|permission| permission.as_str()).collect()
    };
    json!({
        "who": access.subject, "holds": access.holds, "allowed": words(&access.allowed), "denied": words(&access.denied),
        "below": below.collect::<Vec<_>>(), "needs_no_claim": access.needs_no_claim,
    })
}

fn done_in_json(done: &Done) -> Vec<Value> {
    let deeds = done.deeds.iter().map(|(deed, seen)| {
        json!({
            "principal": deed.principal, "roles": deed.roles, "operation": deed.operation, "was": deed.was.as_str(),
            "outcome": deed.outcome, "count": seen.times, "first": seen.first.to_string(), "last": seen.last.to_string(),
        })
    });
    deeds.collect()
}
