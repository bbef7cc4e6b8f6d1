//! What a version depends on: `scikit-learn < 1.4` against a list of PEP 508 requirements.
//!
//! A pinned requirement counts if its version is inside what is asked for. One that leaves a choice counts if the choice
//! plainly overlaps with it: what is asked is which models may be using such a release, and a requirement without any
//! bound may be using every one. `!=` and pre-releases narrow no choice.

use std::cmp::Ordering;
use std::str::FromStr;

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};

/// A distribution, and which of its releases.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    name: String,
    releases: VersionSpecifiers,
}

/// No requirement that is looked at is longer.
const LONGEST: usize = 1_000;

impl Wanted {
    /// Reads `name`, or `name` and the releases that are meant.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = split(text).ok_or("a distribution's name was expected")?;
        let releases = specifiers(rest).ok_or_else(|| {
            format!("releases such as `< 1.4` or `>= 1.2, < 2` were expected after `{name}`")
        })?;
        // `===` compares spellings, which is never what is meant here.
        let plainly = |one: &VersionSpecifier| match is_exact(one.operator()) {
            true => VersionSpecifier::equals_version(one.version().clone()),
            false => one.clone(),
        };
        Ok(Self { name, releases: releases.iter().map(plainly).collect() })
    }

    /// Whether one of the requirements, a JSON list, may bring in what is meant.
    pub(super) fn in_list(&self, json: &str) -> bool {
        let listed: Vec<String> = serde_json::from_str(json).unwrap_or_default();
        listed.iter().any(|requirement| self.met_by(requirement))
    }

    fn met_by(&self, requirement: &str) -> bool {
        let Some((_, rest)) = split(requirement).filter(|(name, _)| *name == self.name) else { return false };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let rest = rest.split(';').next().unwrap_or_default();
        // `name @ https://…` says nothing of the release.
        if rest.trim_start().starts_with('@') {
            return true;
        }
        // What cannot be read may be anything.
        let Some(given) = specifiers(rest) else { return true };
        match pinned(&given) {
            Some(version) => self.releases.contains(&version),
            None => overlap(&given, &self.releases),
        }
    }
}

/// A distribution's name as PEP 503 has it, and what follows it.
fn split(text: &str) -> Option<(String, &str)> {
    let text = text.trim();
    let of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let end = text.find(|letter| !of_name(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() || text.len() > LONGEST {
        return None;
    }
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    Some((parts.collect::<Vec<_>>().join("-").to_ascii_lowercase(), rest))
}

/// `<1.4`, `(>=1, <2)`, or nothing at all.
fn specifiers(text: &str) -> Option<VersionSpecifiers> {
    let text = text.trim();
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    if text.trim().is_empty() {
        return Some(VersionSpecifiers::empty());
    }
    VersionSpecifiers::from_str(text).ok()
}

/// The one release that a requirement allows.
fn pinned(given: &VersionSpecifiers) -> Option<Version> {
    let exact = |one: &&VersionSpecifier| is_exact(one.operator());
    let version = given.iter().find(exact)?.version();
    // `1.4` is `1.4.0`, which the wildcards of the library do not know.
    let mut release = version.release().to_vec();
    release.resize(release.len().max(4), 0);
    Some(version.clone().with_release(release))
}

fn is_exact(operator: &Operator) -> bool {
    matches!(operator, Operator::Equal | Operator::ExactEqual)
}

/// One end of a range, and whether it is in it.
type End = Option<(Version, bool)>;

fn overlap(one: &VersionSpecifiers, other: &VersionSpecifiers) -> bool {
    let (mut low, mut high): (End, End) = (None, None);
    for specifier in one.iter().chain(other.iter()) {
        let (from, to) = range(specifier);
        if tighter(&from, &low, Ordering::Greater) {
            low = from;
        }
        if tighter(&to, &high, Ordering::Less) {
            high = to;
        }
    }
    match (low, high) {
        (Some((low, low_in)), Some((high, high_in))) => low < high || low == high && low_in && high_in,
        (None, _) | (_, None) => true,
    }
}

/// Whether one end leaves out more than the other.
fn tighter(one: &End, other: &End, side: Ordering) -> bool {
    match (one, other) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some((one, one_in)), Some((other, other_in))) => match one.cmp(other) {
            Ordering::Equal => !one_in && *other_in,
            order @ (Ordering::Less | Ordering::Greater) => order == side,
        },
    }
}

fn range(specifier: &VersionSpecifier) -> (End, End) {
    let version = specifier.version().clone().without_local();
    match specifier.operator() {
        Operator::Equal | Operator::ExactEqual => (Some((version.clone(), true)), Some((version, true))),
        Operator::EqualStar => {
            let next = next(&version, 0);
            (Some((version, true)), next)
        }
        Operator::TildeEqual => {
            let next = next(&version, 1);
            (Some((version, true)), next)
        }
        Operator::LessThan => (None, Some((version, false))),
        Operator::LessThanEqual => (None, Some((version, true))),
        Operator::GreaterThan => (Some((version, false)), None),
        Operator::GreaterThanEqual => (Some((version, true)), None),
        Operator::NotEqual | Operator::NotEqualStar => (None, None),
    }
}

/// The first release of the next series, `cut` numbers from the end left out: `1.5` for `==1.4.*`, `2` for `~=1.4`.
fn next(version: &Version, cut: usize) -> End {
    let mut release = version.release().to_vec();
    release.truncate(release.len().saturating_sub(cut).max(1));
    let last = release.last_mut()?;
    *last = last.saturating_add(1);
    Some((Version::new(release).with_epoch(version.epoch()), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, requirement: &str, expected: bool) {
        let wanted = Wanted::parse(wanted).expect("a sound question");
        let json = serde_json::to_string(&["numpy==1.26.4", requirement]).expect("JSON");
        assert_eq!(wanted.in_list(&json), expected, "{wanted:?} {requirement}");
    }

    #[test]
    fn a_pinned_release_is_inside_or_not() {
        check("scikit-learn < 1.4", "scikit-learn==1.3.2", true);
        check("scikit-learn < 1.4", "scikit-learn==1.4.0", false);
        check("scikit-learn < 1.4", "scikit-learn==1.4rc1", false);
        check("scikit-learn<1.4", "Scikit_Learn == 1.3 ; python_version > '3.8'", true);
        check("Scikit.Learn", "scikit-learn==9", true);
        check("scikit", "scikit-learn==1.3.2", false);
        check("scikit-learn >= 1.2, < 1.4, != 1.3.2", "scikit-learn==1.3.2", false);
        check("torch == 2.1.*", "torch==2.1.0+cu118", true);
        check("torch == 2.1.*", "torch==2", false);
        check("torch == 2.0.*", "torch==2", true);
        check("torch < 2", "torch[opt,more]==1.9", true);
        check("torch > 1.0", "torch==1!0.1", true);
        check("a === 1.0", "a==1.0", true);
    }

    #[test]
    fn a_choice_counts_where_it_overlaps() {
        check("a < 1.4", "a", true);
        check("a < 1.4", "a @ https://example.com/a.whl", true);
        check("a < 1.4", "a>=1.4", false);
        check("a <= 1.4", "a>=1.4", true);
        check("a < 1.4", "a>=1.3", true);
        check("a < 1.4", "a>=1.3,<2", true);
        check("a > 1.4", "a<=1.4", false);
        check("a > 1.4", "a (>=1.4, <2)", true);
        check("a < 1.4", "a~=1.3", true);
        check("a < 1.3", "a~=1.3", false);
        check("a >= 2", "a~=1.3", false);
        check("a == 1.5.*", "a==1.4.*", false);
        check("a == 1.4.7", "a==1.4.*", true);
        check("a < 1.4", "a!=1.3", true);
        check("a < 1.4", "a ^1.2", true);
        check("a == 2", "a>2", false);
    }

    #[test]
    fn what_is_no_list_of_requirements_has_none() {
        let wanted = Wanted::parse("a").expect("a sound question");
        for json in ["", "{}", "[1]", "a==1", "[\"\"]", "[\"==1\"]"] {
            assert!(!wanted.in_list(json), "{json}");
        }
        for wrong in ["", "< 1.4", "a < ", "a 1.4", "a < x", "a <> 1", "a < 1.4 b"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }
}
