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

/// A version that exists, as far as its files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The registered model.
    pub model: String,
    /// The version's source, as MLflow has it; nothing where it is not known, and may be any of the files.
    pub source: Option<String>,
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

fn of_text(source: &str) -> Result<Source, Broken> {
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

/// Where in a run's or logged model's files a place lies, if it lies in them.
#[must_use]
pub fn below_root(place: &str, root: &str) -> Option<String> {
    let plain = |text: &str| text.trim_end_matches('/').trim_start_matches("file://").to_owned();
    let (place, root) = (plain(place), plain(root));
    if root.is_empty() {
        return None;
    }
    match place.strip_prefix(&root)? {
        "" => Some(String::new()),
        rest => rest.strip_prefix('/').map(str::to_owned),
    }
}

/// May someone who may read the models that `readable` says register these files? `root` is where the files of the run or
/// logged model that they belong to are.
///
/// Files that no version has are their experiment's, which the policy has decided. Of files that versions have, one
/// version with all of them must be readable. A run's files may be those of a logged model that came from it, and then
/// nothing tells them apart.
pub fn may_register(
    wanted: &Source,
    root: &str,
    registered: &[Registered],
    readable: impl Fn(&str) -> bool,
) -> Result<(), Broken> {
    let theirs = |version: &Registered| version.source.as_deref().and_then(|text| named(text, wanted, root));
    let mut overlapping =
        registered.iter().filter(|version| overlaps(wanted, theirs(version).as_ref())).peekable();
    if overlapping.peek().is_none()
        || overlapping.any(|version| covers(theirs(version).as_ref(), wanted) && readable(&version.model))
    {
        return Ok(());
    }
    Err(Broken::SourceNotReadable)
}

/// What a version's source names; a place below the wanted files' root is told as they are.
fn named(text: &str, wanted: &Source, root: &str) -> Option<Source> {
    if tags::PROMPT_SOURCES.contains(&text) {
        return Some(Source::Prompt);
    }
    let source = of_text(text).ok()?;
    let Source::Place(place) = &source else { return Some(source) };
    let below = |id: &str| below_root(place, root).map(|path| Files { id: id.to_owned(), path });
    let known = match wanted {
        Source::Run(files) => below(&files.id).map(Source::Run),
        Source::LoggedModel(files) => below(&files.id).map(Source::LoggedModel),
        Source::Prompt | Source::Version(_) | Source::Place(_) => None,
    };
    Some(known.unwrap_or(source))
}

fn overlaps(wanted: &Source, theirs: Option<&Source>) -> bool {
    match (wanted, theirs) {
        (Source::Run(ours), Some(Source::Run(theirs)))
        | (Source::LoggedModel(ours), Some(Source::LoggedModel(theirs))) => {
            ours.id == theirs.id && (within(&ours.path, &theirs.path) || within(&theirs.path, &ours.path))
        }
        (_, Some(Source::Prompt)) | (Source::Prompt, _) => false,
        _ => true,
    }
}

fn covers(theirs: Option<&Source>, wanted: &Source) -> bool {
    match (theirs, wanted) {
        (Some(Source::Run(theirs)), Source::Run(ours))
        | (Some(Source::LoggedModel(theirs)), Source::LoggedModel(ours)) => {
            theirs.id == ours.id && within(&ours.path, &theirs.path)
        }
        _ => false,
    }
}

fn within(path: &str, root: &str) -> bool {
    root.is_empty() || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
        ] {
            assert_eq!(below_root(place, root).as_deref(), expected, "{place} in {root}");
        }
    }

    #[test]
    fn files_of_a_hidden_model_cannot_be_registered_under_another_name() {
        let version =
            |model: &str, source: &str| Registered { model: model.into(), source: Some(source.into()) };
        let readable = |model: &str| model == "mine";
        let wanted = |text: &str| source(text).expect("a sound source");
        let may = |text: &str, registered: &[Registered]| {
            may_register(&wanted(text), "s3://b/1/r/artifacts", registered, readable).is_ok()
        };
        assert!(may("runs:/r/model", &[]), "nobody's files but the experiment's");
        assert!(!may("runs:/r/model", &[version("victim", "runs:/r/model")]));
        assert!(!may("runs:/r/model/data", &[version("victim", "runs:/r/model")]), "a part of them");
        assert!(!may("runs:/r", &[version("victim", "runs:/r/model")]), "more than them");
        assert!(
            may("runs:/r/model2", &[version("victim", "runs:/r/model")]),
            "a twin prefix is another folder"
        );
        assert!(
            !may("runs:/r/model", &[version("victim", "mlflow-artifacts:/1/r/artifacts/model")]),
            "the other spelling"
        );
        assert!(!may("mlflow-artifacts:/1/models/m-0f/artifacts", &[version("victim", "models:/m-0f")]));
        assert!(
            may("runs:/r/model", &[version("victim", "runs:/r/model"), version("mine", "runs:/r/model")]),
            "one suffices"
        );
        assert!(!may(
            "runs:/r/model",
            &[version("victim", "runs:/r/model"), version("mine", "runs:/r/other")]
        ));
        assert!(!may(
            "runs:/r/model",
            &[version("victim", "models:/m-0f"), version("mine", "runs:/r/other")]
        ));
        let place = version("mine", "s3://b/1/r/artifacts/model");
        assert!(may("runs:/r/model", std::slice::from_ref(&place)), "the same files by their place");
        assert!(!may("runs:/r/model", &[version("victim", "s3://b/1/r/artifacts/model")]));
        assert!(may("runs:/r/other", &[version("victim", "s3://b/1/r/artifacts/model")]));
        assert!(may("runs:/r/model", &[version("victim", "dummy-source")]), "a prompt has no files");
        let rumour = |model: &str| Registered { model: model.into(), source: None };
        assert!(!may("models:/m-0f", &[rumour("mine")]), "what a tag says proves nothing");
        assert!(may("models:/m-0f", &[rumour("victim"), version("mine", "models:/m-0f")]));
    }

    #[test]
    fn a_prompt_names_no_logged_model() {
        let body = r#"{"name":"m","source":"dummy-source","model_id":"m-0f","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}"#;
        let schema = Schema::named("CreateModelVersion").expect("a known message");
        let message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
        assert_eq!(read(&message), Err(Broken::Source("a prompt has no `model_id`")));
    }
}
