//! Tags that nobody writes by hand.

use std::collections::BTreeMap;

use crate::route::demand::{EVIDENCE, is_copy};
use crate::route::message::Message;
use crate::route::table::Need;
use crate::rules::transitions::alias_key;

use super::Broken;

const MODEL_VERSIONS: &str = "mlflow.modelVersions";
const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";

/// Checks every tag that a registry request would set or delete.
pub fn check(needs: &[Need], path: &str, message: &Message) -> Result<(), Broken> {
    if needs.contains(&Need::Tag) {
        let key = message.text("key").unwrap_or_default();
        if alias_key(key) == PROMPT {
            return Err(Broken::PromptTag);
        }
        protected(key)?;
    }
    if needs.contains(&Need::Tags) {
        let copy = is_copy(message);
        for key in message.messages("tags").filter_map(|tag| tag.text("key")) {
            if !copy {
                protected(key)?;
            }
            if alias_key(key) == PROMPT && path.starts_with("model-versions/") && !is_prompt_source(message) {
                return Err(Broken::PromptTag);
            }
        }
    }
    Ok(())
}

/// Of a copy's tags those that its maker may not set as such: what sekisho writes, and evidence.
pub fn kept_from(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    let tags = message
        .messages("tags")
        .filter_map(|tag| Some((tag.text("key")?, tag.text("value").unwrap_or_default())));
    tags.filter(|(key, _)| protected(key).is_err() || key.starts_with(EVIDENCE))
}

/// Takes from a copy's tags those that it has from its original, and gives what is left of those that its maker may not set
/// as such.
///
/// # Errors
/// A tag that only sekisho writes, with a value that the original does not have.
pub fn drop_copied(
    message: &mut Message,
    original: &BTreeMap<String, String>,
) -> Result<Vec<String>, Broken> {
    let mut evidence = Vec::new();
    for (key, value) in kept_from(message) {
        if original.get(key).map(String::as_str) != Some(value) {
            protected(key)?;
            evidence.push(key.to_owned());
        }
    }
    message.leave_out("tags", |tag| {
        let key = tag.text("key").unwrap_or_default();
        let kept = protected(key).is_err() || key.starts_with(EVIDENCE);
        kept && original.get(key).map(String::as_str) == Some(tag.text("value").unwrap_or_default())
    });
    Ok(evidence)
}

/// Takes from a tracking request what only MLflow writes; setting a tag by itself, or deleting it, is refused.
///
/// `mlflow.modelVersions` lists a logged model's registrations (`store/tracking/abstract_store.py`
/// `set_model_versions_tags`): a client sends back the list that it was shown, and whoever could write it could name a
/// version that is none. `mlflow.artifactLocation` is where MLflow reads a trace's data from (`handlers.py`
/// `get_trace_artifact_handler`), on whatever disk or host it says.
pub fn keep_mlflows_own(path: &str, tag_key: Option<&str>, message: &mut Message) -> Result<(), Broken> {
    let alone = match path {
        "logged-models" | "logged-models/{model_id}/tags" => {
            message.leave_out("tags", |tag| tag.text("key") == Some(MODEL_VERSIONS));
            None
        }
        "logged-models/{model_id}/tags/{tag_key}" => tag_key.filter(|key| *key == MODEL_VERSIONS),
        "traces/{request_id}/tags" | "traces/{trace_id}/tags" => {
            message.text("key").filter(|key| *key == ARTIFACT_LOCATION)
        }
        "traces" | "traces/{request_id}" => {
            message.leave_out("tags", |tag| tag.text("key") == Some(ARTIFACT_LOCATION));
            if let Some(info) = message.message_mut("trace").and_then(|trace| trace.message_mut("trace_info"))
            {
                info.leave_out_of_map("tags", ARTIFACT_LOCATION);
            }
            None
        }
        _ => None,
    };
    match alone {
        Some(key) => Err(Broken::KeptByMlflow(key.to_owned())),
        None => Ok(()),
    }
}

/// The two sources that MLflow takes for a prompt's version, which has no files (`handlers.py` `_create_model_version`).
pub const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// Whether a request creates a prompt's version.
#[must_use]
pub fn is_prompt_source(message: &Message) -> bool {
    let marked = message
        .messages("tags")
        .any(|tag| tag.text("key") == Some(PROMPT) && tag.text("value") == Some("true"));
    marked && message.text("source").is_some_and(|source| PROMPT_SOURCES.contains(&source))
}

/// Whether a request that creates a model makes it a prompt, which MLflow's list of models leaves out: of equal tags the
/// last one counts, and only `true` in small letters (`store/model_registry/sqlalchemy_store.py`
/// `_update_query_to_exclude_prompts`).
#[must_use]
pub fn makes_prompt(message: &Message) -> bool {
    let marks = message.messages("tags").filter(|tag| tag.text("key") == Some(PROMPT));
    marks.last().is_some_and(|tag| tag.text("value") == Some("true"))
}

/// Whether the tags of a version say that it is a prompt's, as MLflow's searches ask for it (`prompt/registry_utils.py`
/// `add_prompt_filter_string`): what has another value is shown among the models.
#[must_use]
pub fn are_a_prompts(tags: &BTreeMap<String, String>) -> bool {
    tags.get(PROMPT).is_some_and(|value| value == "true")
}

/// The tag by which MLflow knows prompts.
const PROMPT: &str = "mlflow.prompt.is_prompt";

/// MySQL and SQL Server take keys for one that differ in case, accents or blanks at their end: whoever writes one there
/// writes over the other.
fn protected(key: &str) -> Result<(), Broken> {
    let seen = alias_key(key);
    let ours = seen.starts_with("sekisho.") || matches!(&*seen, "model_hash" | "stage_transition_history");
    if ours { Err(Broken::ProtectedTag(key.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    #[track_caller]
    fn check_body(message: &str, needs: &[Need], path: &str, body: &str, expected: &Result<(), Broken>) {
        let schema = Schema::named(message).expect("a known message");
        let message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
        assert_eq!(&check(needs, path, &message), expected, "{body}");
    }

    #[test]
    fn protected_tags_are_refused_one_by_one() {
        let set = |key: &str, expected| {
            let body = format!(r#"{{"name":"m","version":"1","key":"{key}","value":"x"}}"#);
            check_body("SetModelVersionTag", &[Need::Tag], "model-versions/set-tag", &body, &expected);
        };
        set("owner", Ok(()));
        set("sekisho", Ok(()));
        set("model_hash2", Ok(()));
        for key in ["sekisho.stage", "sekisho.", "model_hash", "stage_transition_history"] {
            set(key, Err(Broken::ProtectedTag(key.into())));
        }
        set(PROMPT, Err(Broken::PromptTag));
        // What some database takes for the same.
        for key in ["Sekisho.Stage", "sekishö.stage", "ｓekisho.stage", "MODEL_HASH", "model_hash "] {
            set(key, Err(Broken::ProtectedTag(key.into())));
        }
        set("mlflow.prompt.IS_PROMPT", Err(Broken::PromptTag));
    }

    #[test]
    fn tags_inside_a_create_call_count() {
        let create = |source: &str, key: &str, expected| {
            let body = format!(
                r#"{{"name":"m","source":"{source}","tags":[{{"key":"a","value":"b"}},{{"key":"{key}","value":"true"}}]}}"#
            );
            check_body("CreateModelVersion", &[Need::Tags], "model-versions/create", &body, &expected);
        };
        create("runs:/r/m", "owner", Ok(()));
        create("runs:/r/m", "sekisho.stage", Err(Broken::ProtectedTag("sekisho.stage".into())));
        create("runs:/r/m", PROMPT, Err(Broken::PromptTag));
        create("dummy-source", PROMPT, Ok(()));
        check_body(
            "CreateRegisteredModel",
            &[Need::Tags],
            "registered-models/create",
            r#"{"name":"p","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}"#,
            &Ok(()),
        );
    }

    #[test]
    fn what_mlflow_writes_by_itself_is_taken_out_or_refused() {
        let left = |name: &str, path: &str, body: &str| {
            let schema = Schema::named(name).expect("a known message");
            let mut message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
            keep_mlflows_own(path, None, &mut message).map(|()| message.to_json())
        };
        let two =
            |key: &str| format!(r#"{{"tags":[{{"key":"a","value":"b"}},{{"key":"{key}","value":"x"}}]}}"#);
        let one = Ok(r#"{"tags":[{"key":"a","value":"b"}]}"#.to_owned());
        assert_eq!(left("SetLoggedModelTags", "logged-models/{model_id}/tags", &two(MODEL_VERSIONS)), one);
        assert_eq!(left("CreateLoggedModel", "logged-models", &two(MODEL_VERSIONS)), one);
        assert_eq!(left("StartTrace", "traces", &two(ARTIFACT_LOCATION)), one);
        assert_eq!(left("EndTrace", "traces/{request_id}", &two(ARTIFACT_LOCATION)), one);
        let started = r#"{"trace":{"trace_info":{"tags":{"a":"b","mlflow.artifactLocation":"/etc"}}}}"#;
        let kept = r#"{"trace":{"trace_info":{"tags":{"a":"b"}}}}"#;
        assert_eq!(left("StartTraceV3", "traces", started), Ok(kept.to_owned()));
        for (name, path) in
            [("SetTraceTag", "traces/{request_id}/tags"), ("DeleteTraceTagV3", "traces/{trace_id}/tags")]
        {
            let refused = left(name, path, r#"{"key":"mlflow.artifactLocation"}"#);
            assert_eq!(refused, Err(Broken::KeptByMlflow(ARTIFACT_LOCATION.to_owned())));
            assert_eq!(left(name, path, r#"{"key":"a"}"#), Ok(r#"{"key":"a"}"#.to_owned()));
        }
        let gone =
            |key| keep_mlflows_own("logged-models/{model_id}/tags/{tag_key}", key, &mut Message::default());
        assert_eq!(gone(Some("a")), Ok(()));
        assert_eq!(gone(Some(MODEL_VERSIONS)), Err(Broken::KeptByMlflow(MODEL_VERSIONS.to_owned())));
    }
}
