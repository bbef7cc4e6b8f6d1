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
    let mut overlapping = pairs.filter(|(first, second)| glob::overlap(first, second));
    overlapping.next().map(|(first, second)| (first.clone(), second.clone()))
}
