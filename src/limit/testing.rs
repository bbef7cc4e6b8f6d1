//! Somebody with a slot, for tests.

use super::{Limits, Settings, Slot};
use crate::clock::Clock;
use crate::principal::{ModelAccess, Principal, TokenId, UserId};

pub(super) fn user(name: &str) -> Principal {
    Principal {
        user: UserId::new(name).unwrap(),
        roles: Vec::new(),
        models: ModelAccess::default(),
        token: TokenId::new("token").unwrap(),
    }
}

pub(super) fn ada() -> Principal {
    user("ada")
}

pub(super) fn slot() -> Slot {
    let limits = Limits::new(Settings::default(), &Clock::held_at(0));
    limits.seat(limits.admit().unwrap(), &ada()).unwrap()
}
