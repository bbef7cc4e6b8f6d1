//! Requirements as pip reads them from a file (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>).
//!
//! Only names, versions and markers are handed to the library: of whole lines it would expand variables of the environment
//! in addresses, and it panics on names that end in punctuation.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep440_rs::VersionSpecifier;
use pep508_rs::{ExtraName, MarkerTree, PackageName};

/// Lines that are read, and the longest of them.
const MOST_LINES: usize = 20_000;
const LONGEST_LINE: usize = 4_096;
/// The longest marker, and how many brackets it may have: the library calls itself for each.
const LONGEST_MARKER: usize = 1_024;
const MOST_BRACKETS: usize = 16;

/// The requirements of a whole file.
pub(super) fn of_text(text: &str) -> BTreeSet<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = BTreeSet::new();
    let mut line = String::new();
    for piece in text.lines().take(MOST_LINES) {
        let comment = piece.trim_start().starts_with('#');
        match piece.strip_suffix('\\') {
            Some(piece) if !comment => {
                keep(&mut line, piece);
                continue;
            }
            Some(_) | None => keep(&mut line, piece),
        }
        found.extend(of_line(&std::mem::take(&mut line)));
    }
    found.extend(of_line(&line));
    found
}

/// Of a line that is too long to be one, no more than shows that it is.
fn keep(line: &mut String, piece: &str) {
    if line.len() <= LONGEST_LINE {
        line.push_str(piece);
    }
}

/// The requirement on one line, in its normal form.
pub(super) fn of_line(line: &str) -> Option<String> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let line = without_comment(line).trim();
    let line = line.find(" --").and_then(|options| line.get(..options)).unwrap_or(line);
    let (name, rest) = split_name(line)?;
    let (extras, rest) = extras(rest.trim_start())?;
    let rest = rest.trim_start();
    if rest.starts_with('@') {
        return Some(format!("{name}{extras}"));
    }
    let (versions, marker) = match rest.split_once(';') {
        Some((versions, marker)) => (versions.trim(), self::marker(marker.trim())),
        None => (rest.trim_end(), None),
    };
    let bare = versions.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(versions);
    let versions = self::versions(bare)?;
    let marker = marker.map_or_else(String::new, |marker| format!("; {marker}"));
    Some(format!("{name}{extras}{versions}{marker}"))
}

/// A name in its normal form (PEP 503), and what follows it.
pub(super) fn split_name(text: &str) -> Option<(String, &str)> {
    let ends = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
    let (name, rest) = text.split_at_checked(ends.unwrap_or(text.len()))?;
    if name.starts_with(['-', '_', '.']) || name.ends_with(['-', '_', '.']) {
        return None;
    }
    let name = PackageName::new(name.to_owned()).ok()?.to_string();
    (!name.is_empty()).then_some((name, rest))
}

/// Specifiers in their normal form; an empty text is any version.
pub(super) fn versions(text: &str) -> Option<String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read: Option<BTreeSet<String>> =
        parts.map(|part| Some(VersionSpecifier::from_str(part).ok()?.to_string())).collect();
    Some(read?.into_iter().collect::<Vec<_>>().join(","))
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if letter == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or_default();
        }
        before = letter;
    }
    line
}

fn extras(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('[') else { return Some((String::new(), text)) };
    let (inner, rest) = inner.split_once(']')?;
    let names = inner.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Option<BTreeSet<String>> =
        names.map(|name| Some(ExtraName::new(name.to_owned()).ok()?.to_string())).collect();
    let names = names?.into_iter().collect::<Vec<_>>().join(",");
    Some(if names.is_empty() { (String::new(), rest) } else { (format!("[{names}]"), rest) })
}

/// Where a marker cannot be read, or written so that it is read the same again (the library quotes all texts alike), the
/// requirement is taken to hold everywhere.
fn marker(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let simple = text.matches('(').count() <= MOST_BRACKETS && text.len() <= LONGEST_MARKER;
    if !plain || !simple {
        return None;
    }
    let marker = MarkerTree::from_str(text).ok()?;
    let written = marker.to_string();
    (MarkerTree::from_str(&written).ok()? == marker).then_some(written)
}
