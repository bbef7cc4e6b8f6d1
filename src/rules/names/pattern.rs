//! Patterns and vocabularies as they are written in `rules.toml`, understood.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::look::{is_unseen, skeleton};
use super::words::Vocabulary;
use super::{Names, shown, twice};
use crate::mistake::Mistake;
use crate::rules::reading::{Said, nearest};
use crate::rules::written::Written;

/// What MLflow's tables keep of a name.
pub(super) const LONGEST_NAME: usize = 256;
const MOST_PATTERNS: usize = 64;
const MOST_PARTS: usize = 16;
const MOST_WORDS: usize = 20_000;

/// One way of making names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) text: Box<str>,
    pub(super) segments: Vec<Segment>,
    /// In bytes, as [`Self::longest`].
    pub(super) shortest: usize,
    pub(super) longest: usize,
}

/// A part of a pattern and its words, or literal text, whose only word is the text.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) part: Option<Box<str>>,
    pub(super) words: Arc<Vocabulary>,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part && Arc::ptr_eq(&self.words, &other.words)
    }
}

impl Eq for Segment {}

impl Names {
    /// Understands the `[names]` section; adds every mistake in it.
    pub(in crate::rules) fn of(file: &Path, written: &Written, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let before = mistakes.len();
        let mut at = |line: usize, what: String| mistakes.push(Mistake::at(file, line, what));
        let vocabularies = vocabularies(written, &mut at);
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut lines = Vec::new();
        let mut used = BTreeSet::new();
        for Said { line, value } in &written.patterns {
            match parse(value, &vocabularies, &mut used) {
                Ok(pattern) if patterns.iter().any(|known| known.text == pattern.text) => {
                    at(*line, format!("`names.patterns`: {} is given twice", shown(value)));
                }
                Ok(pattern) => {
                    patterns.push(pattern);
                    lines.push(*line);
                }
                Err(what) => at(*line, format!("`names.patterns`: {}: {what}", shown(value))),
            }
        }
        if patterns.len() > MOST_PATTERNS {
            at(lines.last().copied().unwrap_or(1), format!("there are more than {MOST_PATTERNS} patterns"));
        }
        for (name, _) in written.words.iter().filter(|(name, _)| !used.contains(&*name.value)) {
            let what =
                format!("`names.words`: no pattern has the part {}", shown(&format!("{{{}}}", name.value)));
            at(name.line, what);
        }
        if mistakes.len() > before {
            return None;
        }
        if let Err(doubt) = twice::search(&patterns) {
            let line = lines.get(doubt.pattern()).or(lines.first()).copied().unwrap_or(1);
            mistakes.push(Mistake::at(file, line, format!("`names.patterns`: {doubt}")));
            return None;
        }
        Some(Self { patterns })
    }
}

type Vocabularies = BTreeMap<String, Option<Arc<Vocabulary>>>;

/// Each vocabulary by its name; nothing for one that has mistakes, so that its patterns have no more for it.
fn vocabularies(written: &Written, at: &mut dyn FnMut(usize, String)) -> Vocabularies {
    let mut all = Vocabularies::new();
    let mut count = 0_usize;
    for (name, words) in &written.words {
        let mut sound = true;
        let mut wrong = |line: usize, what: String| {
            sound = false;
            at(line, format!("`names.words.{}`: {what}", super::plain(&name.value)));
        };
        if !is_part(&name.value) {
            wrong(name.line, "a part's name has letters, digits, `_` and `-` alone".to_owned());
        }
        if words.is_empty() {
            wrong(name.line, "there is no word in it, so no name could ever be made".to_owned());
        }
        let mut looks: HashMap<String, &str> = HashMap::new();
        for Said { line, value } in words {
            if let Err(what) = check_text(value) {
                wrong(*line, format!("{} {what}", shown(value)));
                continue;
            }
            match looks.insert(skeleton(value), value) {
                Some(known) if known == value => wrong(*line, format!("{} is given twice", shown(value))),
                Some(known) => {
                    let what = "looks like it, so their names could not stand beside each other";
                    wrong(*line, format!("{} is given, and {} {what}", shown(known), shown(value)));
                }
                None => {}
            }
        }
        count += words.len();
        if count > MOST_WORDS {
            wrong(name.line, format!("with these there are more than {MOST_WORDS} words"));
        }
        let words = words.iter().map(|word| word.value.clone()).collect();
        all.insert(name.value.clone(), sound.then(|| Arc::new(Vocabulary::of(words))));
    }
    all
}

/// A pattern, unless something is wrong with it.
fn parse(text: &str, vocabularies: &Vocabularies, used: &mut BTreeSet<String>) -> Result<Pattern, String> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut unsound = None;
    for piece in pieces(text)? {
        let (part, words) = match piece {
            Piece::Literal(literal) => {
                check_text(literal).map_err(|what| format!("{} {what}", shown(literal)))?;
                (None, Arc::new(Vocabulary::of(vec![literal.to_owned()])))
            }
            Piece::Part(name) => {
                if segments.iter().any(|segment| segment.part.as_deref() == Some(name)) {
                    return Err(format!("has `{{{name}}}` twice"));
                }
                used.insert(name.to_owned());
                match vocabularies.get(name) {
                    Some(Some(words)) => (Some(name.into()), Arc::clone(words)),
                    Some(None) => {
                        unsound = Some(format!("the words for `{{{name}}}` have mistakes"));
                        continue;
                    }
                    None => {
                        let known: Vec<&str> = vocabularies.keys().map(String::as_str).collect();
                        let what = format!("there are no words for `{{{name}}}`{}", nearest(name, &known));
                        return Err(what);
                    }
                }
            }
        };
        segments.push(Segment { part, words });
    }
    if let Some(what) = unsound {
        return Err(what);
    }
    if segments.iter().filter(|segment| segment.part.is_some()).count() > MOST_PARTS {
        return Err(format!("has more than {MOST_PARTS} parts"));
    }
    let shortest = segments.iter().map(|segment| segment.words.shortest().len()).sum();
    let longest = segments.iter().map(|segment| segment.words.longest()).sum();
    if shortest > LONGEST_NAME {
        return Err(format!("its shortest name has {shortest} bytes; MLflow keeps {LONGEST_NAME}"));
    }
    // MLflow reads a name as a path, and refuses these.
    let dotted = segments.first().and_then(|first| first.words.words().find(|word| word.starts_with('.')));
    if let Some(word) = dotted {
        return Err(format!("names would begin with a `.`, by {}", shown(word)));
    }
    Ok(Pattern { text: text.into(), segments, shortest, longest })
}

enum Piece<'t> {
    Literal(&'t str),
    Part(&'t str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("has a `{` without its `}`")?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        if !is_part(name) {
            return Err(format!("{} is not a part's name: letters, digits, `_` and `-`", shown(name)));
        }
        pieces.push(Piece::Part(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    if pieces.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('}'))) {
        return Err("has a `}` without its `{`".to_owned());
    }
    if pieces.is_empty() { Err("is empty".to_owned()) } else { Ok(pieces) }
}

fn is_part(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

/// What is wrong with a word, or with literal text.
fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > LONGEST_NAME {
        return Err(format!("has more than the {LONGEST_NAME} bytes that MLflow keeps of a whole name"));
    }
    if let Some(refused) = text.chars().find(|letter| matches!(letter, '/' | ':')) {
        return Err(format!("has a `{refused}`, which MLflow takes in no name"));
    }
    if text.chars().any(|letter| is_unseen(letter) || (letter.is_whitespace() && letter != ' ')) {
        return Err("has a character that cannot be seen".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with a blank".to_owned());
    }
    Ok(())
}
