//! Reading names, and being sure that nothing else can be read.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::rules::Rules;
use crate::rules::tests::NO_STAGES;

fn names(toml: &str) -> Result<Names, String> {
    let rules = Rules::parse(Path::new(""), toml.as_bytes(), NO_STAGES, b"{}");
    rules.map(|rules| rules.names).map_err(|mistakes| mistakes[0].what().to_owned())
}

fn shipped() -> Names {
    names(include_str!("../../../policies/rules.toml")).unwrap()
}

#[test]
fn the_parts_in_their_order_are_read_and_in_no_other() {
    let names = shipped();
    let lists: Vec<Vec<&str>> = names.patterns[0]
        .segments
        .iter()
        .filter(|segment| segment.part.is_some())
        .map(|segment| segment.words.words().collect())
        .collect();
    let mut read = 0;
    for order in orders(&[0, 1, 2, 3]) {
        let mut made = vec![String::new()];
        for part in &order {
            let longer =
                |name: &String| lists[*part].iter().map(|word| format!("{name}_{word}")).collect::<Vec<_>>();
            made = made.iter().flat_map(longer).collect();
        }
        for name in &made {
            let name = name.trim_start_matches('_');
            let reading = names.read(name);
            assert_eq!(reading.is_ok(), order == [0, 1, 2, 3], "{name}");
            if let Ok(reading) = reading {
                assert_eq!(reading.to_string(), name);
                read += 1;
            }
        }
    }
    assert_eq!(read, 3 * 3 * 4 * 3);
}

fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in of {
        let rest: Vec<usize> = of.iter().copied().filter(|other| other != first).collect();
        all.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

#[test]
fn a_wrong_name_is_told_by_its_parts() {
    let names = shipped();
    for (name, what) in [
        (
            "fraud_detection_neural_network_f1_staging",
            "metric: `f1` is none of accuracy, auc, rmse, f1score; did you mean `f1score`?",
        ),
        (
            "fraud_neural_network_auc_prod",
            "domain: `fraud` is none of recommendation, fraud_detection, demand_forecasting; \
             did you mean `fraud_detection`?",
        ),
        (
            "fraud_detection_xgb_auc_production",
            "type: `xgb` is none of xgboost, neural_network, ensemble; env: `production` is none of dev, staging, prod; \
             did you mean `fraud_detection_xgboost_auc_prod`?",
        ),
        (
            "fraud_detection_xgboost_staging",
            "metric is missing: one of accuracy, auc, rmse, f1score; \
             names are written `{domain}_{type}_{metric}_{env}`",
        ),
        (
            "fraud_detection-xgboost_auc_prod",
            "`_` is expected after `fraud_detection`, not `-`; did you mean `fraud_detection_xgboost_auc_prod`?",
        ),
        (
            "fraud_detection_xgboostauc_prod",
            "`_` is expected after `fraud_detection_xgboost`; did you mean `fraud_detection_xgboost_auc_prod`?",
        ),
        (
            "fraud_detection_xgboost_auc_prod ",
            "env: `prod ` is none of dev, staging, prod; did you mean `prod`?",
        ),
        (
            "Fraud_Detection_xgboost_auc_prod",
            "domain: `Fraud_Detection` is none of recommendation, fraud_detection, demand_forecasting; \
             did you mean `fraud_detection`?",
        ),
        (
            "iris",
            "domain: `iris` is none of recommendation, fraud_detection, demand_forecasting; type is missing: one of \
             xgboost, neural_network, ensemble; metric is missing: one of accuracy, auc, rmse, f1score; env is missing: \
             one of dev, staging, prod; names are written `{domain}_{type}_{metric}_{env}`",
        ),
    ] {
        let wrong = names.read(name).unwrap_err();
        assert_eq!(wrong.what(), what, "{name}");
        assert_eq!(wrong.to_string(), format!("{name}: {what}"));
        if let Some(nearest) = wrong.nearest() {
            assert!(names.read(nearest).is_ok(), "{nearest}");
        }
    }
}

#[test]
fn the_best_of_several_patterns_is_told() {
    let names = names(
        "[names]\npatterns = ['{domain}_{env}', 'team-{team}-{env}', 'scratch']\n[names.words]\n\
         domain = ['fraud', 'churn']\nenv = ['dev', 'prod']\nteam = ['red', 'blue']\n",
    )
    .unwrap();
    for name in ["fraud_dev", "team-red-prod", "scratch"] {
        assert_eq!(names.read(name).unwrap().to_string(), name);
    }
    for (name, what) in [
        ("team-green-prod", "team: `green` is none of red, blue; names are written `team-{team}-{env}`"),
        ("chrun_dev", "domain: `chrun` is none of fraud, churn; did you mean `churn`?"),
        ("scratsh", "`scratch` is expected at the beginning, not `scratsh`; did you mean `scratch`?"),
    ] {
        assert_eq!(names.read(name).unwrap_err().what(), what);
    }
    assert_eq!(names.read("team-red-prod").unwrap().word("team"), Some("red"));
    assert_eq!(names.read("fraud_dev").unwrap().word("team"), None);
}

#[test]
fn a_long_list_is_cut_and_a_hostile_name_is_no_work() {
    let words: Vec<String> = (100..200).map(|number| format!("'word{number}'")).collect();
    let toml = format!(
        "[names]\npatterns = ['{{a}}_{{b}}']\n[names.words]\na = [{0}]\nb = [{0}]\n",
        words.join(", ")
    );
    let names = names(&toml).unwrap();
    let what = names.read("zzz_word100").unwrap_err().what();
    assert!(what.contains("word107, …") && !what.contains("word108"), "{what}");
    for hostile in
        ["word100_".repeat(131_072), "a".repeat(1 << 20), "é".repeat(1 << 19), "\u{1b}[2J".repeat(1 << 18)]
    {
        let wrong = names.read(&hostile).unwrap_err().to_string();
        assert!(wrong.len() < 2_000 && !wrong.contains('\u{1b}'), "{wrong}");
        assert!(wrong.contains("is longer than the 15 bytes"), "{wrong}");
    }
    for hostile in ["", "_", "é_é", "word100", "\0", "word100_wörd", &"word100_".repeat(63)] {
        let wrong = names.read(hostile).unwrap_err().to_string();
        assert!(wrong.chars().all(|letter| !letter.is_control()), "{wrong}");
    }
}

#[test]
fn without_patterns_every_name_is_allowed() {
    let names = names("").unwrap();
    for name in ["", "iris", "Ünïcödé", "a/b"] {
        let reading = names.read(name).unwrap();
        assert_eq!((reading.pattern(), reading.parts().count()), (None, 0));
    }
}

/// A few words of few letters, so that they run into one another.
fn list() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[xyz]{1,3}", 1..4).prop_map(|words| words.into_iter().collect())
}

fn rules() -> impl Strategy<Value = (Vec<Vec<String>>, Vec<Vec<usize>>)> {
    let pattern = proptest::sample::subsequence(vec![0, 1, 2, 3], 1..=3).prop_shuffle();
    (proptest::collection::vec(list(), 4), proptest::collection::vec(pattern, 1..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The search says what making every name says, and its example is among the shortest.
    #[test]
    fn two_readings_are_found_if_there_are_any((lists, patterns) in rules(), joint in "[xy]?") {
        let mut texts: Vec<String> = patterns
            .iter()
            .map(|parts| parts.iter().map(|part| format!("{{p{part}}}")).collect::<Vec<_>>().join(&joint))
            .collect();
        texts.sort();
        texts.dedup();
        let mut made: HashMap<String, usize> = HashMap::new();
        for text in &texts {
            let mut names = vec![String::new()];
            let parts: Vec<usize> = text.split('p').skip(1).map(|rest| rest.split('}').next().unwrap().parse().unwrap()).collect();
            for (place, part) in parts.iter().enumerate() {
                let joint = if place == 0 { "" } else { &joint };
                let longer = |name: &String| lists[*part].iter().map(|word| format!("{name}{joint}{word}")).collect::<Vec<_>>();
                names = names.iter().flat_map(longer).collect();
            }
            for name in names {
                *made.entry(name).or_default() += 1;
            }
        }
        let mut toml = format!("[names]\npatterns = {texts:?}\n[names.words]\n");
        for (part, words) in lists.iter().enumerate().filter(|(part, _)| texts.iter().any(|text| text.contains(&format!("p{part}")))) {
            toml += &format!("p{part} = {words:?}\n");
        }
        let shortest = made.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name.len()).min();
        match names(&toml) {
            Ok(names) => {
                prop_assert_eq!(shortest, None, "{}", toml);
                for name in made.keys() {
                    prop_assert_eq!(&names.read(name).unwrap().to_string(), name);
                }
            }
            Err(what) => {
                let example = what.split('`').nth(3).unwrap();
                prop_assert!(made.get(example).is_some_and(|count| *count > 1), "{}: {}", toml, what);
                prop_assert_eq!(shortest, Some(example.len()), "{}: {}", toml, what);
            }
        }
    }

    /// What is read is what was written, and what cannot be read is refused with a reason.
    #[test]
    fn writing_and_reading_are_inverse(name in "(fraud_detection|demand_forecasting|x)[_-](xgboost|ensemble)_(auc|rmse|_)_(dev|prod|x)?") {
        let names = shipped();
        match names.read(&name) {
            Ok(reading) => prop_assert_eq!(reading.to_string(), name),
            Err(wrong) => prop_assert!(!wrong.faults().is_empty() && wrong.to_string().starts_with(&name)),
        }
    }

    #[test]
    fn no_text_is_too_strange(name in "\\PC{0,40}|[a-z_]{0,80}|(?s).{0,40}") {
        if let Err(wrong) = shipped().read(&name) {
            prop_assert!(wrong.to_string().len() > 2);
            if let Some(nearest) = wrong.nearest() {
                prop_assert!(shipped().read(nearest).is_ok());
            }
        }
    }
}
