//! House rules, and the names that are held to them.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use sekisho::mistake::Mistake;
use sekisho::rules::Rules;
use sekisho::rules::names::{plain, skeleton};
use sekisho::rules::transitions::{Case, Transitions};
use sekisho::stage::Stage;

/// A name is read as it was written or refused in one line, and its look is its own.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let look = skeleton(text);
    assert_eq!(skeleton(&look), look, "{text:?}");
    assert_eq!(skeleton(&format!(" {text}\u{200b}")), look, "{text:?}");
    RULES.with(|rules| match rules.names.read(text) {
        Ok(reading) => assert_eq!(reading.to_string(), text),
        Err(wrong) => {
            let told = wrong.to_string();
            assert!(told.len() < 16_384 && !told.contains(char::is_control), "{told:?}");
            if let Some(nearest) = wrong.nearest() {
                assert!(rules.names.read(nearest).is_ok(), "{nearest:?} is no name");
            }
        }
    });
    assert!(!plain(text).contains(char::is_control));
}

/// Rules are refused for a reason on a line that is there; those that pass allow the name that they show.
pub fn rules(bytes: &[u8]) {
    match Rules::parse(Path::new(""), bytes, NO_STAGES, b"{}") {
        Ok(rules) => {
            for prefix in &rules.sources {
                assert!(prefix.ends_with('/') && !prefix.contains(".."), "{prefix:?}");
            }
            if let Some(example) = rules.names.example() {
                let reading = rules.names.read(&example).expect("an example is allowed");
                assert_eq!(reading.to_string(), example);
            }
        }
        Err(mistakes) => have_reasons(&mistakes, bytes),
    }
}

/// Rules on stages that pass name each pair once, bring a version to every stage that they lead to, are met by nothing
/// that they ask more of, and are refused for a reason on a line that is there.
pub fn stages(bytes: &[u8]) {
    match Rules::parse(Path::new(""), b"", bytes, b"{}") {
        Ok(rules) => {
            let mut reached = BTreeSet::from([Stage::Development]);
            for _ in Stage::ALL {
                let next = reached.iter().flat_map(|stage| rules.stages.reachable(*stage));
                reached.extend(next.collect::<Vec<_>>());
            }
            for (_, rule) in rules.stages.rules() {
                assert_ne!(rule.from, rule.to);
                assert_eq!(rules.stages.rule(rule.from, rule.to), Some(rule));
                assert!(reached.contains(&rule.to), "{} is never reached", rule.to);
                let asks = rule.required_approvals > 0 || !rule.required_tests.is_empty() || rule.returning;
                assert_eq!(rule.judge(&nothing(&rules.stages)).lacks.is_empty(), !asks, "{rule:?}");
            }
            let days = rules.stages.approvals_last().as_hours() / 24;
            assert!((1..=3650).contains(&days), "{days}");
        }
        Err(mistakes) => have_reasons(&mistakes, bytes),
    }
}

/// A version of which nothing is known.
fn nothing(stages: &Transitions) -> Case<'static> {
    Case {
        asker: "ada",
        author: None,
        approvals: &[],
        evidence: &[],
        digest: "d",
        source: "s",
        was_there: false,
        lasts: stages.approvals_last(),
        now: Timestamp::UNIX_EPOCH,
    }
}

fn have_reasons(mistakes: &[Mistake], bytes: &[u8]) {
    assert!(!mistakes.is_empty(), "refused without a reason");
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    let beyond = mistakes.iter().filter_map(Mistake::line).find(|line| *line > lines);
    assert_eq!(beyond, None, "a mistake on a line that is not there");
}

const NO_STAGES: &[u8] = b"transitions = []";

thread_local! {
    static RULES: Rules = {
        let shipped = include_bytes!("../../../policies/rules.toml");
        Rules::parse(Path::new(""), shipped, NO_STAGES, b"{}").expect("the shipped rules")
    };
}
