//! Who may vouch for whom: the one name space of users is shared out among the issuers.

use super::source::Source;
use super::{Settings, StartError, Unauthenticated};
use crate::glob;
use crate::principal::{RoleName, UserId};

/// An issuer with its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) source: Source,
    pub(super) users: Vec<String>,
    pub(super) roles: Vec<String>,
}

impl Issuer {
    /// Chosen by the token's unverified `iss`, whose keys it must then be verified with.
    pub(super) fn of<'a>(issuers: &'a [Self], named: Option<&str>) -> Result<&'a Self, Unauthenticated> {
        let chosen = issuers.iter().find(|issuer| issuer.name.is_none() || issuer.name.as_deref() == named);
        chosen.ok_or_else(|| match named {
            Some(_) => Unauthenticated::Issuer,
            None => Unauthenticated::NoClaim("iss".into()),
        })
    }

    pub(super) fn vouches_for(&self, user: &UserId) -> Result<(), Unauthenticated> {
        let covered = |pattern: &String| glob::matches(pattern, user.as_str(), None);
        if self.users.is_empty() || self.users.iter().any(covered) {
            return Ok(());
        }
        Err(Unauthenticated::NotVouchedFor)
    }

    /// Roles that are not the issuer's to give are dropped.
    pub(super) fn may_give(&self, role: &RoleName) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|own| own == role.as_str())
    }
}

/// Every mistake that can be seen without opening anything.
pub(super) fn mistakes(settings: &Settings) -> Vec<StartError> {
    let mut found = Vec::new();
    if settings.issuers.is_empty() {
        found.push(StartError::NoIssuer);
    }
    for name in [&settings.user_claim, &settings.role_claim, &settings.model_access_claim] {
        if name.is_empty() {
            found.push(StartError::EmptyClaimName);
        }
    }
    for (place, issuer) in settings.issuers.iter().enumerate() {
        if issuer.issuer.is_none() && settings.issuers.len() > 1 {
            found.push(StartError::UnnamedIssuer(place + 1));
        }
        for other in settings.issuers.iter().skip(place + 1) {
            if let Some(name) = issuer.issuer.as_ref().filter(|_| issuer.issuer == other.issuer) {
                found.push(StartError::SameIssuer(name.clone()));
            }
            if let Some((first, second)) = both_cover(&issuer.users, &other.users) {
                found.push(StartError::OverlappingUsers(first, second));
            }
        }
    }
    found
}

fn both_cover(ours: &[String], theirs: &[String]) -> Option<(String, String)> {
    let anyone = [String::from("*")];
    let ours = if ours.is_empty() { &anyone } else { ours };
    let theirs = if theirs.is_empty() { &anyone } else { theirs };
    let pairs = ours.iter().flat_map(|first| theirs.iter().map(move |second| (first, second)));
    let mut overlapping = pairs.filter(|(first, second)| overlap(first.as_bytes(), second.as_bytes()));
    overlapping.next().map(|(first, second)| (first.clone(), second.clone()))
}

/// Whether some text is matched by both patterns. Filled from the ends of both, a row for each place in `a`.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    let mut below: Vec<bool> = Vec::new();
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        let mut right = false;
        for j in (0..=b.len()).rev() {
            let at = |row: &[bool], j: usize| row.get(j).copied().unwrap_or(false);
            right = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(b'*'), Some(_)) | (Some(_), Some(b'*')) => right || at(&below, j),
                (Some(b'*'), None) => at(&below, j),
                (None, Some(b'*')) => right,
                (Some(x), Some(y)) => x == y && at(&below, j + 1),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if let Some(cell) = row.get_mut(j) {
                *cell = right;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_overlap_when_one_user_fits_both() {
        for (a, b, expected) in [
            ("*@a.com", "*@b.com", false),
            ("*@a.com", "alice@*", true),
            ("*", "", true),
            ("", "", true),
            ("a", "", false),
            ("a*", "*b", true),
            ("a*c", "ab", false),
            ("*a*", "b*b", true),
            ("alice", "alice", true),
            ("alice", "Alice", false),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_both_match_means_overlap(a in "[ab*]{0,6}", b in "[ab*]{0,6}", text in "[ab]{0,5}") {
            if glob::matches(&a, &text, None) && glob::matches(&b, &text, None) {
                prop_assert!(overlap(a.as_bytes(), b.as_bytes()));
            }
        }
    }
}
