//! Which lines are asked for.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::facts::Facts;
use super::sieve;
use crate::record::line::{Decision, Kind, Outcome};

/// Which lines are asked for: those for which all of it holds. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who, exactly.
    pub principal: Option<String>,
    /// What was done, by its word.
    pub operation: Option<String>,
    /// The name of a model: what was done to it, or to anything below it.
    pub model: Option<String>,
    /// An object, exactly.
    pub object: Option<String>,
    /// The name of a stage, whatever its case, that was demanded, asked for, left or come to.
    pub stage: Option<String>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What it is about: one of these, or anything.
    pub kinds: Vec<Kind>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// The request's id.
    pub id: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Words that stand in its values, all of them, whatever the case of ASCII letters.
    pub words: Vec<String>,
}

impl Filter {
    /// Whether a line of this time is asked for.
    #[must_use]
    pub fn spans(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Whether a line is asked for. `facts` and `time` are what it says.
    #[must_use]
    pub fn takes(&self, line: &[u8], facts: &Facts<'_>, time: Timestamp) -> bool {
        let exactly =
            |wanted: &Option<String>, said: Option<&str>| wanted.is_none() || wanted.as_deref() == said;
        self.spans(time)
            && exactly(&self.principal, facts.principal())
            && exactly(&self.operation, facts.operation())
            && exactly(&self.id, Some(&facts.id))
            && (self.decision.is_none() || self.decision == facts.decision)
            && (self.outcome.is_none() || self.outcome == facts.outcome)
            && (self.kinds.is_empty() || self.kinds.contains(&facts.kind))
            && self.object.as_ref().is_none_or(|wanted| facts.objects().any(|object| object == wanted))
            && self.model.as_ref().is_none_or(|name| facts.objects().any(|object| is_of(object, name)))
            && self.stage.as_ref().is_none_or(|stage| speaks_of(facts, stage))
            && (self.words.is_empty() || holds_words(line, &self.words))
    }
}

/// Whether an object is the model of that name, or something below it.
fn is_of(object: &str, model: &str) -> bool {
    let rest = object.strip_prefix("model:").and_then(|named| named.strip_prefix(model));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn speaks_of(facts: &Facts<'_>, stage: &str) -> bool {
    let is = |text: &str| text.eq_ignore_ascii_case(stage);
    let demanded =
        || facts.objects().filter_map(|object| object.split_once("/stage/")).any(|(_, name)| is(name));
    let told =
        [(facts.params, &["stage", "to_stage"][..]), (facts.before, &["stage"]), (facts.after, &["stage"])];
    demanded()
        || told.into_iter().any(|(part, keys)| {
            let fields: Map<String, Value> =
                part.and_then(|part| serde_json::from_str(part.get()).ok()).unwrap_or_default();
            keys.iter().any(|key| fields.get(*key).and_then(Value::as_str).is_some_and(is))
        })
}

/// What holds the chain together is no value that anybody searches for.
const CHAINED: [&str; 4] = ["seq", "prev", "hash", "signature"];

fn holds_words(line: &[u8], words: &[String]) -> bool {
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(line) else { return false };
    fields.retain(|key, _| !CHAINED.contains(&key.as_str()));
    let fields = Value::Object(fields);
    words.iter().all(|word| stands_in(&fields, &word.to_ascii_lowercase()))
}

fn stands_in(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => sieve::holds(text.as_bytes(), word.as_bytes()),
        Value::Number(number) => number.to_string().contains(word),
        Value::Array(items) => items.iter().any(|item| stands_in(item, word)),
        Value::Object(fields) => fields.values().any(|field| stands_in(field, word)),
        Value::Null | Value::Bool(_) => false,
    }
}
