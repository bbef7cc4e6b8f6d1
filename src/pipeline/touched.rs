//! What of the registry a write is about: whoever keeps something of it asks for that much again.

use bytes::Bytes;

use crate::cache::news::Scope;
use crate::route::Operation;
use crate::route::message::Message;

/// What of the registry a write changes.
pub(super) enum Touch<'a> {
    Nothing,
    /// So much of these models.
    Models(Vec<&'a str>, Scope),
    /// Nobody can say which.
    Any,
}

/// What a write changes.
pub(super) fn by(operation: &Operation) -> Touch<'_> {
    let path = operation.found.row.path;
    // They register prompts of their own, and delete them (`demo/generators/prompts.py`).
    if path.starts_with("demo/") {
        return Touch::Any;
    }
    let of_registry = path.starts_with("registered-models/") || path.starts_with("model-versions/");
    let Some(message) = operation.message().filter(|_| of_registry) else { return Touch::Nothing };
    let models = ["name", "new_name"].into_iter().filter_map(|field| message.text(field)).collect();
    Touch::Models(models, scope(path, message))
}

fn scope(path: &str, message: &Message) -> Scope {
    let version = || message.text("version").and_then(|version| version.parse().ok());
    match path {
        "registered-models/create"
        | "registered-models/update"
        | "registered-models/set-tag"
        | "registered-models/delete-tag"
        | "registered-models/alias" => Scope::Row,
        "model-versions/transition-stage" if message.is_true("archive_existing_versions") => Scope::All,
        "model-versions/update"
        | "model-versions/delete"
        | "model-versions/set-tag"
        | "model-versions/delete-tag"
        | "model-versions/transition-stage" => version().map_or(Scope::All, Scope::Version),
        _ => Scope::All,
    }
}

/// The same, once MLflow has answered: which version it made.
pub(super) fn scope_of_answer(operation: &Operation, answer: &Bytes) -> Option<Scope> {
    let number = (operation.found.row.path == "model-versions/create").then(|| made(answer))??;
    Some(Scope::Version(u32::try_from(number).ok()?))
}

/// The number of the version that MLflow says it made.
pub(super) fn made(answer: &Bytes) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Made {
        model_version: Version,
    }
    #[derive(serde::Deserialize)]
    struct Version {
        version: String,
    }
    serde_json::from_slice::<Made>(answer).ok()?.model_version.version.parse().ok()
}
