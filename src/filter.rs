//! What of MLflow's answer the caller may see, and how stages are called in it: rows are left out, stages are written over,
//! other bytes stay as they are.

mod mentions;
pub mod stages;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::route::json::{self, DEEPEST, JsonError, Raw, Shape};

pub use mentions::mentions;

/// An answer of MLflow that is not what its route answers with.
#[derive(Debug, thiserror::Error)]
#[error("MLflow's answer could not be read")]
pub struct Unreadable(#[from] JsonError);

/// Whether a registered model of that name may be seen.
pub type Seen<'a> = &'a dyn Fn(&str) -> bool;

/// Leaves rows whose `name` is not to be seen out of every `modelVersions`, however deep it lies in a GraphQL answer, and out of
/// what runs' tags mention.
pub fn graphql(body: &[u8], seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    let Some(answer) = Raw::of_body(body)? else { return Ok(Bytes::new()) };
    let mut out = String::with_capacity(body.len());
    versions(&mut out, answer, seen, DEEPEST)?;
    mentions::mentions_in_graphql(out.as_bytes(), seen)
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
        if is_visible(row, seen)? {
            kept.push(row);
        }
    }
    json::write_list(out, kept, write)
}

fn is_visible(row: Raw<'_>, seen: Seen<'_>) -> Result<bool, JsonError> {
    let named = row.members()?.into_iter().find(|(name, _)| name == "name");
    let name = named.map(|(_, name)| name).filter(|name| name.shape() == Shape::Text);
    Ok(name.map(Raw::text).transpose()?.is_some_and(|name| seen(&name)))
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
    fn an_answer_that_cannot_be_read_is_not_passed_on() {
        for body in [&b"<html>"[..], b"{\"modelVersions\":[5]}", b"[]", b"\xff"] {
            assert!(graphql(body, &mine).is_err(), "{body:?}");
        }
    }
}
