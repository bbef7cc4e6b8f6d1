//! Who is asking: what a verified token says, in words that the rest of the house can trust.

use std::fmt;
use std::sync::Arc;

use crate::glob;

/// A verified caller. Only `authn` has a reason to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user id, compared exactly.
    pub user: UserId,
    /// The roles that the token carries, in its order, without repeats.
    pub roles: Vec<RoleName>,
    /// The models that the token opens.
    pub models: ModelAccess,
    /// The token's `jti`, or a keyed hash of it: what the record may show of a token.
    pub token: TokenId,
}

impl Principal {
    /// Whether a role of that name came with the token.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role.as_str() == name)
    }
}

macro_rules! name_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, or nothing if it is empty, longer than 256 bytes or holds control characters.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                let sound = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
                sound.then(|| Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_of! {
    /// A user id, as the token's user claim spells it.
    UserId
}
name_of! {
    /// A role's name, without the `role:` that policy rows put before it.
    RoleName
}
name_of! {
    /// A token's name in the record; never the token.
    TokenId
}

/// The token's list of models (DESIGN: `model_access`). `*` in an entry stands for any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelAccess(Vec<Box<str>>);

impl ModelAccess {
    /// A list of names and patterns; an empty one opens nothing.
    pub fn new(entries: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self(entries.into_iter().map(Into::into).collect())
    }

    /// Whether an entry covers this model's name.
    #[must_use]
    pub fn covers(&self, model: &str) -> bool {
        self.0.iter().any(|entry| glob::matches(entry, model, None))
    }

    /// The entries, as the token has them.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether the list opens nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_opens_its_own_model_and_no_twin() {
        let access = ModelAccess::new(["fraud_*_prod", "iris"]);
        for (model, covered) in [
            ("iris", true),
            ("iris2", false),
            ("Iris", false),
            ("fraud_xgb_prod", true),
            ("fraud_xgb_prod2", false),
            ("xfraud_xgb_prod", false),
        ] {
            assert_eq!(access.covers(model), covered, "{model}");
        }
        assert!(!ModelAccess::default().covers(""));
    }

    #[test]
    fn names_are_never_empty_and_hold_no_control_characters() {
        assert!(UserId::new("").is_none());
        assert!(UserId::new("a\nb").is_none());
        assert_eq!(UserId::new("a@b").map(|user| user.to_string()).as_deref(), Some("a@b"));
    }
}
