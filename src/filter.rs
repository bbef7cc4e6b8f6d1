//! What of MLflow's answer the caller may see: rows are left out, the others' bytes stay as they are.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::route::json::{self, DEEPEST, JsonError, Raw, Shape};

/// An answer of MLflow that is not what its route answers with.
#[derive(Debug, thiserror::Error)]
#[error("MLflow's answer could not be read")]
pub struct Unreadable(#[from] JsonError);

/// Whether a registered model of that name may be seen.
pub type Seen<'a> = &'a dyn Fn(&str) -> bool;

/// Leaves out of the answer's list `list` the rows whose `name` is not to be seen.
pub fn rows(body: &[u8], list: &str, seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    let Some(answer) = Raw::of_body(body)? else { return Ok(Bytes::new()) };
    let mut out = String::with_capacity(body.len());
    let members = answer.members()?.into_iter().map(|(name, value)| (name.clone(), (name, value)));
    json::write_object(&mut out, members, |out, (name, value)| {
        if name == list {
            visible(out, value, seen, as_written)
        } else {
            out.push_str(value.written());
            Ok(())
        }
    })?;
    Ok(out.into())
}

/// The same for every `modelVersions`, however deep it lies in a GraphQL answer.
pub fn graphql(body: &[u8], seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    let Some(answer) = Raw::of_body(body)? else { return Ok(Bytes::new()) };
    let mut out = String::with_capacity(body.len());
    versions(&mut out, answer, seen, DEEPEST)?;
    Ok(out.into())
}

/// Leaves hidden registrations out of the tag `mlflow.modelVersions` of logged models, wherever they are in the answer.
pub fn logged_models(body: &[u8], seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    let Some(answer) = Raw::of_body(body)? else { return Ok(Bytes::new()) };
    let mut out = String::with_capacity(body.len());
    registrations(&mut out, answer, seen, DEEPEST)?;
    Ok(out.into())
}

fn registrations(out: &mut String, value: Raw<'_>, seen: Seen<'_>, depth: usize) -> Result<(), JsonError> {
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value.shape() {
        Shape::Object => {
            let members = value.members()?;
            let is_list = members.iter().any(|(name, value)| {
                name == "key" && value.text().is_ok_and(|key| key == "mlflow.modelVersions")
            });
            let members = members.into_iter().map(|(name, value)| (name.clone(), (name, value)));
            json::write_object(out, members, |out, (name, value)| {
                if is_list && name == "value" {
                    json::write_text(out, &visible_registrations(&value.text()?, seen));
                    return Ok(());
                }
                registrations(out, value, seen, deeper)
            })
        }
        Shape::List => {
            json::write_list(out, value.items()?, |out, item| registrations(out, item, seen, deeper))
        }
        Shape::Null | Shape::Bool | Shape::Number | Shape::Text => {
            out.push_str(value.written());
            Ok(())
        }
    }
}

/// A list that cannot be read shows nothing; one that is seen whole keeps its bytes.
fn visible_registrations(text: &str, seen: Seen<'_>) -> String {
    let kept = || {
        let list = Raw::of_text(text)?;
        let mut kept = String::new();
        visible(&mut kept, list, seen, as_written)?;
        let whole = Raw::of_text(&kept)?.items()?.len() == list.items()?.len();
        Ok::<_, JsonError>(if whole { text.to_owned() } else { kept })
    };
    kept().unwrap_or_else(|_| "[]".to_owned())
}

fn versions(out: &mut String, value: Raw<'_>, seen: Seen<'_>, depth: usize) -> Result<(), JsonError> {
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value.shape() {
        Shape::Object => {
            let members = value.members()?.into_iter().map(|(name, value)| (name.clone(), (name, value)));
            json::write_object(out, members, |out, (name, value)| match (&*name, value.shape()) {
                ("modelVersions", Shape::List) => {
                    visible(out, value, seen, |out, row| versions(out, row, seen, deeper))
                }
                _ => versions(out, value, seen, deeper),
            })
        }
        Shape::List => json::write_list(out, value.items()?, |out, item| versions(out, item, seen, deeper)),
        Shape::Null | Shape::Bool | Shape::Number | Shape::Text => {
            out.push_str(value.written());
            Ok(())
        }
    }
}

fn as_written(out: &mut String, row: Raw<'_>) -> Result<(), JsonError> {
    out.push_str(row.written());
    Ok(())
}

fn visible(
    out: &mut String,
    list: Raw<'_>,
    seen: Seen<'_>,
    write: impl FnMut(&mut String, Raw<'_>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut kept = Vec::new();
    for row in list.items()? {
        let named = row.members()?.into_iter().find(|(name, _)| name == "name");
        let name = named.map(|(_, name)| name).filter(|name| name.shape() == Shape::Text);
        if name.map(Raw::text).transpose()?.is_some_and(|name| seen(&name)) {
            kept.push(row);
        }
    }
    json::write_list(out, kept, write)
}

/// A file is data, never a page of this origin: it is saved, not sniffed, and runs nothing.
pub fn as_data(headers: &mut HeaderMap) {
    headers.entry(header::CONTENT_DISPOSITION).or_insert(HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(name: &str) -> bool {
        name == "mine"
    }

    #[test]
    fn hidden_rows_go_and_the_others_keep_their_bytes() {
        let body = br#"{ "registered_models": [ {"name":"mine", "x": 1.50}, {"name":"victim"}, {"n\u0061me":"victim"}, {} ],
            "next_page_token": "t" }"#;
        let kept = rows(body, "registered_models", &mine).expect("a sound answer");
        assert_eq!(kept, r#"{"registered_models":[{"name":"mine", "x": 1.50}],"next_page_token":"t"}"#);
        assert_eq!(rows(b"{}", "registered_models", &mine).expect("a sound answer"), "{}");
    }

    #[test]
    fn versions_inside_a_graphql_answer_are_rows_too() {
        let body = br#"{"data":{"mlflowSearchRuns":{"runs":[{"modelVersions":[{"name":"victim","source":"s"},{"name":"mine"}]},
            {"modelVersions":null,"info":{"a":1}}]}}}"#;
        let kept = graphql(body, &mine).expect("a sound answer");
        assert_eq!(
            kept,
            r#"{"data":{"mlflowSearchRuns":{"runs":[{"modelVersions":[{"name":"mine"}]},{"modelVersions":null,"info":{"a":1}}]}}}"#
        );
    }

    #[test]
    fn versions_below_a_visible_version_are_rows_too() {
        let body = br#"{"modelVersions":[{"name":"mine","modelVersions":[{"name":"victim"}]}]}"#;
        let kept = graphql(body, &mine).expect("a sound answer");
        assert_eq!(kept, r#"{"modelVersions":[{"name":"mine","modelVersions":[]}]}"#);
    }

    #[test]
    fn a_logged_model_names_only_registrations_that_may_be_seen() {
        let body = |list: &str| {
            let value = serde_json::Value::from(list);
            format!(
                r#"{{"models":[{{"info":{{"tags":[{{"key":"mlflow.modelVersions","value":{value}}},{{"key":"a","value":"b"}}]}},"n":1.50}}]}}"#
            )
        };
        for (list, expected) in [
            (
                r#"[{"name": "victim", "version": 1}, {"name": "mine", "version": 2}]"#,
                r#"[{"name": "mine", "version": 2}]"#,
            ),
            (r#"[{"name": "mine"}, {"name": "mine"}]"#, r#"[{"name": "mine"}, {"name": "mine"}]"#),
            (r#"[{"name": "victim", "version": 1}]"#, "[]"),
            ("victim", "[]"),
            (r#"[],"other":[{"name":"victim"}]"#, "[]"),
            (r#"[{"name":"mine"}],"list":[{"name":"victim"}]"#, "[]"),
        ] {
            let kept = logged_models(body(list).as_bytes(), &mine).expect("a sound answer");
            assert_eq!(kept, body(expected), "{list}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_passed_on() {
        for body in
            [&b"<html>"[..], b"{\"registered_models\":5}", b"{\"registered_models\":[5]}", b"[]", b"\xff"]
        {
            assert!(rows(body, "registered_models", &mine).is_err(), "{body:?}");
        }
    }
}
