//! Lists of registered models inside other objects: which versions a logged model became, which prompts a run or trace used.
//!
//! MLflow keeps them as JSON text in a tag (`store/tracking/abstract_store.py` `set_model_versions_tags`,
//! `tracing/utils/prompt.py`) and in a span's attribute of the same name (`tracing/constant.py`).

use bytes::Bytes;

use crate::route::json::{self, DEEPEST, JsonError, Raw, Shape};

use super::{Seen, Unreadable, as_written, is_visible, visible};

/// The tags and attributes whose value is such a list.
const KEYS: [&str; 2] = ["mlflow.modelVersions", "mlflow.linkedPrompts"];

/// What of each key is looked for before anything is taken apart. MLflow writes plain ASCII without escapes.
const WORDS: [&str; 2] = ["modelVersions", "linkedPrompts"];

/// Leaves what may not be seen out of every such list, wherever it is in the answer, and the list where nothing of it is
/// left: so it looks as if it had never been. Texts and numbers keep their bytes; blanks between them go from every answer,
/// for MLflow's layout would tell which one was cut.
pub fn mentions(body: &[u8], seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    cut(body, seen, true)
}

/// The same in a GraphQL answer, where a list that is empty stays.
pub(super) fn mentions_in_graphql(body: &[u8], seen: Seen<'_>) -> Result<Bytes, Unreadable> {
    cut(body, seen, false)
}

fn cut(body: &[u8], seen: Seen<'_>, leaves_out_empty: bool) -> Result<Bytes, Unreadable> {
    let Some(answer) = Raw::of_body(body)? else { return Ok(Bytes::new()) };
    if !has_any(answer.written()) {
        return Ok(compact(answer.written()).into());
    }
    let mut out = String::with_capacity(body.len());
    walk(&mut out, answer, seen, DEEPEST, leaves_out_empty)?;
    Ok(compact(&out).into())
}

/// The same JSON without blanks between its parts.
fn compact(text: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    let keeps = |letter: &char| {
        if within {
            (within, escaped) = (escaped || *letter != '"', !escaped && *letter == '\\');
            return true;
        }
        within = *letter == '"';
        !matches!(letter, ' ' | '\t' | '\n' | '\r')
    };
    text.chars().filter(keeps).collect()
}

fn has_any(text: &str) -> bool {
    WORDS.iter().any(|word| text.contains(word))
}

fn walk(
    out: &mut String,
    value: Raw<'_>,
    seen: Seen<'_>,
    depth: usize,
    leaves_out_empty: bool,
) -> Result<(), JsonError> {
    if !has_any(value.written()) {
        return as_written(out, value);
    }
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value.shape() {
        Shape::Object => {
            let members = value.members()?;
            let is_key = |text: &str| KEYS.contains(&text);
            let keyed = members
                .iter()
                .any(|(name, value)| name == "key" && value.text().is_ok_and(|key| is_key(&key)));
            let mut kept = Vec::new();
            for (name, value) in members {
                let gone = is_key(&name) && nothing_left(value, seen, deeper);
                if !(gone || leaves_out_empty && all_gone(value, seen, deeper)?) {
                    kept.push((name.clone(), (name, value)));
                }
            }
            json::write_object(out, kept, |out, (name, value)| {
                if is_key(&name) || (keyed && name == "value") {
                    list(out, value, seen, deeper)
                } else {
                    walk(out, value, seen, deeper, leaves_out_empty)
                }
            })
        }
        Shape::List => {
            let mut kept = Vec::new();
            for item in value.items()? {
                if !is_gone(item, seen, deeper)? {
                    kept.push(item);
                }
            }
            json::write_list(out, kept, |out, item| walk(out, item, seen, deeper, leaves_out_empty))
        }
        Shape::Null | Shape::Bool | Shape::Number | Shape::Text => as_written(out, value),
    }
}

/// Whether a list, written as text, had something and has nothing that may be seen.
fn nothing_left(value: Raw<'_>, seen: Seen<'_>, depth: usize) -> bool {
    value.text().is_ok_and(|text| {
        let left = inside(&text, seen, depth);
        left != text && left.trim_matches('"') == "[]"
    })
}

/// Whether an item is a tag of which nothing is left.
fn is_gone(item: Raw<'_>, seen: Seen<'_>, depth: usize) -> Result<bool, JsonError> {
    if item.shape() != Shape::Object || !has_any(item.written()) {
        return Ok(false);
    }
    let members = item.members()?;
    let text = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let keyed = text("key").and_then(|key| key.text().ok()).is_some_and(|key| KEYS.contains(&&*key));
    Ok(keyed && text("value").is_some_and(|value| nothing_left(value, seen, depth)))
}

/// Whether a member is a list of tags of which none is left: MLflow leaves out lists that are empty.
fn all_gone(value: Raw<'_>, seen: Seen<'_>, depth: usize) -> Result<bool, JsonError> {
    if value.shape() != Shape::List || !has_any(value.written()) {
        return Ok(false);
    }
    let items = value.items()?;
    for item in &items {
        if !is_gone(*item, seen, depth)? {
            return Ok(false);
        }
    }
    Ok(!items.is_empty())
}

/// The value under one of the keys: text in a tag; in a span, text in text, or values in objects that say their kind
/// (`opentelemetry.proto.common.v1.AnyValue`).
fn list(out: &mut String, value: Raw<'_>, seen: Seen<'_>, depth: usize) -> Result<(), JsonError> {
    let deeper = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
    match value.shape() {
        Shape::Text => json::write_text(out, &inside(&value.text()?, seen, deeper)),
        Shape::Object if is_kind(value)? => {
            json::write_object(out, value.members()?, |out, value| list(out, value, seen, deeper))?;
        }
        Shape::Object if names_a_visible_one(value, seen)? => out.push_str(value.written()),
        Shape::Object => out.push_str("{}"),
        Shape::List => {
            let mut kept = Vec::new();
            for item in value.items()? {
                if item.shape() != Shape::Object || is_kind(item)? || names_a_visible_one(item, seen)? {
                    kept.push(item);
                }
            }
            json::write_list(out, kept, |out, item| list(out, item, seen, deeper))?;
        }
        Shape::Null | Shape::Bool | Shape::Number => out.push_str(value.written()),
    }
    Ok(())
}

/// Whether an object says the kind of a value that is no entry of the list by itself.
fn is_kind(value: Raw<'_>) -> Result<bool, JsonError> {
    const KINDS: [&str; 5] = ["string_value", "stringValue", "array_value", "arrayValue", "values"];
    Ok(value.members()?.iter().any(|(name, _)| KINDS.contains(&&**name)))
}

/// An entry is an object with a `name`, or the same as a list of keys and values.
fn names_a_visible_one(entry: Raw<'_>, seen: Seen<'_>) -> Result<bool, JsonError> {
    let member = |value: Raw<'_>, names: [&str; 2]| -> Result<_, JsonError> {
        let members = if value.shape() == Shape::Object { value.members()? } else { Vec::new() };
        Ok(members
            .into_iter()
            .find(|(name, _)| names.contains(&&**name))
            .map(|(_, value)| value.written().to_owned()))
    };
    let Some(pairs) = member(entry, ["kvlist_value", "kvlistValue"])? else { return is_visible(entry, seen) };
    let Some(pairs) = member(Raw::of_text(&pairs)?, ["values"; 2])? else { return Ok(false) };
    let mut names = Vec::new();
    for pair in Raw::of_text(&pairs)?.items()? {
        if member(pair, ["key"; 2])?.as_deref() == Some("\"name\"") {
            let value = member(pair, ["value"; 2])?.unwrap_or_default();
            names.push(member(Raw::of_text(&value)?, ["string_value", "stringValue"])?.unwrap_or_default());
        }
    }
    match names.as_slice() {
        [name] => Ok(Raw::of_text(name)?.text().is_ok_and(|name| seen(&name))),
        _ => Ok(false),
    }
}

/// A list that cannot be read shows nothing; one that is seen whole keeps its bytes.
fn inside(text: &str, seen: Seen<'_>, depth: usize) -> String {
    let kept = || {
        let value = Raw::of_text(text)?;
        let mut kept = String::new();
        match value.shape() {
            Shape::List => visible(&mut kept, value, seen, as_written)?,
            Shape::Text if depth > 0 => {
                let inner = value.text()?;
                let left = inside(&inner, seen, depth - 1);
                if left == inner {
                    return Ok(text.to_owned());
                }
                json::write_text(&mut kept, &left);
                return Ok(kept);
            }
            Shape::Null | Shape::Bool | Shape::Number | Shape::Text | Shape::Object => {
                return Err(JsonError::NotAnObject);
            }
        }
        let whole = Raw::of_text(&kept)?.items()?.len() == value.items()?.len();
        Ok::<_, JsonError>(if whole { text.to_owned() } else { kept })
    };
    kept().unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(name: &str) -> bool {
        name == "mine"
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let kept = mentions(body.as_bytes(), &mine).expect("a sound answer");
        assert_eq!(std::str::from_utf8(&kept).expect("text"), expected);
    }

    const BOTH: &str = r#"[{"name": "victim", "version": "1"}, {"name": "mine", "version": "2"}]"#;
    const KEPT: &str = r#"[{"name": "mine", "version": "2"}]"#;

    #[test]
    fn a_tag_names_only_what_may_be_seen() {
        for key in KEYS {
            let body = |list: &str| {
                let value = serde_json::Value::from(list);
                format!(
                    r#"{{"models":[{{"info":{{"tags":[{{"key":"{key}","value":{value}}},{{"key":"a","value":"b"}}]}},"n":1.50}}]}}"#
                )
            };
            for (list, expected) in [
                (BOTH, KEPT),
                (r#"[{"name": "mine"}, {"name": "mine"}]"#, r#"[{"name": "mine"}, {"name": "mine"}]"#),
                (r#"[{"name": "victim", "version": 1}]"#, "[]"),
                ("victim", "[]"),
                (r#"{"name":"victim"}"#, "[]"),
                ("\"victim\"", "\"[]\""),
                (r#"[],"other":[{"name":"victim"}]"#, "[]"),
                (r#"[{"name":"mine"}],"list":[{"name":"victim"}]"#, "[]"),
                (r#"[["victim"]]"#, "[]"),
                (r#"[{"name":"mine","name":"victim"}]"#, "[]"),
            ] {
                let gone = r#"{"models":[{"info":{"tags":[{"key":"a","value":"b"}]},"n":1.50}]}"#;
                let nothing = expected.trim_matches('"') == "[]";
                let expected = if nothing { gone.to_owned() } else { body(expected) };
                check(&body(list), &expected);
            }
        }
    }

    #[test]
    fn runs_traces_and_spans_have_it_in_other_forms() {
        let (both, kept) = (serde_json::Value::from(BOTH), serde_json::Value::from(KEPT));
        let (twice, kept_twice) =
            (serde_json::Value::from(both.to_string()), serde_json::Value::from(kept.to_string()));
        for form in [
            r#"{"trace":{"info":{"tags":{"a":1,"mlflow.linkedPrompts":@}}}}"#,
            r#"{"run":{"data":{"tags":[{"value":@,"key":"mlflow.linkedPrompts"}]}}}"#,
            r#"{"spans":[{"attributes":[{"key":"mlflow.linkedPrompts","value":{"string_value":@}}]}]}"#,
            r#"{"spans":[{"attributes":[{"key":"mlflow.linkedPrompts","value":{"array_value":{"values":[{"string_value":@}]}}}]}]}"#,
        ] {
            check(&form.replace('@', &both.to_string()), &form.replace('@', &kept.to_string()));
            check(&form.replace('@', &twice.to_string()), &form.replace('@', &kept_twice.to_string()));
        }
        let pairs = |name: &str| {
            format!(
                r#"{{"kvlist_value":{{"values":[{{"key":"version","value":{{"string_value":"1"}}}},{{"key":"name","value":{{"string_value":"{name}"}}}}]}}}}"#
            )
        };
        let form = |list: &[String]| {
            let list = list.join(",");
            format!(r#"{{"key":"mlflow.linkedPrompts","value":{{"array_value":{{"values":[{list}]}}}}}}"#)
        };
        check(&form(&[pairs("victim"), pairs("mine"), pairs("other")]), &form(&[pairs("mine")]));
        let two = pairs("mine").replace("version", "name");
        check(&form(&[two, r#"{"kvlist_value":{"values":[]}}"#.to_owned(), "{}".to_owned()]), &form(&[]));
        let plain = r#"{"attributes":{"mlflow.linkedPrompts":@}}"#;
        check(&plain.replace('@', BOTH), &plain.replace('@', &compact(KEPT)));
    }

    #[test]
    fn a_list_of_which_nothing_is_left_looks_as_if_it_had_never_been() {
        let hidden = r#""[{\"name\": \"victim\"}]""#;
        for (with, without) in [
            (r#"{"info":{"tags":[{"key":"mlflow.modelVersions","value":@}],"a":1}}"#, r#"{"info":{"a":1}}"#),
            (r#"{"tags":{"mlflow.linkedPrompts":@,"a":"b"}}"#, r#"{"tags":{"a":"b"}}"#),
            (
                r#"{"tags": [ {"value":@, "key":"mlflow.linkedPrompts"},
                {"key":"k"} ] }"#,
                r#"{"tags":[{"key":"k"}]}"#,
            ),
            (r#"{"tags":[]}"#, r#"{"tags":[]}"#),
        ] {
            check(&with.replace('@', hidden), without);
        }
        let graphql = |text: &str| mentions_in_graphql(text.as_bytes(), &mine).expect("a sound answer");
        let run = r#"{"data":{"tags":[{"key":"mlflow.linkedPrompts","value":@}]}}"#;
        assert_eq!(graphql(&run.replace('@', hidden)), r#"{"data":{"tags":[]}}"#);
        assert_eq!(graphql(r#"{"data":{"tags":[]}}"#), r#"{"data":{"tags":[]}}"#);
    }

    #[test]
    fn whatever_names_nothing_keeps_all_but_its_blanks() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        check(&deep, &deep);
        let beside = format!(
            "{{\"tags\":{{\"mlflow.linkedPrompts\":\"[]\"}},\"a\":{}{}}}",
            "[".repeat(100),
            "]".repeat(100)
        );
        check(&beside, &beside);
        check("{ \"a b\" : 1.0,\n \"c\\\" d\\\\\" : [ ] }", "{\"a b\":1.0,\"c\\\" d\\\\\":[]}");
        check("", "");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_passed_on() {
        for body in [
            "{",
            "{\"a\":\"model\tVersions\"}",
            "model\nVersions",
            "[\"linkedPrompts\"]",
            "<linkedPrompts>",
            "{\"linkedPrompts\":1,\"linkedPrompts\":2}",
        ] {
            assert!(mentions(body.as_bytes(), &mine).is_err(), "{body}");
        }
        assert!(mentions(b"\xff", &mine).is_err());
    }
}
