//! Requests and MLflow's answers: what is understood is written so that it is understood the same again.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use sekisho::facts::Holder;
use sekisho::filter as rows;
use sekisho::govern::sources::{self, Source};
use sekisho::lists::place::{LENGTH, Place};
use sekisho::lists::token::{Bound, PageKey};
use sekisho::ownership::{Wanted, within};
use sekisho::route::json::{DEEPEST, Raw};
use sekisho::route::message::Message;
use sekisho::route::schema::Schema;
use sekisho::route::table::{self, Form};
use sekisho::route::target::{Path, Query, write_segment};
use sekisho::route::{self, artifact_path as artifact, graphql as documents};

/// A path that passes has segments that nobody normalises or decodes further, and leads to the row to which it leads when
/// it is written anew.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = Path::of_text(text) {
        let mut written = String::new();
        for segment in path.segments() {
            plain_segment(&segment.decoded);
            assert!(text.contains(&segment.raw));
            written.push('/');
            write_segment(&mut written, &segment.decoded);
        }
        if path.trailing_slash || written.is_empty() {
            written.push('/');
        }
        let again = Path::of_text(&written).expect("our own writing is read");
        let decoded = |path: &Path| path.segments().iter().map(|one| one.decoded.clone()).collect::<Vec<_>>();
        assert_eq!(decoded(&path), decoded(&again), "{text:?} became {written:?}");
    }
    let Ok(uri) = text.parse::<Uri>() else { return };
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let Ok(found) = route::find(&method, &uri, false, None) else { continue };
        let written = found.write_path();
        let again = written.parse().expect("our own path is a target");
        let again = route::find(&method, &again, false, None).expect("our own path has a row");
        assert!(std::ptr::eq(found.row, again.row), "{text:?} and {written:?} are two rows");
        assert_eq!(found.params().collect::<Vec<_>>(), again.params().collect::<Vec<_>>(), "{text:?}");
        assert_eq!(again.write_path(), written);
    }
}

fn plain_segment(decoded: &str) {
    assert!(!matches!(decoded, "" | "." | ".."), "{decoded:?}");
    assert!(!decoded.contains(['/', '\\']) && !decoded.chars().any(char::is_control), "{decoded:?}");
    assert_eq!(percent_decode_str(decoded).collect::<Vec<_>>(), decoded.as_bytes(), "decodes further");
}

/// A query that passes is read as the forms of the web read it, and its pairs survive being written.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::read(Some(text)) else { return };
    let pairs: Vec<(String, String)> =
        query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let web: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    assert_eq!(pairs, web, "{text:?}");
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    let kept: Vec<_> = pairs.iter().filter(|(name, value)| !name.is_empty() || !value.is_empty()).collect();
    let again = Query::read(Some(&written)).expect("our own writing is read");
    let again: Vec<_> = again.pairs().filter(|(name, value)| !name.is_empty() || !value.is_empty()).collect();
    assert!(kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(again), "{text:?}");
    let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
    assert_eq!(query.doubled().is_some(), names.len() < pairs.len(), "{text:?}");
}

/// JSON that passes means the same to a plain reader before and after it is written anew, and is then written no more.
pub fn json(bytes: &[u8]) {
    let Some(written) = rewritten(bytes) else { return };
    let before: Value = serde_json::from_slice(bytes).expect("what passes is JSON");
    let after: Value = serde_json::from_str(&written).expect("what is written is JSON");
    assert_eq!(before, after);
    assert_eq!(rewritten(written.as_bytes()).as_ref(), Some(&written));
}

fn rewritten(bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    Raw::of_body(bytes).ok()??.rewrite(&mut out, DEEPEST).ok()?;
    Some(out)
}

/// A message's name and a line's end, or one byte that chooses it, then a body and a query at once: what is written of a
/// message is the same message, with nothing left to drop.
pub fn message(bytes: &[u8]) {
    let Some((schema, body)) = schema_of(bytes) else { return };
    if let Ok(message) = Message::of_json(schema, body) {
        let written = message.to_json();
        let again = Message::of_json(schema, written.as_bytes()).expect("our own writing is read");
        assert_eq!(again.to_json(), written);
        assert_eq!(again.dropped, 0, "{written}");
        serde_json::from_str::<Value>(&written).expect("what is written is JSON");
    }
    let Some(query) = std::str::from_utf8(body).ok().and_then(|text| Query::read(Some(text)).ok()) else {
        return;
    };
    if let Ok(message) = Message::of_query(schema, &query) {
        let written = message.to_query();
        let again = Query::read(Some(&written)).expect("our own query is read");
        let again = Message::of_query(schema, &again).expect("our own query is understood");
        assert_eq!(again.to_query(), written);
        assert_eq!(again.dropped, 0, "{written}");
    }
}

fn schema_of(bytes: &[u8]) -> Option<(&'static Schema, &[u8])> {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let names = table::rows().filter_map(|row| match row.form {
            Form::Message(name) | Form::SmallFile(name) => Some(name),
            Form::Free | Form::Nothing | Form::Upload | Form::Spans | Form::Graphql => None,
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    });
    let named = bytes.iter().position(|byte| *byte == b'\n').and_then(|end| {
        let (name, body) = bytes.split_at_checked(end)?;
        Some((Schema::named(std::str::from_utf8(name).ok()?)?, body.get(1..)?))
    });
    named.or_else(|| {
        let (first, body) = bytes.split_first()?;
        Some((Schema::named(NAMES.get(usize::from(*first) % NAMES.len())?)?, body))
    })
}

/// A document that passes is written so that it passes again and demands the same.
pub fn graphql(bytes: &[u8]) {
    let Ok((asked, demands)) = documents::read(bytes) else { return };
    let (again, same) = documents::read(asked.body.as_bytes()).expect("our own document is read");
    assert_eq!(again, asked);
    assert_eq!(same, demands);
    assert!(!demands.at_once.is_empty() || !demands.pending.is_empty(), "nothing is demanded");
}

/// A path that passes is the same file to whoever decodes it again, splits it, or takes it for the end of a URL.
pub fn artifact_path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if artifact::check(text).is_err() {
        return;
    }
    inside(text);
    assert!(artifact::experiment(text).is_none_or(|id| text.split('/').next() == Some(id)));
}

fn inside(path: &str) {
    path.split('/').for_each(plain_segment);
    let url = url::Url::parse(&format!("file:///root/{path}")).expect("a URL");
    assert!(url.query().is_none() && url.fragment().is_none(), "{path:?}");
    let seen = percent_decode_str(url.path()).decode_utf8().expect("UTF-8");
    assert_eq!(seen, format!("/root/{path}"));
    assert!(url::Url::parse(path).is_err(), "{path:?} is a URL by itself");
}

/// Whatever a registered version's source says, its files lie to others in one way: it has all of them, some, or none.
fn lies_in_one_way(text: &str) {
    let area = sources::area(text);
    let holders = [Some(Holder::Run("r".to_owned())), Some(Holder::LoggedModel("m-0f".to_owned())), None];
    for (holder, path) in holders.into_iter().flat_map(|holder| [(holder.clone(), ""), (holder, "model/x")]) {
        let root = if holder.is_some() { "mlflow-artifacts:/1/r/artifacts" } else { "mlflow-artifacts:/" };
        let (run, name) = (Some("r".to_owned()), Some("model".to_owned()));
        let wanted = Wanted { holder, root: root.to_owned(), run, name, path: path.to_owned() };
        if let Some(zone) = wanted.zone(&area) {
            assert_eq!(zone.of_all, within(path, &zone.begins), "{text:?} {wanted:?}");
            assert!(zone.of_all || within(&zone.begins, path), "{text:?} {wanted:?}");
        }
    }
}

/// A source that passes names files in one spelling, and none outside of what it names.
pub fn source(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    lies_in_one_way(text);
    let read = |text: &str| {
        let body = serde_json::json!({ "name": "m", "source": text }).to_string();
        let schema = Schema::named("CreateModelVersion").expect("a known message");
        sources::read(&Message::of_json(schema, body.as_bytes()).expect("a sound body"))
    };
    let Ok(source) = read(text) else { return };
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let written = match &source {
        Source::Prompt => panic!("{text:?} is taken for a prompt without its tag"),
        Source::Version(model) => {
            assert!(!model.is_empty() && !model.contains('/'), "{text:?}");
            format!("models:/{model}/1")
        }
        Source::Run(files) | Source::LoggedModel(files) => {
            assert!(!files.id.is_empty() && !files.id.contains(['/', '.', '%']), "{text:?}");
            if !files.path.is_empty() {
                inside(&files.path);
            }
            match &source {
                Source::LoggedModel(_) if files.path.is_empty() => format!("models:/{}", files.id),
                Source::LoggedModel(_) => {
                    format!("mlflow-artifacts:/1/models/{}/artifacts/{}", files.id, files.path)
                }
                Source::Run(_) | Source::Prompt | Source::Version(_) | Source::Place(_) => {
                    format!("runs:/{}/{}", files.id, files.path)
                }
            }
        }
        Source::Place(place) => {
            assert!(!place.split('/').any(|segment| matches!(segment, "." | "..")), "{text:?}");
            let scheme = place.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
            assert!(!matches!(scheme.as_deref(), Some("models" | "runs")), "{text:?}");
            place.clone()
        }
    };
    assert_eq!(read(&written), Ok(source), "{text:?} became {written:?}");
}

/// An answer that passes shows no hidden row and has nothing more to hide. Numbers beyond a
/// double are MLflow's own affair here: a plain reader that refuses them sees nothing.
pub fn filter(bytes: &[u8]) {
    let seen = |name: &str| name.len().is_multiple_of(2);
    if let Ok(kept) = rows::mentions(bytes, &seen) {
        assert_eq!(rows::mentions(&kept, &seen).expect("our own answer is read"), kept);
    }
    if let Ok(kept) = rows::graphql(bytes, &seen) {
        assert_eq!(rows::graphql(&kept, &seen).expect("our own answer is read"), kept);
        if let Some(after) = plain(&kept) {
            nothing_hidden(&after, &seen);
        }
    }
}

fn plain(answer: &[u8]) -> Option<Value> {
    serde_json::from_slice(answer).ok()
}

/// A token as it comes and, where there are bytes enough, the place that they are: only what was sealed is opened, and a place
/// that is written down and read again is the same.
pub fn page_token(bytes: &[u8]) {
    let key = PageKey::new(None).expect("a key");
    let bound = Bound { user: "ada", list: "x", filter: "y", order_by: &["z"], narrowed: None };
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(key.open(text, &bound).is_err(), "{text}");
    }
    let Some(bytes) = bytes.first_chunk::<LENGTH>() else { return };
    let place = Place::of_bytes(bytes);
    assert_eq!(Place::of_bytes(&place.to_bytes()), place);
    assert!(place.overlap() <= place.offset);
    let rows: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    assert!(place.find(&rows, place.offset).is_none_or(|start| start <= rows.len()));
    let token = key.seal(&place, &bound).expect("a token");
    assert_eq!(key.open(&token, &bound), Ok(place));
    assert!(key.open(&token, &Bound { user: "eve", ..bound }).is_err());
}

fn nothing_hidden(value: &Value, seen: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let versions = value.as_array().filter(|_| name == "modelVersions");
                for row in versions.into_iter().flatten() {
                    assert!(row.get("name").and_then(Value::as_str).is_some_and(seen), "{row}");
                }
                nothing_hidden(value, seen);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| nothing_hidden(item, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
