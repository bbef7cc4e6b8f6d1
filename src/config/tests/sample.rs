//! `deploy/sekisho.toml` is the table of keys once more, for people; here the two are compared.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const SAMPLE: &str = include_str!("../../../deploy/sekisho.toml");

/// `section.word` to the value as one would write it into the variable.
fn set_in(text: &str) -> BTreeMap<String, String> {
    let tree: toml::Table = text.parse().unwrap();
    let words = |(section, table): (&String, &toml::Value)| {
        let words = table.as_table().unwrap().iter();
        let spelled = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        words.map(|(word, value)| (format!("{section}.{word}"), spelled(value))).collect::<Vec<_>>()
    };
    tree.iter().flat_map(words).collect()
}

/// A line like `# word = value` without the `# `.
fn commented_out(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    let (word, _) = rest.split_once(" = ")?;
    word.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        .then_some(rest)
}

#[test]
fn the_sample_sets_every_default_and_nothing_else() {
    let defaults = keys().iter().filter_map(|key| Some((key.name.to_owned(), key.default?.to_owned())));
    assert_eq!(set_in(SAMPLE), defaults.collect());
    let config = taken(SAMPLE, &[]);
    let by_default = read(None, []).unwrap();
    assert_eq!(format!("{config:?}"), format!("{by_default:?}"));
}

#[test]
fn the_sample_shows_every_key_that_has_no_default() {
    let uncommented: Vec<_> = SAMPLE.lines().map(|line| commented_out(line).unwrap_or(line)).collect();
    let shown: BTreeSet<_> = set_in(&uncommented.join("\n")).into_keys().collect();
    let known: BTreeSet<_> = keys().iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(shown, known);
}

#[test]
fn what_the_sample_shows_is_right_but_for_the_secret() {
    for (index, line) in SAMPLE.lines().enumerate() {
        let Some(setting) = commented_out(line) else { continue };
        let text = SAMPLE.replace(line, setting);
        let told = told(&text, &[]);
        let place = format!("s.toml:{}: ", index + 1);
        let word = setting.split(' ').next().unwrap();
        // A secret that works would be used; a file that is not there cannot be read; TLS wants both of its files.
        match word {
            "hs256_secret" | "hs256_secret_file" | "tls_cert_file" | "tls_key_file" | "client_ca_file" => {
                assert!(told.len() == 1 && told[0].starts_with(&place), "{told:?}");
            }
            _ => assert_eq!(told, [""; 0], "{setting}"),
        }
    }
}

#[test]
fn a_comment_stands_before_every_key_of_the_sample() {
    let lines: Vec<_> = SAMPLE.lines().collect();
    for pair in lines.windows(2) {
        let is_key =
            pair[1].contains(" = ") && (!pair[1].starts_with('#') || commented_out(pair[1]).is_some());
        if is_key {
            assert!(pair[0].starts_with("# ") && commented_out(pair[0]).is_none(), "{pair:?}");
        }
    }
}

#[test]
fn every_key_of_the_table_is_well_formed() {
    let names: BTreeSet<_> = keys().iter().map(|key| key.name).collect();
    assert_eq!(names.len(), keys().len());
    for key in keys() {
        assert_eq!(key.name.split('.').count(), 2, "{}", key.name);
        assert!(!key.meaning.is_empty() && !key.meaning.contains('\n'), "{}", key.name);
        // Every variable is known by its name: a wrong one is told as wrong, not as unknown.
        let told = told("", &[(&key.variable(), "")]);
        assert!(!told.is_empty() && !told[0].contains("no key"), "{told:?}");
    }
}
