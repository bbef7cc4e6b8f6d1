//! Tags that nobody writes by hand.

use crate::route::message::Message;
use crate::route::table::Need;

use super::Broken;

const PROMPT: &str = "mlflow.prompt.is_prompt";
const MODEL_VERSIONS: &str = "mlflow.modelVersions";

/// Checks every tag that a request would set or delete on a model, a version or a trace.
pub fn check(needs: &[Need], path: &str, message: &Message) -> Result<(), Broken> {
    if path.starts_with("traces") {
        return trace(message);
    }
    if needs.contains(&Need::Tag) {
        let key = message.text("key").unwrap_or_default();
        if key == PROMPT {
            return Err(Broken::PromptTag);
        }
        protected(key)?;
    }
    if needs.contains(&Need::Tags) {
        for key in message.messages("tags").filter_map(|tag| tag.text("key")) {
            protected(key)?;
            if key == PROMPT && path.starts_with("model-versions/") && !is_prompt_source(message) {
                return Err(Broken::PromptTag);
            }
        }
    }
    Ok(())
}

/// MLflow reads a trace's files from wherever this tag says (`tracing/utils/artifact_utils.py`) and lets a client set it.
fn trace(message: &Message) -> Result<(), Broken> {
    const LOCATION: &str = "mlflow.artifactLocation";
    let started = message.message("trace").and_then(|trace| trace.message("trace_info"));
    let named = message.text("key") == Some(LOCATION)
        || message.messages("tags").any(|tag| tag.text("key") == Some(LOCATION))
        || started.is_some_and(|info| info.map_has("tags", LOCATION));
    if named { Err(Broken::TraceLocation) } else { Ok(()) }
}

/// What a request on a logged model would do to the list of versions that MLflow keeps in its tag
/// (`store/tracking/abstract_store.py` `set_model_versions_tags`): a client sends back the list that it was shown, and
/// whoever could write it could name a version that is none. Setting is left out, deleting refused.
pub fn keep_model_versions(path: &str, tag_key: Option<&str>, message: &mut Message) -> Result<(), Broken> {
    if matches!(path, "logged-models" | "logged-models/{model_id}/tags") {
        message.leave_out("tags", |tag| tag.text("key") == Some(MODEL_VERSIONS));
    }
    if path.starts_with("logged-models/") && tag_key == Some(MODEL_VERSIONS) {
        return Err(Broken::KeptByMlflow(MODEL_VERSIONS));
    }
    Ok(())
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

fn protected(key: &str) -> Result<(), Broken> {
    let ours = key.starts_with("sekisho.") || matches!(key, "model_hash" | "stage_transition_history");
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
    }

    #[test]
    fn a_trace_cannot_be_pointed_at_other_files() {
        for (message, body) in [
            ("SetTraceTagV3", r#"{"key":"mlflow.artifactLocation","value":"/etc"}"#),
            ("StartTrace", r#"{"tags":[{"key":"mlflow.artifactLocation","value":"/etc"}]}"#),
            ("EndTrace", r#"{"tags":[{"key":"mlflow.artifactLocation","value":"/etc"}]}"#),
            ("StartTraceV3", r#"{"trace":{"trace_info":{"tags":{"mlflow.artif\u0061ctLocation":"/etc"}}}}"#),
        ] {
            check_body(message, &[], "traces", body, &Err(Broken::TraceLocation));
        }
        check_body("SetTraceTagV3", &[], "traces/{trace_id}/tags", r#"{"key":"owner","value":"a"}"#, &Ok(()));
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
    fn the_list_of_versions_is_mlflows_own() {
        let schema = Schema::named("SetLoggedModelTags").expect("a known message");
        let body = r#"{"model_id":"m-1","tags":[{"key":"a","value":"b"},{"key":"mlflow.modelVersions","value":"[]"}]}"#;
        let mut message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
        assert_eq!(keep_model_versions("logged-models/{model_id}/tags", None, &mut message), Ok(()));
        assert_eq!(message.to_json(), r#"{"model_id":"m-1","tags":[{"key":"a","value":"b"}]}"#);
        let gone = |key| {
            keep_model_versions("logged-models/{model_id}/tags/{tag_key}", key, &mut Message::default())
        };
        assert_eq!(gone(Some("a")), Ok(()));
        assert_eq!(gone(Some(MODEL_VERSIONS)), Err(Broken::KeptByMlflow(MODEL_VERSIONS)));
    }
}
