//! Who holds which role: the `g` rows, followed to their end once, when a set of policies is built.

use std::collections::HashMap;

use crate::principal::{RoleName, UserId};

/// Between the subjects of one request, in the text that casbin is handed; no name holds a control character.
pub(super) const BETWEEN_SUBJECTS: char = '\u{1f}';

/// How many `g` rows may follow one another.
pub(super) const LONGEST_CHAIN: usize = 8;

/// A subject that some row names, as a number.
pub(super) type SubjectId = u32;

/// The subjects of one request: a user, roles, or both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) user: Option<&'a UserId>,
    pub(super) roles: &'a [RoleName],
}

impl Asker<'_> {
    /// All subjects as one text, which [`Links::holds`] takes apart again.
    pub(super) fn text(&self) -> String {
        let user = self.user.map(|user| format!("user:{user}"));
        let roles = self.roles.iter().map(|role| format!("role:{role}"));
        user.into_iter().chain(roles).collect::<Vec<_>>().join(&BETWEEN_SUBJECTS.to_string())
    }
}

/// Every subject that a row names, with all that it holds, itself included.
#[derive(Debug, Default)]
pub(super) struct Links {
    users: HashMap<Box<str>, SubjectId>,
    roles: HashMap<Box<str>, SubjectId>,
    held: Vec<Vec<SubjectId>>,
}

impl Links {
    /// The number of `role:<name>` or `user:<id>`, given out at first sight.
    pub(super) fn number(&mut self, subject: &str) -> SubjectId {
        let (names, name) = match subject.strip_prefix("user:") {
            Some(name) => (&mut self.users, name),
            None => (&mut self.roles, subject.strip_prefix("role:").unwrap_or(subject)),
        };
        if let Some(known) = names.get(name) {
            return *known;
        }
        let next = SubjectId::try_from(self.held.len()).unwrap_or(SubjectId::MAX);
        names.insert(name.into(), next);
        self.held.push(vec![next]);
        next
    }

    /// Follows `(member, role)` pairs to their end. The pairs must hold no circle.
    pub(super) fn follow(&mut self, pairs: &[(SubjectId, SubjectId)]) {
        for _ in 0..LONGEST_CHAIN {
            let mut grew = false;
            for (member, role) in pairs {
                let gained = self.of(*role).to_vec();
                if let Some(held) = self.held.get_mut(*member as usize) {
                    let before = held.len();
                    held.extend(gained);
                    held.sort_unstable();
                    held.dedup();
                    grew |= held.len() > before;
                }
            }
            if !grew {
                return;
            }
        }
    }

    /// What the asker is and holds, each once.
    pub(super) fn subjects_of(&self, asker: Asker<'_>) -> Vec<SubjectId> {
        let user = asker.user.and_then(|user| self.users.get(user.as_str()));
        let roles = asker.roles.iter().filter_map(|role| self.roles.get(role.as_str()));
        let mut all: Vec<_> = user.into_iter().chain(roles).flat_map(|id| self.of(*id)).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every subject that a row names, by its text and its number.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, SubjectId)> {
        let users = self.users.iter().map(|(name, id)| (format!("user:{name}"), *id));
        users.chain(self.roles.iter().map(|(name, id)| (format!("role:{name}"), *id)))
    }

    /// The number of a role that some row names.
    pub(super) fn role(&self, name: &str) -> Option<SubjectId> {
        self.roles.get(name).copied()
    }

    /// Whether the asker has a role of that name, from the token or by `g` rows.
    pub(super) fn has_role(&self, asker: Asker<'_>, name: &str) -> bool {
        asker.roles.iter().any(|role| role.as_str() == name)
            || self.roles.get(name).is_some_and(|id| self.subjects_of(asker).contains(id))
    }

    /// casbin's question: whether one of `subjects` (as [`Asker::text`] joins them) is or holds `wanted`.
    pub(super) fn holds(&self, subjects: &str, wanted: &str) -> bool {
        subjects.split(BETWEEN_SUBJECTS).any(|subject| {
            subject == wanted
                || match (self.find(subject), self.find(wanted)) {
                    (Some(subject), Some(wanted)) => self.of(subject).contains(&wanted),
                    _ => false,
                }
        })
    }

    fn find(&self, subject: &str) -> Option<SubjectId> {
        match subject.split_once(':') {
            Some(("user", name)) => self.users.get(name).copied(),
            Some(("role", name)) => self.roles.get(name).copied(),
            _ => None,
        }
    }

    /// What a subject is and holds, each once and in order.
    pub(super) fn of(&self, id: SubjectId) -> &[SubjectId] {
        self.held.get(id as usize).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_part_of_a_name() {
        let mut links = Links::default();
        let (user, role) = (links.number("user:mallory"), links.number("role:admin"));
        let namesake = links.number("user:admin");
        links.follow(&[(user, role)]);
        assert_ne!(role, namesake);
        assert!(links.holds("user:mallory", "role:admin"));
        assert!(!links.holds("user:admin", "role:admin"));
        assert!(!links.holds("role:mallory", "role:admin"));
        assert!(
            links.holds("user:x\u{1f}role:y", "role:y"),
            "subjects that no row names are still themselves"
        );
        assert!(!links.holds("user:x\u{1f}role:y", "user:x\u{1f}role:y2"));
    }

    #[test]
    fn a_chain_is_followed_to_its_end_whatever_the_order_of_its_rows() {
        let mut links = Links::default();
        let chain: Vec<_> = (0..=LONGEST_CHAIN).map(|n| links.number(&format!("role:r{n}"))).collect();
        let mut pairs: Vec<_> = chain.windows(2).map(|pair| (pair[0], pair[1])).collect();
        links.follow(&pairs);
        assert!(links.holds("role:r0", "role:r8"));

        let mut links = Links::default();
        for n in 0..=LONGEST_CHAIN {
            links.number(&format!("role:r{n}"));
        }
        pairs.reverse();
        links.follow(&pairs);
        assert!(links.holds("role:r0", "role:r8"));
        assert!(!links.holds("role:r8", "role:r0"));
    }
}
