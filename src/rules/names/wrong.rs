//! What is wrong with a name that no pattern has a reading for, said so that the next try is right.
//!
//! The name is laid onto each pattern so that as little of it as possible is wrong, and the best pattern's faults are told.

use std::fmt;

use super::pattern::{LONGEST_NAME, Pattern, Segment};
use super::{plain, shown};

/// A name that is not allowed. Display says all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", plain(.name), self.what())]
pub struct WrongName {
    /// Cut, if it is too long to be any name.
    name: String,
    pattern: String,
    faults: Vec<Fault>,
    nearest: Option<String>,
    too_long: Option<usize>,
}

/// One place where a name leaves its pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The part of the pattern; nothing for what stands between parts.
    pub part: Option<String>,
    /// What stands there; empty if nothing does.
    pub found: String,
    /// The first of the words that could, in the order of the file.
    pub expected: Vec<String>,
    /// How many words could.
    pub of: usize,
    /// The one that is meant, if one is near.
    pub nearest: Option<String>,
    /// The end of what stands before.
    after: String,
}

impl WrongName {
    /// What is wrong, without the name before it.
    #[must_use]
    pub fn what(&self) -> String {
        if let Some(longest) = self.too_long {
            return format!("is longer than the {longest} bytes of the longest name that is allowed");
        }
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        let faults = faults.join("; ");
        let meant = match self.faults.as_slice() {
            [Fault { part: Some(_), found, nearest, .. }] if !found.is_empty() => nearest.as_ref(),
            _ => self.nearest.as_ref(),
        };
        match meant {
            Some(meant) => format!("{faults}; did you mean {}?", shown(meant)),
            None => format!("{faults}; names are written {}", shown(&self.pattern)),
        }
    }

    /// The pattern that fits best.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What is wrong, in the order of the name; empty if the name is too long to be looked at.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The allowed name that is meant, if one is near.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected: Vec<String> = self.expected.iter().map(|word| plain(word)).collect();
        let more = if self.of > expected.len() { ", …" } else { "" };
        let expected = format!("{}{more}", expected.join(", "));
        let found = shown(&self.found);
        match (&self.part, self.found.is_empty()) {
            (Some(part), false) if self.of == 1 => write!(f, "{part}: {found} is not {expected}"),
            (Some(part), false) => write!(f, "{part}: {found} is none of {expected}"),
            (Some(part), true) if self.of == 1 => write!(f, "{part} is missing: {expected}"),
            (Some(part), true) => write!(f, "{part} is missing: one of {expected}"),
            (None, missing) => {
                write!(f, "`{expected}` is expected ")?;
                match (self.after.as_str(), missing) {
                    ("", true) => f.write_str("at the beginning"),
                    ("", false) => write!(f, "at the beginning, not {found}"),
                    (after, true) => write!(f, "after {}", shown(after)),
                    (after, false) => write!(f, "after {}, not {found}", shown(after)),
                }
            }
        }
    }
}

/// How many words are told of a vocabulary.
const TOLD: usize = 8;

/// Beyond this, names are not laid onto patterns: no slip of the hand makes one.
const LONGEST_LAID: usize = 2 * LONGEST_NAME;

/// Finds out what is wrong with a name that no pattern reads.
pub(super) fn diagnose(patterns: &[Pattern], name: &str) -> WrongName {
    let longest = patterns.iter().map(|pattern| pattern.longest).max().unwrap_or_default();
    if name.len() > LONGEST_LAID {
        let name = name.chars().take(LONGEST_NAME).chain(['…']).collect();
        let too_long = Some(longest.min(LONGEST_LAID));
        return WrongName { name, pattern: String::new(), faults: Vec::new(), nearest: None, too_long };
    }
    let laid = patterns.iter().map(|pattern| (Laid::onto(pattern, name), pattern));
    let best = laid.min_by_key(|(laid, _)| laid.cost);
    let (pieces, pattern) = best.map_or((Vec::new(), ""), |(laid, pattern)| (laid.pieces, &*pattern.text));
    let nearest: Option<String> = pieces.iter().map(Piece::meant).collect();
    let mut faults: Vec<Fault> = pieces.iter().filter_map(|piece| piece.fault(name)).collect();
    // Where a part is missing or wrong, what stood beside it is, too, and that helps nobody.
    if faults.iter().any(|fault| fault.part.is_some()) {
        faults.retain(|fault| fault.part.is_some());
    }
    WrongName { name: name.to_owned(), pattern: pattern.to_owned(), faults, nearest, too_long: None }
}

/// A name cut into pieces, one for each segment of a pattern.
struct Laid<'p> {
    cost: usize,
    pieces: Vec<Piece<'p>>,
}

struct Piece<'p> {
    segment: &'p Segment,
    from: usize,
    text: &'p str,
    right: bool,
}

/// The cheapest way to be at a place of the name after some segments.
#[derive(Clone, Copy)]
struct Step {
    cost: usize,
    from: usize,
    right: bool,
}

/// What a wrong piece costs besides its length: two wrong pieces are worse than one that is a letter longer.
const WRONG: usize = 2;

impl<'p> Laid<'p> {
    /// A right piece costs nothing. The time is that of the name's length times the pattern's.
    fn onto(pattern: &'p Pattern, name: &'p str) -> Self {
        let mut layers: Vec<Vec<Option<Step>>> = Vec::with_capacity(pattern.segments.len());
        let mut costs: Vec<Option<usize>> =
            std::iter::once(Some(0)).chain(name.bytes().map(|_| None)).collect();
        for segment in &pattern.segments {
            let layer = next_layer(segment, name, &costs);
            costs = layer.iter().map(|step| step.map(|step| step.cost)).collect();
            layers.push(layer);
        }
        let cost = costs.last().copied().flatten().unwrap_or(usize::MAX);
        let mut pieces = Vec::with_capacity(layers.len());
        let mut at = name.len();
        for (segment, layer) in pattern.segments.iter().zip(&layers).rev() {
            let Some(step) = layer.get(at).copied().flatten() else { break };
            let text = name.get(step.from..at).unwrap_or_default();
            pieces.push(Piece { segment, from: step.from, text, right: step.right });
            at = step.from;
        }
        pieces.reverse();
        Self { cost, pieces }
    }
}

fn next_layer(segment: &Segment, name: &str, costs: &[Option<usize>]) -> Vec<Option<Step>> {
    let mut layer: Vec<Option<Step>> = vec![None; costs.len()];
    for (from, cost) in costs.iter().enumerate() {
        let (Some(cost), Some(rest)) = (*cost, name.get(from..)) else { continue };
        for word in segment.words.prefixes(rest) {
            if let Some(step) = layer.get_mut(from + word.len())
                && step.is_none_or(|known| cost < known.cost)
            {
                *step = Some(Step { cost, from, right: true });
            }
        }
    }
    // A wrong piece may begin anywhere before; the cheapest beginning is carried along.
    let mut cheapest: Option<(usize, usize)> = None;
    for (to, (step, cost)) in layer.iter_mut().zip(costs).enumerate() {
        if !name.is_char_boundary(to) {
            continue;
        }
        if let Some(cost) = *cost
            && cheapest.is_none_or(|(known, from)| cost <= known + (to - from))
        {
            cheapest = Some((cost, to));
        }
        if let Some((cost, from)) = cheapest {
            let cost = cost + (to - from) + WRONG;
            if step.is_none_or(|known| cost < known.cost) {
                *step = Some(Step { cost, from, right: false });
            }
        }
    }
    layer
}

impl Piece<'_> {
    /// What should have been written; nothing where that is not clear.
    fn meant(&self) -> Option<&str> {
        if self.right { Some(self.text) } else { self.nearest() }
    }

    fn nearest(&self) -> Option<&str> {
        if self.segment.words.words().len() == 1 {
            return self.segment.words.words().next();
        }
        nearest(self.text, self.segment.words.words())
    }

    fn fault(&self, name: &str) -> Option<Fault> {
        if self.right {
            return None;
        }
        let before: Vec<char> = name.get(..self.from)?.chars().rev().take(40).collect();
        Some(Fault {
            part: self.segment.part.as_deref().map(str::to_owned),
            found: self.text.to_owned(),
            expected: self.segment.words.words().take(TOLD).map(str::to_owned).collect(),
            of: self.segment.words.words().len(),
            nearest: self.nearest().map(str::to_owned),
            after: before.into_iter().rev().collect(),
        })
    }
}

/// The word that `found` is most like, also as the beginning of it (`f1` for `f1score`), if it is like any.
fn nearest<'w>(found: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    if found.is_empty() || found.len() > LONGEST_WORD {
        return None;
    }
    let found = found.to_lowercase();
    let scored = words.map(|word| {
        let lower = word.to_lowercase();
        (strsim::jaro_winkler(&found, &lower), strsim::osa_distance(&found, &lower), word)
    });
    let like = scored.filter(|(likeness, ..)| *likeness >= LIKE);
    let best =
        like.max_by(|(one, first, _), (other, second, _)| one.total_cmp(other).then(second.cmp(first)));
    best.map(|(.., word)| word)
}

const LIKE: f64 = 0.8;
const LONGEST_WORD: usize = 128;
