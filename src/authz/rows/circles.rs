//! Roles that hold themselves, and chains too long to be meant.

use std::collections::HashMap;
use std::fmt;

use crate::authz::links::{LONGEST_CHAIN, SubjectId};

/// What is wrong with a `g` row beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knot {
    /// Following the rows from here leads back.
    Circle,
    /// With the rows before it, this one is one too many.
    TooLong,
}

impl fmt::Display for Knot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circle => f.write_str("the role holds itself: these `g` rows go round in a circle"),
            Self::TooLong => write!(f, "more than {LONGEST_CHAIN} `g` rows follow one another"),
        }
    }
}

/// For each `(member, role)` pair, its knot. Takes pairs off from both ends until only circles are left.
pub(super) fn find(pairs: &[(SubjectId, SubjectId)]) -> Vec<Option<Knot>> {
    let reversed: Vec<_> = pairs.iter().map(|(member, role)| (*role, *member)).collect();
    let (forward, backward) = (depths(pairs), depths(&reversed));
    pairs
        .iter()
        .map(|(member, role)| match (forward.get(member), backward.get(role)) {
            (None, None) => Some(Knot::Circle),
            (Some(depth), _) if *depth == LONGEST_CHAIN => Some(Knot::TooLong),
            _ => None,
        })
        .collect()
}

/// How many pairs lead to each node at most; nodes in or behind a circle are left out.
fn depths(pairs: &[(SubjectId, SubjectId)]) -> HashMap<SubjectId, usize> {
    let mut leads_to: HashMap<SubjectId, Vec<SubjectId>> = HashMap::new();
    let mut awaited: HashMap<SubjectId, usize> = HashMap::new();
    for (from, to) in pairs {
        leads_to.entry(*from).or_default().push(*to);
        awaited.entry(*from).or_default();
        *awaited.entry(*to).or_default() += 1;
    }
    let mut open: Vec<_> = awaited.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node).collect();
    let mut depth: HashMap<SubjectId, usize> = HashMap::new();
    let mut settled = HashMap::new();
    while let Some(node) = open.pop() {
        let here = depth.get(&node).copied().unwrap_or(0);
        settled.insert(node, here);
        for next in leads_to.get(&node).into_iter().flatten() {
            let known = depth.entry(*next).or_default();
            *known = (*known).max(here + 1);
            if let Some(count) = awaited.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    open.push(*next);
                }
            }
        }
    }
    settled
}
