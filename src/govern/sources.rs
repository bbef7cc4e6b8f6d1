//! Where a new version's files come from, and whether its maker may read them.
//!
//! MLflow copies nothing on registration and checks no owner: `models:/victim/1` as the source of one's own version hands
//! out the victim's files (`handlers.py` `_create_model_version`). It reads a source with Python's `urlparse`, which drops
//! control characters and folds case, so a source is taken in one spelling or refused.

use crate::route::artifact_path;
use crate::route::message::Message;

use super::{Broken, tags};

/// What a source names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A prompt: no files.
    Prompt,
    /// The files of a version of this registered model.
    Version(String),
    /// Files of a run, below its artifact root.
    Run(Files),
    /// Files of a logged model.
    LoggedModel(Files),
    /// A place in a store, which must lie inside the artifact root of the run or logged model that the request names.
    Place(String),
}

/// Files: whose, and below which path. An empty path is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The run's or logged model's id.
    pub id: String,
    /// The path below the artifact root.
    pub path: String,
}

/// Reads the source of a request that creates a version.
pub fn read(message: &Message) -> Result<Source, Broken> {
    if tags::is_prompt_source(message) {
        return match message.text("model_id") {
            None => Ok(Source::Prompt),
            Some(_) => Err(Broken::Source("a prompt has no `model_id`")),
        };
    }
    let source = message.text("source").ok_or(Broken::Source("it is missing"))?;
    if source.chars().any(char::is_control)
        || source.trim() != source
        || source.contains(['?', '#', '%', '\\'])
    {
        return Err(Broken::Source(
            "it must not hold control characters, outer blanks or any of `?`, `#`, `%`, `\\`",
        ));
    }
    of_text(source)
}

/// The files that a registered version's source names, however it got there.
#[must_use]
pub fn area(source: &str) -> Source {
    if tags::PROMPT_SOURCES.contains(&source) {
        return Source::Prompt;
    }
    of_text(source).unwrap_or_else(|_| Source::Place(source.to_owned()))
}

/// Reads a source's text.
///
/// # Errors
/// It has more than one meaning.
pub fn of_text(source: &str) -> Result<Source, Broken> {
    let Some((scheme, rest)) = source.split_once(':') else { return place(source) };
    match scheme {
        "models" => models(rest),
        "runs" => Ok(Source::Run(files(
            rest.strip_prefix('/').ok_or(Broken::Source("write it as runs:/RUN/PATH"))?,
        )?)),
        "mlflow-artifacts" => proxied(rest),
        other
            if other.eq_ignore_ascii_case("models")
                || other.eq_ignore_ascii_case("runs")
                || other.eq_ignore_ascii_case("mlflow-artifacts") =>
        {
            Err(Broken::Source("schemes are written in small letters"))
        }
        _ => place(source),
    }
}

fn models(rest: &str) -> Result<Source, Broken> {
    let bad = Broken::Source("write it as models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID");
    let Some(rest) = rest.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
        return Err(bad);
    };
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        [one] if is_logged_model(one) => {
            Ok(Source::LoggedModel(Files { id: (*one).to_owned(), path: String::new() }))
        }
        [one] => match one.rsplit_once('@') {
            Some((name, alias)) if !name.is_empty() && !alias.is_empty() => {
                Ok(Source::Version(name.to_owned()))
            }
            _ => Err(bad),
        },
        [name, version] if !name.is_empty() && !version.is_empty() => Ok(Source::Version((*name).to_owned())),
        _ => Err(bad),
    }
}

/// The model, and the stage or `latest`, of a source that names a version by where it stands.
#[must_use]
pub fn by_stage(source: &str) -> Option<(&str, &str)> {
    let (model, which) = source.strip_prefix("models:/")?.split_once('/')?;
    (!which.bytes().all(|byte| byte.is_ascii_digit())).then_some((model, which))
}

fn files(rest: &str) -> Result<Files, Broken> {
    let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
    files_below(id, path.strip_suffix('/').unwrap_or(path))
}

fn files_below(id: &str, path: &str) -> Result<Files, Broken> {
    let sound = is_id(id) && (path.is_empty() || artifact_path::check(path).is_ok());
    if sound {
        Ok(Files { id: id.to_owned(), path: path.to_owned() })
    } else {
        Err(Broken::Source("its path has more than one meaning"))
    }
}

/// MLflow's own layout below the artifact destination.
fn proxied(rest: &str) -> Result<Source, Broken> {
    let bad = Broken::Source("write it as mlflow-artifacts:/EXPERIMENT/RUN/artifacts/PATH");
    let path = rest.strip_prefix('/').filter(|path| artifact_path::check(path).is_ok()).ok_or(bad)?;
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [_, "models", id, "artifacts", below @ ..] if is_logged_model(id) => {
            Ok(Source::LoggedModel(files_below(id, &below.join("/"))?))
        }
        [_, run, "artifacts", below @ ..] if is_id(run) => {
            Ok(Source::Run(files_below(run, &below.join("/"))?))
        }
        _ => place(&format!("mlflow-artifacts:{rest}")),
    }
}

fn place(source: &str) -> Result<Source, Broken> {
    let dots = source.split('/').any(|segment| segment == ".." || segment == ".");
    let below = source.split_once("://").map_or(source, |(_, rest)| rest);
    if dots || below.contains("//") {
        return Err(Broken::Source("its path has an empty or a dot segment"));
    }
    Ok(Source::Place(source.to_owned()))
}

/// A place in the one spelling by which places are compared: without a slash at the end, and where it is in this server's
/// own store, without the server's name (`handlers.py` `_get_proxied_run_artifact_destination_path`).
#[must_use]
pub fn plain(place: &str) -> String {
    let place = place.trim_end_matches('/');
    if let Some((host, below)) = place.split_once("/api/2.0/mlflow-artifacts/artifacts/")
        && (host.starts_with("http://") || host.starts_with("https://"))
    {
        return format!("mlflow-artifacts:/{below}");
    }
    if let Some(named) = place.strip_prefix("mlflow-artifacts://") {
        let below = named.find('/').and_then(|at| named.get(at..)).unwrap_or_default();
        return format!("mlflow-artifacts:{below}");
    }
    place.trim_start_matches("file://").to_owned()
}

/// Where in a run's or logged model's files a place lies, if it lies in them.
#[must_use]
pub fn below_root(place: &str, root: &str) -> Option<String> {
    let (place, root) = (plain(place), plain(root));
    if root.is_empty() {
        return None;
    }
    match place.strip_prefix(&root)? {
        "" => Some(String::new()),
        rest => rest.strip_prefix('/').map(str::to_owned),
    }
}

/// Whether a text is an id as MLflow makes them, which no filter reads as anything else.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// MLflow's logged-model ids (`store/_unity_catalog` and `utils/models`): `m-` and 32 hexadecimal digits.
#[must_use]
pub fn is_logged_model(text: &str) -> bool {
    text.strip_prefix("m-")
        .is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    fn source(text: &str) -> Result<Source, Broken> {
        let body = format!(r#"{{"name":"m","source":{}}}"#, serde_json::Value::from(text));
        let schema = Schema::named("CreateModelVersion").expect("a known message");
        read(&Message::of_json(schema, body.as_bytes()).expect("a sound body"))
    }

    fn files(id: &str, path: &str) -> Files {
        Files { id: id.into(), path: path.into() }
    }

    #[test]
    fn a_source_is_read_in_one_spelling() {
        for (text, expected) in [
            ("models:/victim/1", Source::Version("victim".into())),
            ("models:/victim/Production", Source::Version("victim".into())),
            ("models:/victim@champion", Source::Version("victim".into())),
            ("models:/a@b/1", Source::Version("a@b".into())),
            (
                "models:/m-0123456789abcdef0123456789abcdef",
                Source::LoggedModel(files("m-0123456789abcdef0123456789abcdef", "")),
            ),
            ("runs:/abc/model", Source::Run(files("abc", "model"))),
            ("runs:/abc/a/b/", Source::Run(files("abc", "a/b"))),
            ("mlflow-artifacts:/1/abc/artifacts/model", Source::Run(files("abc", "model"))),
            ("mlflow-artifacts:/1/models/m-0f/artifacts", Source::LoggedModel(files("m-0f", ""))),
            ("s3://bucket/1/abc/artifacts/model", Source::Place("s3://bucket/1/abc/artifacts/model".into())),
            ("/srv/mlruns/1/abc/artifacts/model", Source::Place("/srv/mlruns/1/abc/artifacts/model".into())),
        ] {
            assert_eq!(source(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_source_that_urlparse_would_repair_is_refused() {
        for text in [
            "models:///victim/1",
            "models:/victim/1?x",
            " models:/victim/1",
            "mod\tels:/victim/1",
            "MODELS:/victim/1",
            "Runs:/abc/x",
            "runs://abc/x",
            "runs:/abc/../x",
            "runs:/abc/%2e%2e/x",
            "mlflow-artifacts:/1/abc/artifacts/../x",
            "mlflow-artifacts://host/1/abc/artifacts/x",
            "mlflow-artifacts:/1/abc/artifacts/file:/x",
            "mlflow-artifacts:/1/models/m-0f/artifacts/c:/x",
            "s3://bucket/a/../b",
            "s3://bucket//a",
            "models:/victim",
            "models:/",
            "/srv/../etc/passwd",
            "",
        ] {
            assert!(source(text).is_err(), "{text:?} became {:?}", source(text));
        }
    }

    #[test]
    fn a_place_lies_in_a_root_by_whole_segments() {
        for (place, root, expected) in [
            ("s3://b/1/r/artifacts/model", "s3://b/1/r/artifacts", Some("model")),
            ("s3://b/1/r/artifacts", "s3://b/1/r/artifacts/", Some("")),
            ("s3://b/1/r/artifacts2", "s3://b/1/r/artifacts", None),
            ("/srv/r/artifacts/m", "file:///srv/r/artifacts", Some("m")),
            ("s3://other/1", "", None),
            ("mlflow-artifacts://host:5000/1/r/artifacts/m", "mlflow-artifacts:/1/r/artifacts", Some("m")),
            ("mlflow-artifacts:/1/r/artifacts", "mlflow-artifacts://host/1", Some("r/artifacts")),
            ("mlflow-artifacts:/1/r/a", "https://host/api/2.0/mlflow-artifacts/artifacts/1/r/", Some("a")),
            ("s3://b/api/2.0/mlflow-artifacts/artifacts/1/r", "mlflow-artifacts:/1/r", None),
        ] {
            assert_eq!(below_root(place, root).as_deref(), expected, "{place} in {root}");
        }
    }

    #[test]
    fn a_prompt_names_no_logged_model() {
        let body = r#"{"name":"m","source":"dummy-source","model_id":"m-0f","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}"#;
        let schema = Schema::named("CreateModelVersion").expect("a known message");
        let message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
        assert_eq!(read(&message), Err(Broken::Source("a prompt has no `model_id`")));
    }
}
