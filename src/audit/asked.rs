//! What was asked, as lines tell it, within bounds, and so that it can be decided again.

use std::fmt;

use crate::authz;
use crate::operation::{Demand, Object};
use crate::principal::ModelAccess;
use crate::record::chain::Hash;
use crate::record::line::Entry;

/// So many further demands are told of.
const DEMANDS: usize = 20;
/// What stands for those that are not.
const MORE: &str = "and more";
/// So many names of a token's models are told whole, and more of them if they are no longer together than
const NAMES: usize = 50;
/// this.
const NAMES_BYTES: usize = 4_096;
/// Names that are longer together are never told whole.
const LONGEST_NAMES: usize = 16 * 1_024;
/// How the digest of a token's models begins. No model has a `:` in its name.
const DIGEST: &str = "sha256:";
/// How the reason of what only observing let through begins.
const OBSERVED: &str = "observed, would be refused: ";

/// An object that is no longer than this is told whole.
const LONGEST_OBJECT: usize = 1_024;

/// A demand, to be read by [`read`].
pub(super) fn demand(demand: &Demand) -> String {
    format!("{} {}", demand.permission, object(&demand.object))
}

/// An object: as it is, or by the SHA-256 of its text, which is read as none.
pub(super) fn object(object: &Object) -> String {
    let told = authz::told(object);
    if told.len() <= LONGEST_OBJECT { told } else { format!("{DIGEST}{}", Hash::of(told.as_bytes())) }
}

/// Reads a demand as a line tells it; nothing where it is in no words that are known.
#[must_use]
pub fn read(text: &str) -> Option<Demand> {
    let (permission, object) = text.split_once(' ')?;
    Some(Demand::new(crate::operation::Permission::from_word(permission)?, authz::parse_object(object).ok()?))
}

/// As many demands as are told, and a word for those that are not.
pub(super) fn bounded(demands: impl Iterator<Item = String>) -> Vec<String> {
    let mut told: Vec<String> = demands.take(DEMANDS + 1).collect();
    if let Some(last) = told.get_mut(DEMANDS) {
        MORE.clone_into(last);
    }
    told
}

/// Tells further demands behind those that a line has, each once.
pub(super) fn add(entry: &mut Entry, later: &[Demand]) {
    if later.is_empty() || is_cut(&entry.demands) {
        return;
    }
    let first = entry.operation.as_ref().zip(entry.object.as_ref());
    let mut told: Vec<String> = std::mem::take(&mut entry.demands);
    let first = first.map(|(operation, object)| format!("{operation} {object}"));
    for later in later.iter().map(demand) {
        if first.as_ref() != Some(&later) && !told.contains(&later) {
            told.push(later);
        }
    }
    entry.demands = bounded(told.into_iter());
}

/// What was refused goes first; whatever else was demanded is told behind it.
pub(super) fn refused(entry: &mut Entry, denied: &authz::Denied) {
    entry.policy = Some(denied.policy().to_string());
    let Some(refused) = denied.demand() else { return };
    let first = entry.operation.take().zip(entry.object.take());
    let others = first.map(|(operation, object)| format!("{operation} {object}")).into_iter();
    let others = others.chain(std::mem::take(&mut entry.demands));
    let told = demand(refused);
    entry.demands = bounded(others.filter(|other| *other != told));
    entry.operation = Some(refused.permission.to_string());
    entry.object = Some(object(&refused.object));
}

/// Tells that only observing let it through, before whatever else its reason says, unless that is told already.
pub(super) fn observe(entry: &mut Entry, denied: impl fmt::Display) {
    let reason = entry.reason.take();
    entry.reason = Some(match reason {
        Some(reason) if is_observed(&reason) => reason,
        Some(reason) => format!("{OBSERVED}{denied}; {reason}"),
        None => format!("{OBSERVED}{denied}"),
    });
}

/// Whether a line's demands are not all that there were.
#[must_use]
pub fn is_cut(demands: &[String]) -> bool {
    demands.last().is_some_and(|last| last == MORE)
}

/// A token's models: whole, or by the SHA-256 of their JSON.
pub(super) fn access(models: &ModelAccess) -> Vec<String> {
    let entries = || models.entries();
    let bytes: usize = entries().map(str::len).sum();
    if bytes <= NAMES_BYTES || bytes <= LONGEST_NAMES && entries().count() <= NAMES {
        return entries().map(str::to_owned).collect();
    }
    let written = serde_json::to_vec(&entries().collect::<Vec<_>>()).unwrap_or_default();
    vec![format!("{DIGEST}{}", Hash::of(&written))]
}

/// Whether an object is too long to be told whole.
#[must_use]
pub fn is_told_by_digest(object: &str) -> bool {
    object.starts_with(DIGEST)
}

/// Whether a token's models are told by their digest alone.
#[must_use]
pub fn is_digest(access: &[String]) -> bool {
    matches!(access, [only] if only.starts_with(DIGEST))
}

/// Whether a line's reason says that only observing let it through.
#[must_use]
pub fn is_observed(reason: &str) -> bool {
    reason.starts_with(OBSERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Permission;

    #[test]
    fn demands_are_read_as_they_were_told() {
        for permission in Permission::ALL {
            let told = Demand::new(permission, Object::Tag("a b".into(), "c d".into()));
            assert_eq!(read(&demand(&told)), Some(told));
        }
        let long = Demand::new(Permission::Admin, Object::Tag("m".into(), "k".repeat(3 << 20).into()));
        assert!(demand(&long).len() < 100 && read(&demand(&long)).is_none());
        for text in ["", "admin", "admin ", "Admin server", "admin  server", "admin model::?", MORE] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_shows_it() {
        let demands = |count: usize| bounded((0..count).map(|number| number.to_string()));
        for (count, told, cut) in [(0, 0, false), (20, 20, false), (21, 21, true), (500, 21, true)] {
            assert_eq!((demands(count).len(), is_cut(&demands(count))), (told, cut), "{count}");
        }
        let again = bounded(["first".to_owned()].into_iter().chain(demands(500)));
        assert!(again.len() == 21 && is_cut(&again), "what was cut stays cut");
    }

    #[test]
    fn what_was_observed_is_told_before_what_failed() {
        let sentences = |reason: Option<&str>| {
            let mut entry = Entry::new("1", jiff::Timestamp::UNIX_EPOCH, crate::record::line::Kind::Read);
            entry.reason = reason.map(str::to_owned);
            observe(&mut entry, "x may not");
            entry.reason.unwrap_or_default()
        };
        let first = "observed, would be refused: x may not";
        assert_eq!(sentences(None), first);
        assert_eq!(sentences(Some("MLflow fell silent")), format!("{first}; MLflow fell silent"));
        let known = "observed, would be refused: y may not";
        assert_eq!(sentences(Some(known)), known);
        assert!(is_observed(&sentences(Some("would be refused: a rule"))));
    }

    #[test]
    fn a_long_claim_is_told_by_its_digest() {
        let told = |count: usize, length: usize| access(&ModelAccess::new(vec!["m".repeat(length); count]));
        for (count, length, digest) in [
            (0, 0, false),
            (50, 300, false),
            (50, 400, true),
            (51, 80, false),
            (51, 81, true),
            (1, 16_385, true),
        ] {
            let told = told(count, length);
            assert_eq!(is_digest(&told), digest, "{count} of {length}");
            assert_eq!(told.len(), if digest { 1 } else { count });
        }
    }
}
