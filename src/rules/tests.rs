//! `rules.toml` as people write it, right and wrong.

use std::fmt::Write;

use super::*;

/// No version ever goes anywhere.
pub(super) const NO_STAGES: &[u8] = b"transitions = []";

fn parse(toml: &str) -> Result<Rules, Vec<String>> {
    let parsed = Rules::parse(Path::new(""), toml.as_bytes(), NO_STAGES, b"{}");
    parsed.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn wrong(toml: &str, expected: &[&str]) {
    let mistakes = parse(toml).expect_err(toml);
    assert_eq!(mistakes, expected, "{toml}");
}

fn shipped() -> Rules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let read = |name: &str| std::fs::read(root.join(name)).unwrap();
    Rules::parse(&root, &read(RULES_FILE), &read(STAGES_FILE), &read(SCHEMA_FILE)).unwrap()
}

#[test]
fn the_shipped_rules_are_those_of_the_documentation() {
    let rules = shipped();
    assert_eq!(rules.names.patterns().collect::<Vec<_>>(), ["{domain}_{type}_{metric}_{env}"]);
    let reading = rules.names.read("fraud_detection_neural_network_f1score_staging").unwrap();
    assert_eq!(
        reading.parts().collect::<Vec<_>>(),
        [
            ("domain", "fraud_detection"),
            ("type", "neural_network"),
            ("metric", "f1score"),
            ("env", "staging")
        ]
    );
    assert_eq!(rules.at, At::Transition);
    assert_eq!(rules.prompts, Prompts { names: false, metadata: false });
    assert!(rules.sources.is_empty());
}

#[test]
fn what_is_left_out_has_its_default() {
    let rules = parse("").unwrap();
    assert!(rules.names.allows_all());
    assert_eq!(rules.at, At::Transition);
    let rules = parse(
        "[names]\npatterns = [\"{a}\"]\nprompts = true\nwords.a = [\"x\"]\n\
         [sources]\nprefixes = [\"s3://bucket/a/\", \"abfss://box@account.dfs.core.windows.net/\"]\n\
         [metadata]\nat = \"warn\"\nprompts = true\n",
    )
    .unwrap();
    assert!(!rules.names.allows_all());
    assert_eq!((rules.at, rules.prompts), (At::Warn, Prompts { names: true, metadata: true }));
    assert_eq!(rules.sources, ["s3://bucket/a/", "abfss://box@account.dfs.core.windows.net/"]);
}

#[test]
fn every_mistake_is_told_with_its_line() {
    wrong(
        "[name]\n[sources]\nprefix = []\n[metadata]\nat = \"creation\"\nprompts = \"yes\"\n[names]\npattern = 1\n\
         patterns = [1, \"{x}\"]\nwords = { y = [\"a\"] }\n[other]\n",
        &[
            "rules.toml:1: unknown section `name`; did you mean `names`?",
            "rules.toml:3: unknown key `sources.prefix`; did you mean `prefixes`?",
            "rules.toml:5: `metadata.at`: `creation` is not one of `create`, `transition`, `warn`",
            "rules.toml:6: `metadata.prompts`: expected `true` or `false`, found string",
            "rules.toml:8: unknown key `names.pattern`; did you mean `patterns`?",
            "rules.toml:9: `names.patterns`: `{x}`: there are no words for `{x}`; did you mean `y`?",
            "rules.toml:9: `names.patterns`: expected a string, found integer",
            "rules.toml:10: `names.words`: no pattern has the part `{y}`",
            "rules.toml:11: unknown section `other`",
        ],
    );
    wrong("names = 1\n", &["rules.toml:1: `names` is a section, written `[names]`"]);
    wrong("[names]\n[names]\n", &["rules.toml:2: `names` is given twice"]);
    let mistakes = parse("[names]\npatterns = [\n").unwrap_err();
    assert!(mistakes.len() == 1 && mistakes[0].contains(": is not TOML: "), "{mistakes:?}");
    let latin1 = Rules::parse(Path::new(""), b"\n# caf\xe9\n", NO_STAGES, b"{}").unwrap_err();
    assert_eq!(latin1, [Mistake::at(RULES_FILE, 2, "is not UTF-8")]);
}

#[test]
fn words_and_patterns_that_cannot_be_meant_are_mistakes() {
    let names =
        |pattern: &str, words: &str| format!("[names]\npatterns = [{pattern}]\n[names.words]\n{words}\n");
    let long = format!("\"{}\"", "x".repeat(257));
    for (pattern, words, line, what) in [
        ("'{a'", "a = ['x']", 2, "`{a`: has a `{` without its `}`"),
        ("'a}'", "", 2, "`a}`: has a `}` without its `{`"),
        ("''", "", 2, "``: is empty"),
        ("'{a}{a}'", "a = ['x']", 2, "`{a}{a}`: has `{a}` twice"),
        ("'{a b}'", "", 2, "`{a b}`: `a b` is not a part's name"),
        ("'x', 'x'", "", 2, "`x` is given twice"),
        ("'{a}', '{b}'", "a = ['x']", 2, "`{b}`: there are no words for `{b}`; did you mean `a`?"),
        ("'{a}/x'", "a = ['x']", 2, "`/x` has a `/`, which MLflow takes in no name"),
        ("'{a}'", "a = []", 4, "there is no word in it"),
        ("'{a}'", "a = ['']", 4, "`` is empty"),
        ("'{a}'", "a = ['x', 'x']", 4, "`x` is given twice"),
        ("'{a}'", "a = ['x', 'X']", 4, "`x` is given, and `X` looks like it"),
        ("'{a}'", "a = ['modern', 'modem']", 4, "`modern` is given, and `modem` looks like it"),
        ("'{a}'", "a = ['x:y']", 4, "`x:y` has a `:`, which MLflow takes in no name"),
        ("'{a}'", "a = ['x y ']", 4, "`x y ` begins or ends with a blank"),
        ("'{a}'", "a = [\"x\\u200By\"]", 4, "`x\\u{200b}y` has a character that cannot be seen"),
        ("'{a}'", "a = [\"x\\ny\"]", 4, "`x\\ny` has a character that cannot be seen"),
        ("'{a}'", "a = ['..x']", 2, "names would begin with a `.`, by `..x`"),
        ("'{a}'", &format!("a = [{long}]"), 4, "has more than the 256 bytes"),
        ("'{a}'", "a = ['x']\nb = ['y']", 5, "no pattern has the part `{b}`"),
    ] {
        let mistakes = parse(&names(pattern, words)).expect_err(pattern);
        let place = format!("rules.toml:{line}: ");
        assert!(
            mistakes.iter().any(|mistake| mistake.starts_with(&place) && mistake.contains(what)),
            "{pattern} {words}: {mistakes:?}"
        );
    }
}

#[test]
fn a_name_with_two_readings_is_a_mistake_with_an_example() {
    wrong(
        "[names]\npatterns = [\"{a}_{b}\"]\n[names.words]\na = [\"fraud\", \"fraud_card\"]\nb = [\"card_auc\", \"auc\"]\n",
        &["rules.toml:2: `names.patterns`: `fraud_card_auc` can be read in two ways: \
           a `fraud_card`, b `auc` by `{a}_{b}`; or a `fraud`, b `card_auc` by `{a}_{b}`"],
    );
    wrong(
        "[names]\npatterns = [\n\"{a}\",\n\"team-x\"]\nwords.a = [\"team-x\"]\n",
        &["rules.toml:4: `names.patterns`: `team-x` can be read in two ways: \
           a `team-x` by `{a}`; or as it stands by `team-x`"],
    );
}

#[test]
fn a_listed_prefix_is_an_address_that_cannot_be_led_around() {
    for (prefix, what) in [
        ("s3://bucket", "does not end in `/`"),
        ("s3://bucket/models", "does not end in `/`"),
        ("/mnt/models/", "is not an address"),
        ("file:///mnt/models/", "has no host"),
        ("s3:///models/", "has no host"),
        ("dbfs:/models/", "has no host"),
        ("s3://bucket/a/../b/", "`..`"),
        ("s3://bucket/./b/", "`..`"),
        ("s3://bucket/a//b/", "an empty segment"),
        ("s3://bucket/%2e%2e/", "read differently"),
        ("s3://bucket/*/", "read differently"),
        ("s3://bucket/a?b/", "read differently"),
        ("s3://bucket/a#b/", "read differently"),
        ("s3://bucket/a b/", "read differently"),
        ("s3://bücket/", "read differently"),
        ("https://Example.com/", "must be written `https://example.com/`"),
        ("https://example.com:443/", "must be written `https://example.com/`"),
        ("s3://user@bucket/", "a user name or a password"),
        ("abfss://box:hunter2@account.net/", "a user name or a password"),
        ("runs://x/", "MLflow resolves"),
        ("models://x/", "MLflow resolves"),
        ("mlflow-artifacts://host/", "MLflow resolves"),
    ] {
        let mistakes = parse(&format!("[sources]\nprefixes = [\"{prefix}\"]\n")).expect_err(prefix);
        assert!(mistakes.len() == 1 && mistakes[0].contains(what), "{prefix}: {mistakes:?}");
        assert!(!mistakes[0].contains("hunter2"), "{mistakes:?}");
    }
    wrong(
        "[sources]\nprefixes = [\"s3://b/\",\n \"s3://b/\"]\n",
        &["rules.toml:3: `sources.prefixes`: is given twice"],
    );
}

#[test]
fn big_vocabularies_are_within_what_is_searched() {
    let mut toml = "[names]\npatterns = [\"{a}_{b}_{c}_{d}\"]\n[names.words]\n".to_owned();
    for part in ["a", "b", "c", "d"] {
        let words: Vec<String> = (0..3_000).map(|number| format!("'{part}_x_{number}_y'")).collect();
        writeln!(toml, "{part} = [{}]", words.join(", ")).unwrap();
    }
    let rules = parse(&toml).unwrap();
    assert!(rules.names.read("a_x_7_y_b_x_77_y_c_x_777_y_d_x_2999_y").is_ok());
}
