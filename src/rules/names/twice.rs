//! Is there a name that can be read in two ways? Decided for all names at once, by letting two readings run side by side.
//!
//! One reading is behind the other by some `rest`, the end of a word. The one that is behind takes a word that the rest
//! begins with, or one that begins with the rest and so passes the other. There are only as many states as pairs of places
//! in patterns times ends of words, so the search ends; by length, so that its example is a shortest one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;

use super::pattern::{Pattern, Segment};
use super::shown;

/// How many steps are taken before the words are said to be too many. A file with thousands of words takes some 100,000.
const MOST_STEPS: usize = 4_000_000;

/// Why patterns are not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A name with two readings.
    Twice {
        name: String,
        /// Each reading: its pattern's place in the list, and how it is told.
        readings: [(usize, String); 2],
    },
    /// There are too many words and patterns to know.
    TooMany,
}

impl Doubt {
    /// The place in the list of the pattern that a mistake is told of.
    pub(super) fn pattern(&self) -> usize {
        match self {
            Self::Twice { readings: [(one, _), (other, _)], .. } => *one.max(other),
            Self::TooMany => 0,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice { name, readings: [(_, one), (_, other)] } => {
                write!(f, "{} can be read in two ways: {one}; or {other}", shown(name))
            }
            Self::TooMany => {
                f.write_str("there are too many words to tell whether each name has one reading")
            }
        }
    }
}

/// Finds a shortest name with two readings.
pub(super) fn search(patterns: &[Pattern]) -> Result<(), Doubt> {
    let mut search =
        Search { patterns, nodes: Vec::new(), shortest: HashMap::new(), queue: BinaryHeap::new(), steps: 0 };
    for one in 0..patterns.len() {
        for other in one..patterns.len() {
            search.begin(one, other);
        }
    }
    while let Some(Reverse((_, place))) = search.queue.pop() {
        if search.steps > MOST_STEPS {
            return Err(Doubt::TooMany);
        }
        let Some(node) = search.nodes.get(place).copied() else { continue };
        if search.is_end(&node) {
            return Err(search.tell(place));
        }
        search.go_on(place, &node);
    }
    Ok(())
}

/// How far a reading has come in its pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Spot {
    pattern: usize,
    segment: usize,
}

#[derive(Clone, Copy)]
struct Node<'p> {
    behind: Spot,
    ahead: Spot,
    /// What the one ahead has and the one behind has not.
    rest: &'p str,
    /// Whether the first of the two readings is the one behind.
    first_is_behind: bool,
    length: usize,
    before: Option<usize>,
    /// What the first and the second reading took on the way from `before`.
    took: [Option<&'p str>; 2],
}

struct Search<'p> {
    patterns: &'p [Pattern],
    nodes: Vec<Node<'p>>,
    shortest: HashMap<(Spot, Spot, &'p str), usize>,
    queue: BinaryHeap<Reverse<(usize, usize)>>,
    steps: usize,
}

impl<'p> Search<'p> {
    /// Two readings by different patterns differ from the outset; two by one pattern from the first word that differs.
    fn begin(&mut self, one: usize, other: usize) {
        let start = |pattern| Spot { pattern, segment: 0 };
        let mut node = Node {
            behind: start(one),
            ahead: start(other),
            rest: "",
            first_is_behind: true,
            length: 0,
            before: None,
            took: [None, None],
        };
        if one != other {
            self.keep(node);
            return;
        }
        // These nodes are only the way to what differs: they are not looked at themselves.
        let patterns = self.patterns;
        for segment in patterns.get(one).map(|pattern| pattern.segments.as_slice()).unwrap_or_default() {
            self.nodes.push(node);
            let before = self.nodes.len() - 1;
            self.take_both(before, &node, [segment, segment]);
            node = Node { before: Some(before), ..node }.after_both([segment.words.shortest(); 2]);
        }
    }

    fn go_on(&mut self, place: usize, node: &Node<'p>) {
        // A reading that has come to its end cannot follow the other any further.
        let Some(segment) = self.segment(node.behind) else { return };
        let from = Node { before: Some(place), ..*node };
        if node.rest.is_empty() {
            if let Some(other) = self.segment(node.ahead)
                && let Some(word) = self.take_both(place, node, [segment, other])
            {
                self.keep(from.after_both([word; 2]));
            }
            return;
        }
        for word in segment.words.prefixes(node.rest) {
            let rest = node.rest.get(word.len()..).unwrap_or_default();
            let took = if node.first_is_behind { [Some(word), None] } else { [None, Some(word)] };
            self.keep(Node { behind: node.behind.next(), rest, took, ..from });
        }
        for word in segment.words.extensions(node.rest) {
            let rest = word.get(node.rest.len()..).unwrap_or_default();
            let took = if node.first_is_behind { [Some(word), None] } else { [None, Some(word)] };
            let (behind, ahead) = (node.ahead, node.behind.next());
            let (first_is_behind, length) = (!node.first_is_behind, node.length + rest.len());
            self.keep(Node { behind, ahead, rest, first_is_behind, length, took, ..from });
        }
    }

    /// With nothing left over, both take a word, one of which begins with the other. The shortest word that both could
    /// take is given back: where they do, it does not matter which.
    fn take_both(
        &mut self,
        place: usize,
        node: &Node<'p>,
        [one, other]: [&'p Segment; 2],
    ) -> Option<&'p str> {
        let from = Node { before: Some(place), ..*node };
        let mut shared: Option<&str> = None;
        for longer in one.words.words() {
            self.steps += 1;
            for shorter in other.words.prefixes(longer) {
                if shorter == longer {
                    shared = shared.filter(|known| known.len() <= longer.len()).or(Some(longer));
                } else {
                    self.keep(from.after_both([longer, shorter]));
                }
            }
        }
        for longer in other.words.words() {
            self.steps += 1;
            for shorter in one.words.prefixes(longer).into_iter().filter(|shorter| *shorter != longer) {
                self.keep(from.after_both([shorter, longer]));
            }
        }
        shared
    }

    /// Keeps a node to go on from, unless the one behind has no word that could follow, or the node is known.
    fn keep(&mut self, node: Node<'p>) {
        self.steps += 1;
        let follows = || self.segment(node.behind).is_some_and(|segment| segment.words.meets(node.rest));
        if !node.rest.is_empty() && !follows() {
            return;
        }
        let known = self.shortest.entry((node.behind, node.ahead, node.rest)).or_insert(usize::MAX);
        if node.length < *known {
            *known = node.length;
            self.queue.push(Reverse((node.length, self.nodes.len())));
            self.nodes.push(node);
        }
    }

    fn segment(&self, spot: Spot) -> Option<&'p Segment> {
        self.patterns.get(spot.pattern)?.segments.get(spot.segment)
    }

    fn is_end(&self, node: &Node<'p>) -> bool {
        node.rest.is_empty() && self.segment(node.behind).is_none() && self.segment(node.ahead).is_none()
    }

    fn tell(&self, place: usize) -> Doubt {
        let mut words: [Vec<&str>; 2] = [Vec::new(), Vec::new()];
        let mut at = Some(place);
        let end = self.nodes.get(place);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            for (words, took) in words.iter_mut().zip(node.took) {
                words.extend(took);
            }
            at = node.before;
        }
        for words in &mut words {
            words.reverse();
        }
        let name = words.iter().map(|words| words.concat()).next().unwrap_or_default();
        let [one, other] = words;
        let spots = end.map_or([0, 0], |node| {
            let (behind, ahead) = (node.behind.pattern, node.ahead.pattern);
            if node.first_is_behind { [behind, ahead] } else { [ahead, behind] }
        });
        let [first, second] = spots;
        Doubt::Twice {
            name,
            readings: [(first, self.reading(first, &one)), (second, self.reading(second, &other))],
        }
    }

    fn reading(&self, pattern: usize, words: &[&str]) -> String {
        let Some(pattern) = self.patterns.get(pattern) else { return String::new() };
        let parts = pattern.segments.iter().zip(words);
        let parts: Vec<String> = parts
            .filter_map(|(segment, word)| Some(format!("{} {}", segment.part.as_deref()?, shown(word))))
            .collect();
        let parts = if parts.is_empty() { "as it stands".to_owned() } else { parts.join(", ") };
        format!("{parts} by {}", shown(&pattern.text))
    }
}

impl Spot {
    fn next(self) -> Self {
        Self { segment: self.segment + 1, ..self }
    }
}

impl<'p> Node<'p> {
    /// The node after the one behind has taken one word and the one ahead the other, with nothing left over before.
    fn after_both(self, [one, other]: [&'p str; 2]) -> Self {
        let took = if self.first_is_behind { [Some(one), Some(other)] } else { [Some(other), Some(one)] };
        let (behind, ahead) = (self.behind.next(), self.ahead.next());
        match one.get(other.len()..) {
            Some(rest) if !rest.is_empty() => Self {
                behind: ahead,
                ahead: behind,
                rest,
                first_is_behind: !self.first_is_behind,
                length: self.length + one.len(),
                took,
                ..self
            },
            Some(_) | None => {
                let rest = other.get(one.len()..).unwrap_or_default();
                Self { behind, ahead, rest, length: self.length + other.len(), took, ..self }
            }
        }
    }
}
