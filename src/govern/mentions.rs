//! Searches by what their answers leave out: the lists of versions and prompts that tags of tracking hold.

use crate::route::message::{FILTERS, Message};

use super::Broken;

/// Lists that hold an order, filters or a grouping, in any search of MLflow's.
const LISTS: [&str; 3] = ["order_by", "filters", "dimensions"];

/// What the keys of these tags have in them. Some databases compare keys without case.
const WORDS: [&str; 2] = ["modelversions", "linkedprompts"];

/// Refuses a search by a tag whose answer hides part of it. A search of traces by `prompt = 'name/version'` passes for a prompt
/// that the caller may see; MLflow compares the whole value (`store/tracking/sqlalchemy_store.py`).
pub fn check(path: &str, message: &Message, seen: impl Fn(&str) -> bool) -> Result<(), Broken> {
    let orders = message.messages("order_by").filter_map(|order| order.text("field_name"));
    let texts = FILTERS.iter().filter_map(|name| message.text(name));
    let lists = LISTS.iter().flat_map(|name| message.texts(name));
    let traces = path.starts_with("traces") || path == "unified-traces";
    for text in texts.chain(lists).chain(orders) {
        if names_a_tag(text) || (traces && !prompts_are(text, &seen)) {
            return Err(Broken::HiddenTag);
        }
    }
    Ok(())
}

/// The same for the variables of a GraphQL document. Its fields have names of their own.
pub fn check_variables(body: &str) -> Result<(), Broken> {
    if body.to_ascii_lowercase().contains("linkedprompts") { Err(Broken::HiddenTag) } else { Ok(()) }
}

fn names_a_tag(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether each word `prompt` of a filter compares with a prompt that may be seen, or stands inside a quoted value.
fn prompts_are(filter: &str, seen: &impl Fn(&str) -> bool) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let mut rest = filter;
    let mut quoted = false;
    // Where quotes could be read in more than one way, none is believed.
    let plain_quotes =
        !filter.contains(['\\', '"', '`', '#', '$', '[']) && !filter.contains("--") && !filter.contains("/*");
    let mut before = None;
    while let Some(letter) = rest.chars().next() {
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        if letter == '\'' && plain_quotes {
            quoted = !quoted;
        }
        let begins = !quoted && !before.is_some_and(is_part);
        if let Some(after) = rest
            .get(..6)
            .filter(|word| begins && word.eq_ignore_ascii_case("prompt"))
            .and_then(|_| rest.get(6..))
            && !after.chars().next().is_some_and(|letter| is_part(letter) || letter == '.')
        {
            match named(after) {
                Some((name, after)) if seen(name) => {
                    (rest, before) = (after, Some('\''));
                    continue;
                }
                Some(_) | None => return false,
            }
        }
        (rest, before) = (after, Some(letter));
    }
    true
}

/// The name in ` = 'name/version'`, and what follows.
fn named(after: &str) -> Option<(&str, &str)> {
    let value = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let (value, after) = value.get(1..)?.split_once(quote)?;
    let (name, version) = value.split_once('/')?;
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    (plain(name) && plain(version) && !after.starts_with(quote)).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    #[track_caller]
    fn check_body(name: &str, path: &str, body: &str, passes: bool) {
        let schema = Schema::named(name).expect("a known message");
        let message = Message::of_json(schema, body.as_bytes()).expect("a sound body");
        let expected = if passes { Ok(()) } else { Err(Broken::HiddenTag) };
        assert_eq!(check(path, &message, |name| name == "mine"), expected, "{body}");
    }

    #[test]
    fn no_search_asks_for_what_its_answer_hides() {
        let models =
            |body: &str, passes| check_body("SearchLoggedModels", "logged-models/search", body, passes);
        models(r#"{"filter":"tags.a = 'b'","order_by":[{"field_name":"creation_time"}]}"#, true);
        models(r#"{"filter":"tags.`mlflow.modelVersions` LIKE '%victim%'"}"#, false);
        models(r#"{"order_by":[{"field_name":"tags.mlflow.modelversions"}]}"#, false);
        let runs = |body: &str, passes| check_body("SearchRuns", "runs/search", body, passes);
        runs(r#"{"filter":"tags.prompt = 'x'","order_by":["metrics.a"]}"#, true);
        runs(r#"{"filter":"tags.\"mlflow.linkedPrompts\" ILIKE '%victim%'"}"#, false);
        runs(r#"{"order_by":["tags.`mlflow.LINKEDPROMPTS` DESC"]}"#, false);
        let metrics = |body: &str, passes| check_body("QueryTraceMetrics", "traces/metrics", body, passes);
        metrics(r#"{"filters":["trace.status = 'OK'"],"dimensions":["trace_name"]}"#, true);
        metrics(r#"{"filters":["a","trace.tag.mlflow.linkedPrompts = 'x'"]}"#, false);
        let pairs = |body: &str, passes| {
            check_body(
                "CalculateTraceFilterCorrelation",
                "traces/calculate-filter-correlation",
                body,
                passes,
            );
        };
        pairs(r#"{"filter_string1":"status = 'OK'","filter_string2":"name = 'x'"}"#, true);
        for field in ["filter_string1", "filter_string2", "base_filter"] {
            pairs(&format!(r#"{{"{field}":"prompt = 'victim/1'"}}"#), false);
        }
    }

    #[test]
    fn traces_are_found_by_a_prompt_that_may_be_seen() {
        for (filter, passes) in [
            ("status = 'OK'", true),
            ("prompt = 'mine/1'", true),
            ("prompt=\"mine/1\" AND status = 'OK'", true),
            ("trace.prompt = 'mine/1' AND attributes.prompt = 'mine/2'", true),
            ("tags.my_prompt = 'x' AND tags.prompts = 'y'", true),
            ("name = 'the prompt = x'", true),
            ("prompt = 'victim/1'", false),
            ("PROMPT = 'victim/1'", false),
            ("prompt != 'mine/1'", false),
            ("prompt LIKE 'mine/1'", false),
            ("prompt IN ('mine/1')", false),
            ("prompt = 'mine/1' AND prompt = 'victim/1'", false),
            ("prompt = 'mine/1''/2'", false),
            ("prompt = 'mine'", false),
            ("prompt = mine/1", false),
            ("`prompt` = 'victim/1'", false),
            ("\"prompt\" = 'victim/1'", false),
            ("attribute.`prompt` = 'mine/1'", false),
            ("name = 'a\\' AND prompt = 'victim/1'", false),
            ("name = \"it's\" AND prompt = 'victim/1' AND name = \"it's\"", false),
            ("name = 'a' -- ' \n AND prompt = 'victim/1'", false),
            ("name = 'x", true),
            ("promp", true),
            ("é'prompt", true),
        ] {
            let body = serde_json::json!({ "filter": filter }).to_string();
            check_body("SearchTracesV3", "traces/search", &body, passes);
        }
    }

    #[test]
    fn variables_of_a_document_are_looked_at_too() {
        assert_eq!(check_variables(r#"{"query":"{ modelVersions }","variables":{"filter":"a"}}"#), Ok(()));
        assert_eq!(
            check_variables(r#"{"variables":{"filter":"tags.`mlflow.LinkedPrompts`"}}"#),
            Err(Broken::HiddenTag)
        );
    }
}
